"""Time to finality: how long until a transaction can no longer be undone, under three meanings of 'no longer'."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import AssertionConfirmed, AssertionMade, BlockSealed, HeadAdvanced, TransactionIncluded
from l2sim.metrics import Metric, chains, of_others, spread
from l2sim.part import AgentName
from l2sim.units import SECOND, Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Times = npt.NDArray[np.int64]
NOT_YET = -1


class TimeToFinality(Metric):
    """Time from submission until a transaction is soft (in a block), safe and finalized, per chain.

    ``safe`` and ``finalized`` are the instants at which the chain's head of that name reached its block: on a rollup, when the
    batch with the block is on L1 and when that L1 block is final; on L1, the justified and the finalized checkpoint; on a chain that
    is final by a consensus of its own, both when that has passed. The figures
    ``…_from_block_…`` start from the block's own time and count each block in the log once (empty ones may be left out of it),
    so that they exist where nobody sends anything. Where assertions are made, ``withdrawable`` is when one that covers a rollup's block is
    final; L1 and chains that are final by themselves have no such level.

    A run ends before its last transactions are final. Each sample holds those that got there; ``…_unresolved`` counts the ones
    in a block that did not, and as long as they were sent less than the slowest time to finality before the end, means and
    percentiles lean towards the quick. A ``cool_down`` longer than that removes the bias: what is left of ``…_unresolved`` then
    is stuck, not unlucky. Transactions that no block took are in ``inclusion_delay`` and ``throughput``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {"mean": "s", "p50": "s", "p95": "s", "p99": "s"}
    key: ClassVar[tuple[str, ...]] = ("soft_mean", "safe_mean", "finalized_mean", "finalized_p95", "finalized_unresolved")

    warm_up: Duration = 0
    """Leave out what was submitted (or made, for blocks) in this first part of the run."""
    cool_down: Duration = 0
    """Leave out what was submitted (or made, for blocks) in this last part of the run; longer than the slowest finality, it
    removes the bias of the end."""

    leaves_out: tuple[AgentName, ...] = ()
    """Whose transactions are not counted, such as those of people whom a sequencer censors."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: self._of(chain, log) for chain in chains(log)}, orient="index", dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        included, submitted, block, sender = log.select(TransactionIncluded, "time", "submitted", "block", "sender", chain=chain)
        counted = self._counted(submitted, log) & of_others(log, sender, self.leaves_out)
        included, submitted, block = included[counted], submitted[counted], block[counted]
        made, number = log.select(BlockSealed, "time", "number", chain=chain)
        counted = self._counted(made, log)
        made, number = made[counted], number[counted]
        figures = _named("soft", submitted, included, censored=False)
        for head in ("safe", "finalized"):
            figures |= _named(head, submitted, reached(chain, head, block, log))
            figures |= _named(f"{head}_from_block", made, reached(chain, head, number, log))
        about = log.about.get("chains", {}).get(chain, {})
        if about.get("kind") != "l1" and about.get("final_after") is None and len(log.select(AssertionMade, "number", chain=chain)[0]):
            figures |= _named("withdrawable", submitted, withdrawable(chain, block, log))
            figures |= _named("withdrawable_from_block", made, withdrawable(chain, number, log))
        return figures

    def _counted(self, times: Times, log: "Log") -> npt.NDArray[np.bool_]:
        end = log.about.get("duration", np.iinfo(np.int64).max)
        counted: npt.NDArray[np.bool_] = (times >= self.warm_up) & (times <= end - self.cool_down)
        return counted


def reached(chain: str, head: str, blocks: Times, log: "Log") -> Times:
    """When a head of a chain reached each of these block numbers (ns), ``NOT_YET`` where it had not when the run ended.

    On a chain with a consensus of its own both heads reach a block ``final_after`` it was made.
    """
    after = log.about.get("chains", {}).get(chain, {}).get("final_after")
    if after is not None:
        made, known = log.select(BlockSealed, "time", "number", chain=chain)
        first = np.searchsorted(np.maximum.accumulate(known), blocks) if len(known) else np.zeros(len(blocks), np.int64)
        times = np.append(made, NOT_YET)[first]
        until: Times = np.where((times == NOT_YET) | (times + after > log.about["duration"]), NOT_YET, times + after)
        return until
    times, numbers = log.select(HeadAdvanced, "time", "number", chain=chain, head=head)
    return _first(times, numbers, blocks)


def withdrawable(chain: str, blocks: Times, log: "Log") -> Times:
    """When a true assertion that covers each of these blocks became final, and money that leaves in them may be paid; as in ``reached``.

    A false one pays its owner and nobody else.
    """
    times, numbers, valid = log.select(AssertionConfirmed, "time", "last", "valid", chain=chain)
    return _first(times[valid == 1], numbers[valid == 1], blocks)


def _first(times: Times, numbers: Times, blocks: Times) -> Times:
    first = np.searchsorted(np.maximum.accumulate(numbers), blocks, side="left") if len(numbers) else np.zeros(len(blocks), np.int64)
    return np.append(times, NOT_YET)[first]


def _named(name: str, since: Times, until: Times, *, censored: bool = True) -> dict[str, float]:
    there = until != NOT_YET
    seconds = (until[there] - since[there]) / SECOND
    figures = {**spread(seconds), "observed": float(len(seconds))}
    if censored:
        figures["unresolved"] = float(len(since) - len(seconds))
    return {f"{name}_{figure}": value for figure, value in figures.items()}
