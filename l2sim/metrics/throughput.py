"""Throughput: how much a chain gets done, and what share of it comes to nothing."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.events import BlockSealed, TransactionDropped, TransactionIncluded
from l2sim.metrics import Metric, chains
from l2sim.transactions import Status
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Throughput(Metric):
    """Transactions and gas a second over the whole run, per chain, and what became of the transactions.

    Gas counts everything in the blocks, background demand included; transactions are those of the run. The three shares are of
    the transactions that were executed or dropped; what still waited at the end is ``pending_last``. ``blocks`` are those that stand
    at the end, and ``longest_silence`` is the longest time between two of them: slots of L1 that were missed or undone have none.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        "transactions_a_second": "1/s", "gas_a_second": "gas/s", "longest_silence": "s",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("transactions_a_second", "reverted_share", "dropped_share", "pending_max")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: _of(chain, log) for chain in chains(log)}, orient="index", dtype=float)


def _of(chain: str, log: "Log") -> dict[str, float]:
    (status,) = log.select(TransactionIncluded, "status", chain=chain)
    dropped = len(log.select(TransactionDropped, "time", chain=chain)[0])
    times, number, gas, pending = log.select(BlockSealed, "time", "number", "gas", "pending", chain=chain)
    about = log.about.get("chains", {}).get(chain, {})
    blocks, silence = len(times), np.diff(times)
    if about.get("kind") != "l1":  # its empty blocks are not in the log: their numbers tell of them, one block time each
        blocks = about.get("blocks", blocks)
        silence = silence - (np.diff(number) - 1) * (about.get("block_time") or 0)
    seconds = log.about.get("duration", 0) / SECOND or np.nan
    succeeded = int(np.count_nonzero(status == Status.SUCCEEDED))
    settled = len(status) + dropped or np.nan
    return {
        "blocks": float(blocks),
        "longest_silence": float(silence.max()) / SECOND if len(silence) else np.nan,
        "transactions": float(len(status)),
        "transactions_a_second": len(status) / seconds,
        "gas_a_second": float(gas.sum(dtype=np.float64)) / seconds,
        "succeeded_share": succeeded / settled,
        "reverted_share": (len(status) - succeeded) / settled,
        "dropped_share": dropped / settled,
        "pending_max": float(pending.max()) if len(pending) else np.nan,
        "pending_last": float(pending[-1]) if len(pending) else np.nan,
    }
