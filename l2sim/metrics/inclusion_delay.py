"""Inclusion delay: how long a transaction waits for its block."""

from typing import TYPE_CHECKING, ClassVar

from l2sim.events import TransactionDropped, TransactionIncluded
from l2sim.metrics import Metric, spread, trading_chains
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class InclusionDelay(Metric):
    """Time from a transaction's submission to its block, per chain, over the transactions that got into one.

    Those that were dropped never did and are counted apart: a chain that drops the slow ones looks fast in the mean.
    """

    units: ClassVar[dict[str, str]] = {"mean": "s", "p50": "s", "p95": "s", "p99": "s", "max": "s"}
    key: ClassVar[tuple[str, ...]] = ("mean", "max", "dropped")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {}
        for chain in trading_chains(log):
            included, submitted = log.select(TransactionIncluded, "time", "submitted", chain=chain)
            (dropped,) = log.select(TransactionDropped, "time", chain=chain)
            delays = (included - submitted) / SECOND
            rows[chain] = {"included": float(len(delays)), **spread(delays, largest=True), "dropped": float(len(dropped))}
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float)
