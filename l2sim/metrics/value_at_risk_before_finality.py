"""Value at risk before finality: what has happened on a rollup and could still be undone."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from l2sim.events import (
    AssertionConfirmed,
    AssertionMade,
    BlockSealed,
    HeadAdvanced,
    LoanLiquidated,
    PositionClosed,
    PositionLiquidated,
    PositionOpened,
    TransactionIncluded,
    WithdrawalInitiated,
)
from l2sim.events.bridging import DepositCredited
from l2sim.metrics import Metric, chains
from l2sim.metrics.capital_locked import level, worth
from l2sim.units import Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class ValueAtRiskBeforeFinality(Metric):
    """Time average and maximum of the value of what is in a chain's blocks and not final yet, in US dollars at the price of its time.

    ``bridged``: withdrawals that were initiated and deposits that were handed out. ``traded``: notional of positions opened, closed and
    liquidated, the US dollars of trades with pools, and debt repaid in liquidations. Each counts from its block until the chain's head
    says that this block is final in the sense of ``until``; what is not when the run ends counts until then.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {"mean": "USD", "max": "USD"}
    key: ClassVar[tuple[str, ...]] = ("mean", "max")

    until: Literal["safe", "finalized", "withdrawable"] = "finalized"
    """Whether value is at risk until its block is in a batch on L1, until that is final, or until an assertion that covers it is: on L1,
    which nothing is asserted about, until it is finalized; a rollup has no figures where nothing is asserted."""
    warm_up: Duration = 0
    """Leave out this first part of the run."""
    cool_down: Duration = 0
    """Leave out this last part of the run."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: self._of(chain, log) for chain in chains(log)}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["bridged_mean", "traded_mean", "mean", "max"], dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        since, until = self.warm_up, log.about.get("duration", 0) - self.cool_down
        parts = {}
        if self.until == "withdrawable" and not _settles(chain, log):
            return dict.fromkeys(("bridged_mean", "traded_mean", "mean", "max"), np.nan)
        for name, (times, values) in {"bridged": _bridged(chain, log), "traded": _traded(chain, log)}.items():
            parts[name] = times, final(chain, self.until, times, log), values
        begins, ends, values = (np.concatenate(columns) for columns in zip(*parts.values(), strict=True))
        mean, largest = level(begins, ends, values, since, until)
        means = {f"{name}_mean": level(*part, since, until)[0] for name, part in parts.items()}
        return {**means, "mean": mean, "max": largest}


def _settles(chain: str, log: "Log") -> bool:
    """Whether blocks of a chain become final for good: by itself, or by assertions about it."""
    about = log.about.get("chains", {}).get(chain, {})
    asserted = any(len(log.select(fact, "number", chain=chain)[0]) for fact in (AssertionMade, AssertionConfirmed))
    return about.get("kind") == "l1" or about.get("final_after") is not None or asserted


def final(chain: str, until: str, times: Times, log: "Log") -> Times:
    """When the blocks of these times were final (ns); the end of the run where they were not."""
    about = log.about.get("chains", {}).get(chain, {})
    after = about.get("final_after")
    if after is not None:
        soon: Times = np.minimum(times + after, log.about["duration"])
        return soon
    made, number = log.select(BlockSealed, "time", "number", chain=chain)
    if until == "withdrawable" and about.get("kind") == "l1":
        until = "finalized"
    if until == "withdrawable":
        at, heads, valid = log.select(AssertionConfirmed, "time", "last", "valid", chain=chain)
        at, heads = at[valid == 1], heads[valid == 1]  # a false one pays its owner and nobody else
    else:
        at, heads = log.select(HeadAdvanced, "time", "number", chain=chain, head=until)
    end = log.about.get("duration", 0)
    if not len(heads) or not len(made):
        return np.full(len(times), end, np.int64)
    blocks = number[np.minimum(np.searchsorted(made, times), len(made) - 1)]
    position = np.searchsorted(np.maximum.accumulate(heads), blocks)
    found: Times = np.append(at, end)[position]
    return np.maximum(found, times)


def _bridged(chain: str, log: "Log") -> tuple[Times, Floats]:
    found = []
    for name, market in sorted(log.about.get("markets", {}).items()):
        if market["kind"] == "bridge" and market["on"] == chain:
            for fact in (WithdrawalInitiated, DepositCredited):
                times, amounts = log.select(fact, "time", "amount", market=name)
                found.append((times, amounts * worth(log, market["base"], times)))
    return _joined(found)


def _traded(chain: str, log: "Log") -> tuple[Times, Floats]:
    found = []
    for name, market in sorted(log.about.get("markets", {}).items()):
        if market["on"] != chain:
            continue
        for fact, price in ((PositionOpened, "entry"), (PositionClosed, "price"), (PositionLiquidated, "price")):
            times, sizes, prices = log.select(fact, "time", "size", price, market=name)
            found.append((times, np.abs(sizes) * prices))
        times, values = log.select(LoanLiquidated, "time", "repaid_value", market=name)
        found.append((times, values))
        for action, dollars in (("buy", "x"), ("sell", "y")) if market["kind"] == "constant_product" else ():
            times, amounts, status = log.select(TransactionIncluded, "time", dollars, "status", market=name, action=action)
            found.append((times[status == 0], amounts[status == 0]))
    return _joined(found)


def _joined(found: list[tuple[Times, Floats]]) -> tuple[Times, Floats]:
    times = np.concatenate([times for times, _ in found]) if found else np.zeros(0, np.int64)
    return times, np.concatenate([values for _, values in found]) if found else np.zeros(0)
