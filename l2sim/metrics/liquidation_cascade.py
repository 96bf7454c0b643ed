"""Liquidation cascades: liquidations that follow each other closely, and how far the price fell meanwhile."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import LoanLiquidated, PositionLiquidated, PriceMoved
from l2sim.metrics import Metric, groups
from l2sim.part import MarketName
from l2sim.units import SECOND, Duration, Positive

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class _Runs(NamedTuple):
    """Cascades: rows ``first[i]`` up to, not including, ``last[i]`` of the liquidations in order of time."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


class LiquidationCascade(Metric):
    """Clusters of liquidations, of positions and of loans, in which none waits longer than ``gap`` for the next.

    Notional is size at the mark; of a loan, which counts each time, what was seized. A round is a block with liquidations in it;
    those of the largest cascade (by notional) show whether it was one wave or a loop. ``price_drop`` is the largest fall of the
    outside index from a peak, as a share of the peak, at the instants where the log samples it; of several prices, that of the
    market's base if it names one, else the one that fell furthest. Numbers of things and sums of dollars are zero when nothing
    was liquidated; figures about the largest cascade are then NaN.

    ``traders_lost`` is what liquidation itself took from the owners, on top of what the market had already cost them: the equity
    that a position had at its mark, less what was returned; where that equity was negative, there was nothing left to take.
    Equity at the mark is penalty + returned - shortfall, which is the equity at the price at which the owner was closed out, plus
    size x (mark - price). Liquidators live on that difference; ``rewards`` is what they made of it at once. Of loans it is what was
    seized beyond what was repaid; ``penalties`` is the protocol's part of that.

    Where several agents (crowds) owned what was liquidated, ``<owner>.positions`` says how many each of them lost.

    How much larger cascades grow because liquidations move the price is no question to one log: see ``Run.multiplier``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {
        "notional": "USD", "duration": "s", "lost": "USD", "rewards": "USD", "penalties": "USD",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("notional", "positions", "largest_notional", "largest_rounds", "price_drop", "traders_lost")

    gap: Annotated[Duration, Positive] = 30 * SECOND
    """The longest pause within a cascade."""
    market: MarketName | None = None
    """Only liquidations in this market; without it, in all of them."""

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        parts = zip(_positions(self.market, log), _loans(self.market, log), strict=True)
        rows = [np.concatenate(columns) for columns in parts]
        order = np.argsort(rows[0], kind="stable")
        time, account, notional, lost, reward, penalty = (column[order] for column in rows)
        runs = _runs(time, self.gap)
        figures = {
            "cascades": float(len(runs.first)),
            "positions": float(len(time)),
            "notional": float(notional.sum()),
            "traders_lost": float(lost.sum()),
            "rewards": float(reward.sum()),
            "penalties": float(penalty.sum()),
            **_largest(time, notional, runs),
            "price_drop": self._drop(log),
            **_owners(account, log),
        }
        return pd.Series(figures, dtype=float)

    def _drop(self, log: "Log") -> float:
        prices = log.present(PriceMoved, "price")
        base = log.about.get("markets", {}).get(self.market, {}).get("base")
        if base in prices:
            prices = [base]
        falls = [_fall(*log.select(PriceMoved, "index", price=name)) for name in prices]
        return max(falls, default=np.nan)


def _positions(market: str | None, log: "Log") -> "list[npt.NDArray[Any]]":
    """Of each liquidated position: time, account, notional, what its owner lost, the liquidator's reward, the penalty."""
    columns = ("time", "account", "size", "mark", "price", "reward", "penalty", "returned", "shortfall")
    time, account, size, mark, price, reward, penalty, returned, shortfall = log.select(PositionLiquidated, *columns, market=market)
    equity = penalty + returned - shortfall + size * (mark - price)
    return [time, account, np.abs(size) * mark, np.maximum(equity, 0.0) - returned, reward, penalty]


def _loans(market: str | None, log: "Log") -> "list[npt.NDArray[Any]]":
    """The same of each liquidation of a loan."""
    columns = ("time", "account", "repaid_value", "seized_value", "protocol_fee")
    time, account, repaid, seized, fee = log.select(LoanLiquidated, *columns, market=market)
    return [time, account, seized, seized - repaid, seized - repaid - fee, fee]


def _owners(accounts: npt.NDArray[np.int64], log: "Log") -> dict[str, float]:
    names, owners = groups(accounts, log)
    present, counts = np.unique(owners, return_counts=True)
    found = {names[i]: float(n) for i, n in zip(present.tolist(), counts.tolist(), strict=True) if i >= 0}
    return {f"{name}.positions": n for name, n in sorted(found.items())} if len(found) > 1 else {}


def _fall(index: Floats) -> float:
    return float((1.0 - index / np.maximum.accumulate(index)).max())


def _runs(time: Times, gap: int) -> _Runs:
    if not len(time):
        return _Runs(np.array([], np.int64), np.array([], np.int64))
    cuts = np.flatnonzero(np.diff(time) > gap) + 1
    return _Runs(np.concatenate([[0], cuts]), np.concatenate([cuts, [len(time)]]))


def _largest(time: Times, notional: Floats, runs: _Runs) -> dict[str, float]:
    names = ("mean_notional", "largest_notional", "largest_positions", "largest_rounds", "largest_duration")
    if not len(time):
        return dict.fromkeys(names, np.nan)
    sums = np.add.reduceat(notional, runs.first)
    largest = int(sums.argmax())
    first, last = int(runs.first[largest]), int(runs.last[largest])
    figures = (
        sums.mean(),
        sums[largest],
        last - first,
        len(np.unique(time[first:last])),
        (time[last - 1] - time[first]) / SECOND,
    )
    return dict(zip(names, map(float, figures), strict=True))
