"""Bad debt: what positions owed beyond their margin, and loans beyond their collateral, and who paid for it."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.events import BadDebtIncurred, LoanLiquidated, PositionLiquidated, PositionOpened
from l2sim.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class BadDebt(Metric):
    """Shortfall of liquidated positions: what the insurance fund covered, and the rest, which nobody paid.

    Loans have no such fund: what they owe when their collateral is gone is all bad debt, which their lenders bear. Over all markets,
    and as ``<market>.…`` for each where several had positions or liquidated loans. Sums over nothing are zero: there was no shortfall.
    """

    subjects: ClassVar[tuple[str, ...]] = ("markets",)
    units: ClassVar[dict[str, str]] = {"bad_debt": "USD", "shortfall": "USD", "covered": "USD"}
    key: ClassVar[tuple[str, ...]] = ("bad_debt", "covered")

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        facts = PositionOpened, PositionLiquidated, LoanLiquidated, BadDebtIncurred
        markets = {name for fact in facts for name in log.present(fact, "market")}
        figures = _of(None, log)
        for market in sorted(markets) if len(markets) > 1 else ():
            figures |= {f"{market}.{name}": value for name, value in _of(market, log).items()}
        return pd.Series(figures, dtype=float)


def _of(market: str | None, log: "Log") -> dict[str, float]:
    (shortfall,) = log.select(PositionLiquidated, "shortfall", market=market)
    where, unpaid = log.select(BadDebtIncurred, "market", "amount", market=market)
    loans = unpaid[np.isin(where, [log.names.find(name) for name in log.present(LoanLiquidated, "market")])]
    missing = float(shortfall.sum() + loans.sum())
    return {
        "bad_debt": float(unpaid.sum()),
        "shortfall": missing,
        "covered": missing - float(unpaid.sum()),
        "positions": float(np.count_nonzero(shortfall > 0) + len(loans)),
    }
