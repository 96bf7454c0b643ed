"""Loan liquidations: what liquidators repaid and seized, and who gained by it."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BadDebtIncurred, LoanLiquidated
from l2sim.metrics import Metric, groups
from l2sim.part import MarketName

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class LoanLiquidations(Metric):
    """Liquidations in lending pools, at the prices that the pools saw.

    Borrowers lose what is seized beyond what is repaid; the protocol takes its part of that, liquidators gain the rest, before fees and
    before they have sold anything. ``repaid_share`` is the mean share of what was seized in one liquidation that paid for debt, and
    ``health_factor`` the mean health factor right before: how late liquidators were. Sums over nothing are zero. ``<agent>.…`` is about
    the agents (all of a group) that liquidated.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {
        "repaid": "USD", "seized": "USD", "lost": "USD", "gained": "USD", "bad_debt": "USD",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("loans", "repaid", "borrowers_lost", "bad_debt", "health_factor")

    market: MarketName | None = None
    """Only this pool; without it, all of them."""

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        columns = ("account", "liquidator", "repaid_value", "seized_value", "protocol_fee", "health_factor")
        account, liquidator, repaid, seized, fee, health = log.select(LoanLiquidated, *columns, market=self.market)
        where, unpaid = log.select(BadDebtIncurred, "market", "amount", market=self.market)
        pools = [log.names.find(name) for name in log.present(LoanLiquidated, "market")]
        gained = seized - fee - repaid
        figures = {
            "loans": float(len(np.unique(account))),
            "liquidations": float(len(account)),
            "repaid": float(repaid.sum()),
            "seized": float(seized.sum()),
            "borrowers_lost": float((seized - repaid).sum()),
            "liquidators_gained": float(gained.sum()),
            "protocol_gained": float(fee.sum()),
            "bad_debt": float(unpaid[np.isin(where, pools)].sum()),
            "repaid_share": _mean(repaid / seized),
            "health_factor": _mean(health),
        }
        names, groups_of = groups(liquidator, log)
        for i in np.unique(groups_of).tolist():
            mine = groups_of == i
            figures |= {f"{names[i]}.liquidations": float(np.count_nonzero(mine)), f"{names[i]}.gained": float(gained[mine].sum())}
        return pd.Series(figures, dtype=float)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else np.nan
