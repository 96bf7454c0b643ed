"""Posting cost: what it costs to put batches on L1, and what it costs that transactions wait for it."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BatchPosted, TransactionIncluded
from l2sim.events.availability import ChannelTimedOut
from l2sim.metrics import Metric
from l2sim.units import SECOND, Duration, Positive, Usd

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]


class PostingCost(Metric):
    """What a rollup's poster pays L1 and what waiting for it costs, in US dollars a second, over whole cycles from batch to batch.

    A transaction waits from its submission until the poster lets go of the batch with it, at its first offer; what L1 then takes to
    include the batch is ``l1_mean``, and no part of the cost. ``…_error`` is the standard error of a mean over cycles that are
    independent of each other, as a ratio of two means (renewal reward).
    Cost = fees / time + delay cost x (seconds that all transactions waited) / time. A batch's fees are those of its channels that timed
    out, too. What was paid for a batch that was not whole on L1, in time, when the run ended is not counted.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        "posting": "USD/s", "waiting": "USD/s", "total": "USD/s", "error": "USD/s", "transaction": "USD", "wait_mean": "s", "l1_mean": "s",
        "interval": "s", "eth": "ETH",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("posting", "waiting", "total", "per_transaction")

    delay_cost: Annotated[Usd, Positive] = 0.36
    """What it costs that a transaction waits for an hour, US dollars (assumed; 0.0001 a second)."""
    price: str = "eth"
    """Name of ether's price among the scenario's prices; its last value counts."""
    ether: Annotated[Usd, Positive] = 3000.0
    """US dollars an ether where the scenario has no such price."""
    warm_up: Duration = 0
    """Leave out the batches that were submitted in this first part of the run."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: self._of(chain, log) for chain in log.present(BatchPosted, "chain")}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(self._of("", log)), dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        time, submitted, last, blobs, size, cost = log.select(
            BatchPosted, "time", "submitted", "last", "blobs", "size", "cost", chain=chain
        )  # fmt: skip
        ether = log.about.get("prices", {}).get(self.price, self.ether)
        cost = cost + timed_out(chain, log, last)
        spans, waits, numbers = self._cycles(chain, log, submitted, last)
        counted = submitted[1:] >= self.warm_up
        spans, waits, numbers, fees = spans[counted], waits[counted], numbers[counted], cost[1:][counted] * ether
        posting, _ = per_second(fees, spans)
        waiting, _ = per_second(waits * self.delay_cost / 3600.0, spans)
        total, error = per_second(fees + waits * self.delay_cost / 3600.0, spans)
        n = float(numbers.sum())
        return {
            "batches": float(len(spans)),
            "blobs": float(blobs[1:][counted].sum()),
            "bytes": float(size[1:][counted].sum()),
            "cost_eth": float(cost[1:][counted].sum()),
            "posting": posting,
            "waiting": waiting,
            "total": total,
            "total_error": error,
            "per_transaction": total * float(spans.sum()) / n if n else np.nan,
            "interval": float(spans.mean()) if len(spans) else np.nan,
            "wait_mean": float(waits.sum()) / n if n else np.nan,
            "l1_mean": float((time - submitted)[1:][counted].mean()) / SECOND if counted.any() else np.nan,
        }

    def _cycles(
        self, chain: str, log: "Log", submitted: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        """From the second batch on: seconds since the one before, seconds that its transactions waited together, and how many they are."""
        sent, block = log.select(TransactionIncluded, "submitted", "block", chain=chain)
        batch = np.searchsorted(last, block, side="left")
        there = batch < len(last)
        batch, sent = batch[there], sent[there]
        n = len(last)
        waited = np.bincount(batch, weights=(submitted[batch] - sent) / SECOND, minlength=n)
        spans: Floats = np.diff(submitted) / SECOND
        return spans, waited[1:].astype(np.float64), np.bincount(batch, minlength=n)[1:].astype(np.float64)


def timed_out(chain: str, log: "Log", last: npt.NDArray[np.int64]) -> Floats:
    """What channels cost that timed out (ETH), by the batch that was sent again; those whose batch never was in time are left out."""
    until, cost = log.select(ChannelTimedOut, "last", "cost", chain=chain)
    batch = np.searchsorted(last, until, side="left")
    there = batch < len(last)
    return np.bincount(batch[there], weights=cost[there], minlength=len(last)).astype(np.float64)


def per_second(amounts: Floats, spans: Floats) -> tuple[float, float]:
    """The rate at which amounts accrue over cycles of these lengths, and its standard error as a ratio of means."""
    if not len(spans):
        return np.nan, np.nan
    rate = float(amounts.sum() / spans.sum())
    n = len(spans)
    spread = float(np.std(amounts - rate * spans, ddof=1)) if n > 1 else np.nan
    return rate, spread / np.sqrt(n) / float(spans.mean())
