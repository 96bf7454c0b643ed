"""Withdrawal delay: how long until money that leaves a rollup is there on L1, and who never got any."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionIncluded, WithdrawalFinalized, WithdrawalRefused
from l2sim.events.bridging import WithdrawalAdvanced
from l2sim.metrics import Metric, spread
from l2sim.units import HOUR, Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class WithdrawalDelay(Metric):
    """Time from the submission of a withdrawal on the rollup until L1 paid it, per bridge, over those that were paid.

    ``refused`` are those that were due and met an escrow that held too little, ``stolen`` is what was paid for withdrawals that
    exist in no true state, in units of the bridge's asset. A run ends before its last withdrawals are due: ``unpaid`` counts all
    that were not paid, and a ``cool_down`` longer than the slowest delay leaves them out.

    ``fast`` are those that a provider paid out of its own money; ``fast_…`` the time until it did, and ``fast_fee`` what it kept, as a
    share of the amount. The bridge pays the provider for them later, and the other figures have them like all others.
    """

    subjects: ClassVar[tuple[str, ...]] = ("markets",)
    units: ClassVar[dict[str, str]] = {
        "mean": "h", "min": "h", "p05": "h", "p25": "h", "p50": "h", "p75": "h", "p95": "h", "p99": "h", "max": "h", "fast_fee": "%",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("mean", "max", "unpaid", "stolen")

    warm_up: Duration = 0
    """Leave out what was submitted in this first part of the run."""
    cool_down: Duration = 0
    """Leave out what was submitted in this last part of the run."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        bridges = [name for name, market in sorted(log.about.get("markets", {}).items()) if market["kind"] == "bridge"]
        rows = [self._of(bridge, log) for bridge in bridges]
        return pd.DataFrame(rows, pd.Index(bridges, dtype=object), list(self._of("", log)), dtype=float)

    def _of(self, bridge: str, log: "Log") -> dict[str, float]:
        submitted, numbers, status = log.select(TransactionIncluded, "submitted", "x", "status", market=bridge, action="withdraw")
        since = dict(zip(numbers[status == 0].astype(np.int64).tolist(), submitted[status == 0].tolist(), strict=True))
        ends = log.about.get("duration", np.iinfo(np.int64).max)
        counted = {number for number, time in since.items() if self.warm_up <= time <= ends - self.cool_down}
        times, paid, valid, amount = log.select(WithdrawalFinalized, "time", "number", "valid", "amount", market=bridge)
        again = {number: place for place, number in enumerate(paid.tolist())}  # L1 may undo a payment and make it again
        once = np.array([valid[place] == 0 or again[number] == place for place, number in enumerate(paid.tolist())], bool)
        times, paid, valid, amount = times[once], paid[once], valid[once], amount[once]
        true = np.array([bool(ok) and number in counted for number, ok in zip(paid.tolist(), valid, strict=True)], bool)
        delays: npt.NDArray[np.float64] = times[true] - np.array([since[number] for number in paid[true].tolist()], np.int64)
        (refused,) = log.select(WithdrawalRefused, "number", market=bridge)
        return {
            "initiated": float(len(counted)),
            **spread(delays / HOUR, largest=True),
            "min": float(delays.min() / HOUR) if len(delays) else np.nan,
            **{f"p{q:02}": float(np.percentile(delays, q) / HOUR) if len(delays) else np.nan for q in (5, 25, 75)},
            "paid": float(len(delays)),
            "unpaid": float(len(counted) - len(delays)),
            "refused": float(len(refused)),
            "stolen": float(amount[valid == 0].sum()),
            **self._fast(bridge, since, counted, log),
        }

    @staticmethod
    def _fast(bridge: str, since: dict[int, int], counted: set[int], log: "Log") -> dict[str, float]:
        times, numbers, amount, fee = log.select(WithdrawalAdvanced, "time", "number", "amount", "fee", market=bridge)
        rows = zip(numbers.tolist(), times.tolist(), (fee / amount).tolist(), strict=True)
        found = {number: (time, share) for number, time, share in rows}
        there = [(time - since[number], share) for number, (time, share) in found.items() if number in counted]
        delays, shares = (np.array(column, np.float64) for column in zip(*there, strict=True)) if there else (np.zeros(0), np.zeros(0))
        figures = {f"fast_{name}": value for name, value in spread(delays / HOUR, largest=True).items()}
        return {"fast": float(len(there)), **figures, "fast_fee": float(shares.mean()) if there else np.nan}
