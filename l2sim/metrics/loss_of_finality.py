"""Loss of finality: how long an L1 stood without a final block, and what that cost its validators."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.events import BlockSealed, ChainReorganized, HeadAdvanced
from l2sim.events.consensus import StakeChanged, VotesCounted
from l2sim.metrics import Metric
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class LossOfFinality(Metric):
    """Per L1: slots without a block, epochs that nothing justified, the longest wait for the finalized head to move, and the leak.

    An epoch is justified by its own votes or by late ones in the next; the safe head may move once for two of them. ``votes_min`` is
    the smallest share of stake whose votes for an epoch's checkpoint were ever included, ``stake_lost`` what absence and equivocation
    took from validators (ETH); both are NaN where an L1 has no groups of validators. Epochs count that ended within the run; the wait
    goes on until it ends.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {"longest_without_finality": "s", "lost": "ETH"}
    key: ClassVar[tuple[str, ...]] = ("longest_without_finality", "epochs_not_justified", "epochs_in_leak", "missed_slots")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        chains = {name: about for name, about in log.about.get("chains", {}).items() if about["kind"] == "l1"}
        found = {name: _of(name, about["block_time"], log) for name, about in chains.items()}
        return pd.DataFrame.from_dict(found, orient="index", columns=list(_of("", SECOND, log)), dtype=float)


def _of(chain: str, slot: int, log: "Log") -> dict[str, float]:
    end = log.about.get("duration", 0)
    slots = end // slot
    (made,) = log.select(BlockSealed, "number", chain=chain)
    first, last = log.select(ChainReorganized, "first", "last", chain=chain)
    finalized, _ = log.select(HeadAdvanced, "time", "number", chain=chain, head="finalized")
    epoch, late, total, leak = log.select(VotesCounted, "epoch", "late", "total", "leak", chain=chain)
    return {
        "missed_slots": float(slots - len(made)),
        "undone_slots": float((last - first + 1).sum()),
        "longest_without_finality": float(np.diff(np.concatenate([[0], finalized, [end]])).max()) / SECOND,
        "epochs": float(len(epoch)) if len(epoch) else np.nan,
        "epochs_not_justified": _not_justified(chain, log) if len(epoch) else np.nan,
        "epochs_in_leak": float(leak.sum()) if len(epoch) else np.nan,
        "votes_min": float((late / total).min()) if len(epoch) else np.nan,
        "stake_lost": _lost(chain, log) if len(epoch) else np.nan,
    }


def _not_justified(chain: str, log: "Log") -> float:
    """Epochs justified neither by their own votes nor by late ones; the first has the start for a checkpoint, and does not count."""
    epoch, in_time, late = log.select(VotesCounted, "epoch", "justified", "late_justified", chain=chain)
    justified = np.union1d(epoch[in_time == 1], epoch[late == 1] - 1)
    return float(len(np.setdiff1d(epoch[epoch > 0], justified)))


def _lost(chain: str, log: "Log") -> float:
    """What all groups together had lost when the run ended (ETH)."""
    group, lost = log.select(StakeChanged, "group", "lost", chain=chain)
    return float(sum(lost[group == one][-1] for one in np.unique(group)))
