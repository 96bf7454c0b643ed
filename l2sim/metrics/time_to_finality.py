"""Time to finality: how long until a transaction can no longer be undone, under three meanings of 'no longer'."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, HeadAdvanced, TransactionIncluded
from l2sim.metrics import Metric, chains, spread
from l2sim.units import SECOND, Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Times = npt.NDArray[np.int64]
NOT_YET = -1


class TimeToFinality(Metric):
    """Time from submission until a transaction is soft (in a block), safe and finalized, per chain.

    ``safe`` and ``finalized`` are the instants at which the chain's head of that name reached its block: on a rollup, when the
    batch with the block is on L1 and when that L1 block is final; on L1, the justified and the finalized checkpoint. The figures
    ``…_from_block_…`` start from the block's own time and count each block in the log once (empty ones may be left out of it),
    so that they exist where nobody sends anything.

    A run ends before its last transactions are final. Each sample holds those that got there; ``…_unresolved`` counts the ones
    in a block that did not, and as long as they were sent less than the slowest time to finality before the end, means and
    percentiles lean towards the quick. A ``cool_down`` longer than that removes the bias: what is left of ``…_unresolved`` then
    is stuck, not unlucky. Transactions that no block took are in ``inclusion_delay`` and ``throughput``.
    """

    units: ClassVar[dict[str, str]] = {"mean": "s", "p50": "s", "p95": "s", "p99": "s"}
    key: ClassVar[tuple[str, ...]] = ("soft_mean", "safe_mean", "finalized_mean", "finalized_p95", "finalized_unresolved")

    warm_up: Duration = 0
    """Leave out what was submitted (or made, for blocks) in this first part of the run."""
    cool_down: Duration = 0
    """Leave out what was submitted (or made, for blocks) in this last part of the run; longer than the slowest finality, it
    removes the bias of the end."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: self._of(chain, log) for chain in chains(log)}, orient="index", dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        included, submitted, block = log.select(TransactionIncluded, "time", "submitted", "block", chain=chain)
        counted = self._counted(submitted, log)
        included, submitted, block = included[counted], submitted[counted], block[counted]
        made, number = log.select(BlockSealed, "time", "number", chain=chain)
        counted = self._counted(made, log)
        made, number = made[counted], number[counted]
        figures = _named("soft", submitted, included, censored=False)
        for head in ("safe", "finalized"):
            figures |= _named(head, submitted, reached(chain, head, block, log))
            figures |= _named(f"{head}_from_block", made, reached(chain, head, number, log))
        return figures

    def _counted(self, times: Times, log: "Log") -> npt.NDArray[np.bool_]:
        end = log.about.get("duration", np.iinfo(np.int64).max)
        counted: npt.NDArray[np.bool_] = (times >= self.warm_up) & (times <= end - self.cool_down)
        return counted


def reached(chain: str, head: str, blocks: Times, log: "Log") -> Times:
    """When a head of a chain reached each of these block numbers (ns), ``NOT_YET`` where it had not when the run ended."""
    times, numbers = log.select(HeadAdvanced, "time", "number", chain=chain, head=head)
    first = np.searchsorted(np.maximum.accumulate(numbers), blocks, side="left") if len(numbers) else np.zeros(len(blocks), np.int64)
    return np.append(times, NOT_YET)[first]


def _named(name: str, since: Times, until: Times, *, censored: bool = True) -> dict[str, float]:
    there = until != NOT_YET
    seconds = (until[there] - since[there]) / SECOND
    figures = {**spread(seconds), "observed": float(len(seconds))}
    if censored:
        figures["unresolved"] = float(len(since) - len(seconds))
    return {f"{name}_{figure}": value for figure, value in figures.items()}
