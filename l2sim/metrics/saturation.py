"""Saturation: what it buys an attacker, per ether, to fill the blocks that a rollup posts to."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BadDebtIncurred, BlockSealed, HeadAdvanced
from l2sim.events.l1_market import SpaceBought
from l2sim.metrics import Metric
from l2sim.part import Refers
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Saturation(Metric):
    """Ether spent on filling an L1's blocks, and what a rollup on it suffers: how far its heads fall behind, and bad debt.

    ``lag`` is the greatest age that the newest safe block reaches, ``finalized_lag`` that of the newest finalized block. ``delay`` and
    ``finalized_delay`` are how much more that is than the greatest age before anything was bought, in the same run: give it the time
    of a few batches, and of finality, before the attack. What was worse before, such as an outage, hides what the attack does.

    ``per_ether`` figures divide by what was spent. Neither they nor delays are there where nobody spent anything.
    """

    units: ClassVar[dict[str, str]] = {
        "spent": "ETH", "bad_debt": "USD", "bad_debt_per_ether": "USD",
        **dict.fromkeys(("lag", "delay", "delay_per_ether", "finalized_lag", "finalized_delay", "finalized_delay_per_ether"), "s"),
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("spent", "delay", "delay_per_ether", "finalized_delay", "bad_debt_per_ether")
    needs: ClassVar[tuple[str, ...]] = ("SpaceBought",)

    rollup: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup; what was bought is what was bought on the L1 that it settles on."""
    market: Annotated[str, Refers("markets")] | None = None
    """The market whose bad debt counts; without one, that of all markets."""

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        l1 = log.about.get("chains", {}).get(self.rollup, {}).get("settles_on")
        bought, spent = log.select(SpaceBought, "time", "spent", chain=l1 or "")
        (debt,) = log.select(BadDebtIncurred, "amount", market=self.market)
        ether, unpaid = float(spent.sum()), float(debt.sum())
        per_ether = 1.0 / ether if ether else np.nan
        begins = int(bought.min()) if len(bought) else None
        lag, delay = _lags(log, self.rollup, "safe", begins)
        finalized_lag, finalized_delay = _lags(log, self.rollup, "finalized", begins)
        return pd.Series(
            {
                "spent": ether,
                "blocks": float(len(spent)),
                "lag": lag,
                "delay": delay,
                "finalized_lag": finalized_lag,
                "finalized_delay": finalized_delay,
                "bad_debt": unpaid,
                "delay_per_ether": delay * per_ether,
                "finalized_delay_per_ether": finalized_delay * per_ether,
                "bad_debt_per_ether": unpaid * per_ether,
            }
        )


def made_at(log: "Log", chain: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """When the blocks of a chain with these numbers were made (ns), block 0 at the start of the run.

    Empty blocks, which the log leaves out, are counted on from the last one before that it has, by the usual time between blocks. Where
    blocks ceased for a while, the empty ones before the next that it has thus count as made before that.
    """
    times, known = log.select(BlockSealed, "time", "number", chain=chain)
    times, known = np.append(0, times), np.append(0, known)
    last = np.searchsorted(known, numbers, side="right") - 1
    made: npt.NDArray[np.int64] = times[last] + (numbers - known[last]) * (log.about["chains"][chain]["block_time"] or 0)
    return made


def _lags(log: "Log", rollup: str, head: str, begins: int | None) -> tuple[float, float]:
    """The greatest age that the newest block under a head reaches, and by how much that is more than before a time (ns); both in s."""
    if rollup not in log.about.get("chains", {}):
        return np.nan, np.nan
    times, number = log.select(HeadAdvanced, "time", "number", chain=rollup, head=head)
    made = made_at(log, rollup, np.append(0, number))

    def greatest(until: int) -> float:
        """Ages are greatest just before the head moves, and at the end."""
        moved = times[times < until]
        return float((np.append(moved, until) - made[: len(moved) + 1]).max()) / SECOND

    lag = greatest(log.about.get("duration", 0))
    return lag, np.nan if begins is None else lag - greatest(begins)
