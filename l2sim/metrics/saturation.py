"""Saturation: what it buys an attacker, per ether, to fill the blocks that a rollup posts to."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from l2sim.events import BadDebtIncurred, HeadAdvanced
from l2sim.events.l1_market import SpaceBought
from l2sim.metrics import Metric
from l2sim.part import Refers
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Saturation(Metric):
    """Ether spent on filling an L1's blocks, and what a rollup on it suffers: how far its safe head falls behind, and bad debt.

    The lag is the greatest age that the newest safe block reaches, by the rollup's usual time between blocks.

    ``per_ether`` figures divide by what was spent; they are not there where nobody spent anything.
    """

    units: ClassVar[dict[str, str]] = {
        "spent": "ETH", "lag": "s", "bad_debt": "USD", "lag_per_ether": "s", "bad_debt_per_ether": "USD",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("spent", "lag", "lag_per_ether", "bad_debt_per_ether")
    needs: ClassVar[tuple[str, ...]] = ("SpaceBought",)

    rollup: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup; what was bought is what was bought on the L1 that it settles on."""
    market: Annotated[str, Refers("markets")] | None = None
    """The market whose bad debt counts; without one, that of all markets."""

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        l1 = log.about.get("chains", {}).get(self.rollup, {}).get("settles_on")
        (spent,) = log.select(SpaceBought, "spent", chain=l1 or "")
        (debt,) = log.select(BadDebtIncurred, "amount", market=self.market)
        ether, lag, unpaid = float(spent.sum()), _lag(log, self.rollup), float(debt.sum())
        per_ether = 1.0 / ether if ether else np.nan
        return pd.Series(
            {
                "spent": ether,
                "blocks": float(len(spent)),
                "lag": lag,
                "bad_debt": unpaid,
                "lag_per_ether": lag * per_ether,
                "bad_debt_per_ether": unpaid * per_ether,
            }
        )


def _lag(log: "Log", rollup: str) -> float:
    """The greatest age that the newest safe block reaches, to the end of the run (s); NaN where there is no such rollup."""
    if rollup not in log.about.get("chains", {}):
        return np.nan
    times, number = log.select(HeadAdvanced, "time", "number", chain=rollup, head="safe")
    made = np.append(0, number) * log.about["chains"][rollup]["block_time"]
    return float((np.append(times, log.about.get("duration", 0)) - made).max()) / SECOND
