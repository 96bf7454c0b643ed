"""Capital locked: what is on its way through bridges and of no use to anybody, and what that costs."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import PriceMoved, WithdrawalFinalized, WithdrawalInitiated
from l2sim.events.bridging import DepositCredited, DepositMade, WithdrawalAdvanced
from l2sim.metrics import Metric
from l2sim.units import YEAR, Duration, NotNegative, Yearly

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class CapitalLocked(Metric):
    """Time averages of what is on its way through each bridge, in US dollars at the price when it left.

    ``waiting`` is what its owners wait for after a withdrawal, ``advanced`` what providers of fast withdrawals wait for in their place,
    ``inward`` what lies in escrow and the rollup has not handed out. ``locked`` is all of these; ``cost`` is what it would have earned
    elsewhere over the time measured, at ``rate``: the part of the price of settlement that nobody sees on a bill.
    """

    subjects: ClassVar[tuple[str, ...]] = ("markets",)
    units: ClassVar[dict[str, str]] = {"mean": "USD", "max": "USD", "cost": "USD"}
    key: ClassVar[tuple[str, ...]] = ("locked_mean", "locked_max", "cost")

    rate: Annotated[Yearly, NotNegative] = 0.1
    """What capital earns elsewhere (assumed)."""
    warm_up: Duration = 0
    """Leave out this first part of the run."""
    cool_down: Duration = 0
    """Leave out this last part of the run."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        bridges = [name for name, market in sorted(log.about.get("markets", {}).items()) if market["kind"] == "bridge"]
        columns = ["waiting_mean", "advanced_mean", "inward_mean", "locked_mean", "locked_max", "cost"]
        return pd.DataFrame([self._of(bridge, log) for bridge in bridges], pd.Index(bridges, dtype=object), columns, dtype=float)

    def _of(self, bridge: str, log: "Log") -> dict[str, float]:
        ends = log.about.get("duration", 0)
        since, until = self.warm_up, ends - self.cool_down
        left, number, amount = log.select(WithdrawalInitiated, "time", "number", "amount", market=bridge)
        taken = _last(log, WithdrawalAdvanced, bridge, number, ends)
        paid = _last(log, WithdrawalFinalized, bridge, number, ends)
        made, deposit, inward = log.select(DepositMade, "time", "number", "amount", market=bridge)
        credited = _last(log, DepositCredited, bridge, deposit, ends)
        asset = log.about["markets"][bridge]["base"]
        out, into = amount * worth(log, asset, left), inward * worth(log, asset, made)
        parts = {
            "waiting": (left, np.minimum(taken, paid), out),
            "advanced": (np.minimum(taken, paid), paid, out),
            "inward": (made, credited, into),
        }
        means = {f"{name}_mean": level(*part, since, until)[0] for name, part in parts.items()}
        begins, stops, amounts = (np.concatenate(columns) for columns in zip(*parts.values(), strict=True))
        mean, largest = level(begins, stops, amounts, since, until)
        return {**means, "locked_mean": mean, "locked_max": largest, "cost": mean * self.rate * (until - since) / YEAR}


def worth(log: "Log", asset: str | None, times: Times) -> Floats:
    """What a unit of an asset was worth outside at some times (USD), as sampled in the log; None stands for US dollars."""
    if asset is None:
        return np.ones(len(times))
    seen, price = log.select(PriceMoved, "time", "index", price=asset)
    if not len(seen):
        return np.full(len(times), np.nan)
    found: Floats = price[np.maximum(np.searchsorted(seen, times, side="right") - 1, 0)]
    return found


def level(begins: Times, ends: Times, amounts: Floats, since: int, until: int) -> tuple[float, float]:
    """The time average and the maximum, between two times (ns), of the sum of amounts, each there from its beginning to its end.

    NaN where there is no amount at all.
    """
    if not len(begins) or until <= since:
        return np.nan, np.nan
    begins, ends = np.clip(begins, since, until), np.clip(ends, since, until)
    there = ends > begins
    begins, ends, amounts = begins[there], ends[there], amounts[there]
    if not len(begins):
        return 0.0, 0.0
    times = np.concatenate([begins, ends])
    order = np.argsort(times, kind="stable")
    sums = np.cumsum(np.concatenate([amounts, -amounts])[order])
    last = np.append(np.diff(times[order]) > 0, True)  # what happens at the same time counts together
    return float((amounts * (ends - begins)).sum() / (until - since)), float(sums[last].max())


def _last(log: "Log", fact: type, bridge: str, numbers: Times, otherwise: int) -> Times:
    """When something last happened to each of some numbers (ns)."""
    times, found = log.select(fact, "time", "number", market=bridge)
    at = dict(zip(found.tolist(), times.tolist(), strict=True))
    return np.array([at.get(number, otherwise) for number in numbers.tolist()], np.int64)
