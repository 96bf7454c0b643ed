"""Inclusion delay: how long a transaction waits for its block."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionDropped, TransactionIncluded
from l2sim.metrics import Metric, groups, spread, trading_chains
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class InclusionDelay(Metric):
    """Time from a transaction's submission to its block, per chain or per agent, over the transactions that got into one.

    Those that were dropped never did and are counted apart: a chain that drops the slow ones looks fast in the mean.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {"mean": "s", "p50": "s", "p95": "s", "p99": "s", "max": "s"}
    key: ClassVar[tuple[str, ...]] = ("mean", "max", "dropped")

    by: Literal["chain", "agent"] = "chain"
    """Whose transactions a row is about: those on a chain, or those of an agent (a crowd, all keepers) that sent any."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        included, submitted, chain, sender = log.select(TransactionIncluded, "time", "submitted", "chain", "sender")
        dropped_chain, dropped_sender = log.select(TransactionDropped, "chain", "sender")
        delays = (included - submitted) / SECOND
        if self.by == "chain":
            codes = {name: log.names.find(name) for name in trading_chains(log)}
            rows = {name: _of(delays[chain == code], dropped_chain == code) for name, code in codes.items()}
        else:
            names, sent = groups(sender, log)
            _, lost = groups(dropped_sender, log)
            rows = {names[i]: _of(delays[sent == i], lost == i) for i in np.union1d(sent, lost).tolist() if i >= 0}
            rows = dict(sorted(rows.items()))
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def _of(delays: npt.NDArray[np.float64], dropped: npt.NDArray[np.bool_]) -> dict[str, float]:
    return {"included": float(len(delays)), **spread(delays, largest=True), "dropped": float(np.count_nonzero(dropped))}
