"""Capital efficiency: how much notional a unit of collateral carries."""

from itertools import groupby
from math import fsum
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.events import AccountClosed, BadDebtIncurred, PositionClosed, PositionLiquidated, PositionOpened
from l2sim.events.positions import PositionBrought
from l2sim.metrics import Metric
from l2sim.metrics.capital_locked import worth

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
BACKERS = ("market_maker", "liquidator")
"""Kinds of agents whose money on the chain stands behind the positions of others."""
ROUNDING = 1e-9
"""Relative; what is left of a position below this is nothing."""
Change = tuple[int, bool, int, float, float, float]
"""Time (ns), whether it is an opening, account, size, and of an opening entry and margin of all that is held then."""


class CapitalEfficiency(Metric):
    """Notional that was open per unit of collateral behind it, per market that keeps positions or loans.

    ``notional`` is the open interest of a perpetual (the time average of the notional of all positions of traders, at entry), or what
    is owed to a lending pool. ``collateral`` is what stood behind it: margins of those positions and all that makers and liquidators of
    this market and its insurance fund had on the chain at the start; the collateral of loans. ``efficiency`` is the one over the other.

    ``sufficient`` counts the bad debt of the run as collateral that was missing: notional / (collateral + bad debt). With so much
    collateral nobody would have been left unpaid. Its p-quantile over replications is therefore the notional that a unit of
    collateral supports at a ``probability`` p of bad debt. One run has no quantile: the report gives it over 20 replications or more,
    a study by the comparison ``at_risk`` with ``worst: smallest``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("markets",)
    needs: ClassVar[tuple[str, ...]] = ("PositionBrought",)
    units: ClassVar[dict[str, str]] = {"notional": "USD", "collateral": "USD", "bad_debt": "USD"}
    key: ClassVar[tuple[str, ...]] = ("efficiency", "sufficient")

    probability: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The probability of bad debt at which the report says what a unit of collateral supports."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {}
        for name, market in sorted(log.about.get("markets", {}).items()):
            found = {"perpetual": _perpetual, "lending_pool": _loans}.get(market["kind"])
            if found is not None:
                notional, collateral = found(name, market["on"], log)
                missing = fsum(log.select(BadDebtIncurred, "amount", market=name)[0])
                rows[name] = {
                    "notional": notional,
                    "collateral": collateral,
                    "bad_debt": missing,
                    "efficiency": notional / collateral if collateral > 0.0 else np.nan,
                    "sufficient": notional / (collateral + missing) if collateral + missing > 0.0 else np.nan,
                }
        columns = ["notional", "collateral", "bad_debt", "efficiency", "sufficient"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)


def _perpetual(name: str, chain: str, log: "Log") -> tuple[float, float]:
    times, notional, margin = positions(name, log)
    total = log.about.get("duration", 0)
    if not total:
        return np.nan, np.nan
    spans = np.diff(np.append(times, total)).astype(np.float64)
    backers = [group for group, about in log.about.get("groups", {}).items() if about["kind"] in BACKERS and about.get("market") == name]
    held = fsum(_opening(log, place, group) for place in (chain, name) for group in backers)
    insurance = max(0.0, _opening(log, chain, name) - margin[0])  # its account holds the margins brought too
    return float((notional * spans).sum() / total), float((margin * spans).sum() / total) + held + insurance


def positions(name: str, log: "Log") -> tuple[Times, Floats, Floats]:
    """The times of changes of a perpetual's positions (ns), and notional and margin of all traders after each; liquidators are none.

    Margin that somebody pays in or takes out later is seen when the position is added to.
    """
    makers = [range(one["first"], one["last"]) for one in log.about.get("groups", {}).values() if one["kind"] in BACKERS]
    brought = [column.tolist() for column in log.select(PositionBrought, "account", "size", "entry", "margin", market=name)]
    held: dict[int, tuple[float, float, float]] = {}
    times, notional, margin = [0], [0.0], [0.0]
    for account, size, entry, posted in zip(*brought, strict=True):
        if not any(account in accounts for accounts in makers):
            held[account] = size, entry, posted
            notional[0] += abs(size) * entry
            margin[0] += posted
    for time, together in groupby(_changes(name, log), key=itemgetter(0)):
        for _, opens, account, size, entry, posted in _in_order(list(together), held):
            if any(account in accounts for accounts in makers):
                continue
            before = held.pop(account, (0.0, 0.0, 0.0))
            left = 1.0 - size / before[0] if before[0] else 0.0
            rest = (before[0] - size, before[1], before[2] * left) if left > ROUNDING else (0.0, 0.0, 0.0)
            after = (size, entry, posted) if opens else rest
            if after[0]:
                held[account] = after
            times.append(time)
            notional.append(notional[-1] + abs(after[0]) * after[1] - abs(before[0]) * before[1])
            margin.append(margin[-1] + after[2] - before[2])
    return np.array(times, np.int64), np.array(notional), np.array(margin)


def _in_order(together: list[Change], held: dict[int, tuple[float, float, float]]) -> list[Change]:
    """What happens in one block: what closes more than was held before it comes after what opens, other closings before that."""

    def place(change: Change) -> int:
        _, opens, account, size, _, _ = change
        return 1 if opens else 0 if abs(size) <= abs(held.get(account, (0.0,))[0]) * (1.0 + ROUNDING) else 2

    return sorted(together, key=place)


def _changes(name: str, log: "Log") -> list[Change]:
    """In order of time."""
    changes: list[Change] = []
    for fact in (PositionClosed, PositionLiquidated):
        closed = [column.tolist() for column in log.select(fact, "time", "account", "size", market=name)]
        changes += [(time, False, account, size, 0.0, 0.0) for time, account, size in zip(*closed, strict=True)]
    opened = [column.tolist() for column in log.select(PositionOpened, "time", "account", "size", "entry", "margin", market=name)]
    changes += [(time, True, *rest) for time, *rest in zip(*opened, strict=True)]
    return sorted(changes, key=itemgetter(0))


def _loans(name: str, chain: str, log: "Log") -> tuple[float, float]:
    """Debt and collateral of those who owe, at the start and its prices."""
    columns = log.select(AccountClosed, "group", "asset", "opening", place=name)
    owed = kept = 0.0
    for group, code, opening in zip(*(column.tolist() for column in columns), strict=True):
        asset = log.names.all[code]
        value = opening * worth(log, None if asset == "usd" else asset, np.zeros(1, np.int64))[0]
        if group != log.names.find(name) and opening < 0.0:
            owed -= value
        elif group != log.names.find(name) and opening > 0.0:
            kept += value
    return float(owed), float(kept)


def _opening(log: "Log", place: str, group: str) -> float:
    """US dollars that a group held at a place when the run began."""
    (openings,) = log.select(AccountClosed, "opening", place=place, asset="usd", group=group)
    return fsum(openings.tolist())
