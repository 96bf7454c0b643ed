"""Fee components: what each group of agents pays a chain, told apart by what it is for."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, TransactionIncluded
from l2sim.events.fees import OperatorFeeSet
from l2sim.metrics import groups, trading_chains
from l2sim.metrics.cost_per_transaction import CostPerTransaction
from l2sim.units import ETH

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

COMPONENTS = ("base", "priority", "data", "operator")
Floats = npt.NDArray[np.float64]


def paid(log: "Log", chain: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Of each transaction in a block of a chain: time (ns), sender, and what it paid by component (ETH), shape (n, 4).

    The base fee is that of its block, NaN where that is not in the log; what it paid for execution beyond it is its priority fee; what
    the operator takes by gas and by transaction (OP Stack's operator fee, ZKsync's share of a batch's overhead on gas) is part of the
    data fee in the log.
    """
    columns = log.select(TransactionIncluded, "time", "sender", "block", "gas", "execution_fee", "data_fee", chain=chain)
    times, senders, block, gas, execution, data = columns
    components = np.zeros((len(times), len(COMPONENTS)))
    if not len(times):
        return times, senders, components
    number, fee = log.select(BlockSealed, "number", "base_fee", chain=chain)
    order = np.argsort(number, kind="stable")
    of_block = np.append(fee[order], np.nan)[np.searchsorted(number[order], block)]
    base = np.minimum(gas * (of_block / ETH), execution)
    since, per_gas, constant = log.select(OperatorFeeSet, "time", "per_gas", "per_transaction", chain=chain)
    data = data.astype(np.float64)  # kept narrow in the log
    operator = np.zeros(len(times))
    if len(since):
        which = np.searchsorted(since, times, side="right") - 1
        operator = np.where(which >= 0, np.minimum(gas * per_gas[which] + constant[which], data), 0.0)
    components[:] = np.column_stack([base, execution - base, data - operator, operator])
    return times, senders, components


class FeeComponents(CostPerTransaction):
    """What transactions pay by component, on each chain and of each group of senders there: means of a transaction, and totals.

    ``base`` is the execution base fee, ``priority`` what is offered beyond it, ``data`` the fee for data on L1, ``operator`` what the
    operator takes besides. Reverted transactions pay, so they count. Dollars as in ``cost_per_transaction``.
    """

    units: ClassVar[dict[str, str]] = {"eth": "ETH", "usd": "USD"}
    key: ClassVar[tuple[str, ...]] = ("base_mean_usd", "priority_mean_usd", "data_mean_usd", "operator_mean_usd")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows: dict[str, dict[str, float]] = {}
        for chain in trading_chains(log):
            times, senders, components = paid(log, chain)
            dollars = self._dollars(times, log)
            names, group = groups(senders, log)
            rows[chain] = _figures(components, dollars)
            for which in np.unique(group[group >= 0]).tolist():
                of_group = group == which
                rows[f"{names[which]} on {chain}"] = _figures(components[of_group], dollars[of_group])
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def _figures(components: Floats, dollars: Floats) -> dict[str, float]:
    figures = {"transactions": float(len(components))}
    for name, ether in zip(COMPONENTS, components.T, strict=True):
        figures[f"{name}_mean_eth"] = float(ether.mean()) if len(ether) else np.nan
        figures[f"{name}_mean_usd"] = float((ether * dollars).mean()) if len(ether) else np.nan
        figures[f"{name}_total_eth"] = float(ether.sum())
    return figures
