"""Cost per transaction: what senders pay for execution on their chain and for their data on L1."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import PriceMoved, TransactionIncluded
from l2sim.metrics import Metric, trading_chains
from l2sim.units import Positive, Usd

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class CostPerTransaction(Metric):
    """What a transaction in a block paid, per chain: execution on the chain, data on L1, and both; mean and median.

    Reverted transactions are in a block and pay, so they count. Dollars are at the outside price of ether when the block was
    made (the last ``PriceMoved`` until then), or at the price at the end where the run recorded none.
    """

    units: ClassVar[dict[str, str]] = {"eth": "ETH", "usd": "USD"}
    key: ClassVar[tuple[str, ...]] = ("execution_mean_usd", "data_mean_usd", "total_mean_usd", "total_median_usd")

    price: str = "eth"
    """Name of ether's price among the scenario's prices."""
    ether: Annotated[Usd, Positive] | None = None
    """US dollars an ether where the scenario has no such price; without it, dollars are unknown there."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: self._of(chain, log) for chain in trading_chains(log)}, orient="index", dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        times, execution, data = log.select(TransactionIncluded, "time", "execution_fee", "data_fee", chain=chain)
        dollars = self._dollars(times, log)
        data = data.astype(np.float64)  # kept narrow in the log
        figures = {"transactions": float(len(times))}
        for name, ether in (("execution", execution), ("data", data), ("total", execution + data)):
            for currency, paid in (("eth", ether), ("usd", ether * dollars)):
                figures[f"{name}_mean_{currency}"] = float(paid.mean()) if len(paid) else np.nan
                figures[f"{name}_median_{currency}"] = float(np.median(paid)) if len(paid) else np.nan
        return figures

    def _dollars(self, times: npt.NDArray[np.int64], log: "Log") -> npt.NDArray[np.float64]:
        moved, index = log.select(PriceMoved, "time", "index", price=self.price)
        if not len(moved):
            last = log.about.get("prices", {}).get(self.price, self.ether)
            return np.full(len(times), np.nan if last is None else last)
        prices: npt.NDArray[np.float64] = index[np.maximum(np.searchsorted(moved, times, side="right") - 1, 0)]
        return prices
