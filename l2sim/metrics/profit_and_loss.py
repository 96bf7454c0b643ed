"""Profit and loss: who gained and who lost, in dollars, over the whole run."""

from math import fsum
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import AccountClosed
from l2sim.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class ProfitAndLoss(Metric):
    """Change in what each group of accounts holds, valued in US dollars at the end: by group and by kind.

    Everything that money can go to is a group, sinks such as burned fees too, so ``sum`` is zero up to rounding; what somebody
    gained, somebody lost. ``gained`` is the sum over the groups that gained, and a group's ``share`` is its profit over that:
    shares of winners add up to 1, those of losers to -1.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {"sum": "USD", "gained": "USD", "profit": "USD", "total": "USD"}
    key: ClassVar[tuple[str, ...]] = ("profit", "sum")

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        groups = _totals("group", log)
        gained = fsum(profit for profit in groups.values() if profit > 0)
        figures = {"sum": fsum(log.select(AccountClosed, "value")[0]), "gained": gained}
        figures |= {f"groups.{name}.profit": profit for name, profit in groups.items()}
        figures |= {f"groups.{name}.share": profit / gained if gained else np.nan for name, profit in groups.items()}
        figures |= {f"kinds.{name}.total": total for name, total in _totals("kind", log).items()}
        return pd.Series(figures, dtype=float)


def _totals(field: str, log: "Log") -> dict[str, float]:
    names: npt.NDArray[np.int16]
    names, values = log.select(AccountClosed, field, "value")
    present, position = np.unique(names, return_inverse=True)
    totals = np.bincount(position, weights=values, minlength=len(present))
    return dict(sorted((log.names.all[code], float(total)) for code, total in zip(present, totals, strict=True)))
