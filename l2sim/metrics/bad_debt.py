"""Bad debt: what positions owed beyond their margin, and who paid for it."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.events import BadDebtIncurred, PositionLiquidated, PositionOpened
from l2sim.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class BadDebt(Metric):
    """Shortfall of liquidated positions: what the insurance fund covered, and the rest, which nobody paid.

    Over all markets, and as ``<market>.…`` for each where several had positions. Sums over nothing are zero: there was no
    shortfall.
    """

    units: ClassVar[dict[str, str]] = {"bad_debt": "USD", "shortfall": "USD", "covered": "USD"}
    key: ClassVar[tuple[str, ...]] = ("bad_debt", "covered")

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        markets = {name for fact in (PositionOpened, PositionLiquidated, BadDebtIncurred) for name in log.present(fact, "market")}
        figures = _of(None, log)
        for market in sorted(markets) if len(markets) > 1 else ():
            figures |= {f"{market}.{name}": value for name, value in _of(market, log).items()}
        return pd.Series(figures, dtype=float)


def _of(market: str | None, log: "Log") -> dict[str, float]:
    (shortfall,) = log.select(PositionLiquidated, "shortfall", market=market)
    (unpaid,) = log.select(BadDebtIncurred, "amount", market=market)
    return {
        "bad_debt": float(unpaid.sum()),
        "shortfall": float(shortfall.sum()),
        "covered": float(shortfall.sum() - unpaid.sum()),
        "positions": float(np.count_nonzero(shortfall > 0)),
    }
