"""Extraction: what trades with pools lost against the price when they were sent, to what, and to whom."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from l2sim.events import TradeAttributed, ValueExtracted
from l2sim.metrics import Metric, groups

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

PARTS = ("loss", "movement", "fees", "impact", "extraction")


class Extraction(Metric):
    """Loss of trades with pools against the pool's price when they were sent, per agent or per pool, and its parts.

    ``movement``: others moved the price before; ``fees`` of the pool and of the chain (all that a reverted trade loses);
    ``impact`` of the trade itself; ``extraction``: what those took who traded before and behind it in its block, in either direction
    (a sandwich). The parts add up to the loss, and gains are negative. ``taken`` is what an agent took from others' trades, or what was
    taken in a pool; what it costs to take it is among the losses of the taker's own trades.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    needs: ClassVar[tuple[str, ...]] = (TradeAttributed.__name__, ValueExtracted.__name__)
    units: ClassVar[dict[str, str]] = dict.fromkeys((*PARTS, "taken"), "USD")
    key: ClassVar[tuple[str, ...]] = ("loss", "extraction", "taken")

    by: Literal["agent", "pool"] = "agent"
    """Whose trades a row is about: those of an agent (a crowd, all searchers) that traded or took anything, or those in a pool."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        market, sender, *parts = log.select(TradeAttributed, "market", "sender", *PARTS)
        taken_market, taker, amount = log.select(ValueExtracted, "market", "taker", "amount")
        if self.by == "agent":
            names, who = groups(sender, log)
            _, took = groups(taker, log)
        else:
            present = log.present(TradeAttributed, "market")
            names, codes = present, [log.names.find(name) for name in present]
            who, took = _positions(market, codes), _positions(taken_market, codes)
        n = len(names)
        figures = {"trades": np.bincount(who, minlength=n).astype(float)}
        figures |= {name: np.bincount(who, part, n) for name, part in zip(PARTS, parts, strict=True)}
        figures["taken"] = np.bincount(took, amount, n)
        rows = pd.DataFrame(figures, index=pd.Index(names, dtype=object))
        return rows[(rows["trades"] > 0) | (rows["taken"] != 0)].sort_index()


def _positions(codes: npt.NDArray[np.int16], known: list[int]) -> npt.NDArray[np.intp]:
    order = np.argsort(known)
    return order[np.searchsorted(np.array(known, np.int64), codes, sorter=order)] if len(codes) else np.zeros(0, np.intp)
