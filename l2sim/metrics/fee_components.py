"""Fee components: what each group of agents pays a chain, told apart by what it is for."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, TransactionIncluded
from l2sim.events.fees import OperatorFeeSet
from l2sim.metrics import groups, of_others, trading_chains
from l2sim.metrics.cost_per_transaction import CostPerTransaction, inclusion, paid_on_l1
from l2sim.units import ETH

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

COMPONENTS = ("base", "priority", "data", "operator", "inclusion")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def paid(log: "Log", chain: str) -> tuple[Ints, Ints, Floats]:
    """Of each transaction in a block of a chain: time (ns), sender, and what it paid by component (ETH), shape (n, 5).

    The base fee is that of its block, NaN where that is not in the log; what it paid for execution beyond it is its priority fee; what
    the operator takes by gas and by transaction (OP Stack's operator fee, ZKsync's share of a batch's overhead on gas) is part of the
    data fee in the log. What it paid on L1 to be included is that of its own message there.
    """
    columns = log.select(TransactionIncluded, "time", "sender", "block", "gas", "execution_fee", "data_fee", "submitted", chain=chain)
    times, senders, block, gas, execution, data, submitted = columns
    components = np.zeros((len(times), len(COMPONENTS)))
    if not len(times):
        return times, senders, components
    number, fee = log.select(BlockSealed, "number", "base_fee", chain=chain)
    order = np.argsort(number, kind="stable")
    of_block = np.append(fee[order], np.nan)[np.searchsorted(number[order], block)]
    base = np.minimum(gas * (of_block / ETH), execution)
    data, operator = apart(log, chain, times, gas, data)
    on_l1 = inclusion(log, chain, submitted, senders, block)
    components[:] = np.column_stack([base, execution - base, data, operator, on_l1])
    return times, senders, components


def apart(log: "Log", chain: str, times: Ints, gas: Ints, data: Floats) -> tuple[Floats, Floats]:
    """What transactions paid for data and what the operator took besides (ETH), which the log has in one sum."""
    whole = data.astype(np.float64)  # kept narrow in the log
    since, per_gas, constant = log.select(OperatorFeeSet, "time", "per_gas", "per_transaction", chain=chain)
    if not len(since):
        return whole, np.zeros(len(whole))
    which = np.searchsorted(since, times, side="right") - 1
    operator = np.where(which >= 0, np.minimum(gas * per_gas[which] + constant[which], whole), 0.0)
    return whole - operator, operator


class FeeComponents(CostPerTransaction):
    """What transactions pay by component, on each chain and of each group of senders there: means of a transaction, and totals.

    ``base`` is the execution base fee, ``priority`` what is offered beyond it, ``data`` the fee for data on L1, ``operator`` what the
    operator takes besides, ``inclusion`` what is paid on L1, gas and fees, where they come through L1's queue. Means are of transactions
    in blocks; ``inclusion_total_eth`` counts what was paid for those that are in none, too. Reverted transactions pay, so they count.
    Dollars as in ``cost_per_transaction``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("agents", "attacks", "chains", "markets")
    units: ClassVar[dict[str, str]] = {"eth": "ETH", "usd": "USD"}
    key: ClassVar[tuple[str, ...]] = (
        "base_mean_usd", "priority_mean_usd", "data_mean_usd", "operator_mean_usd", "inclusion_mean_usd",
    )  # fmt: skip

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows: dict[str, dict[str, float]] = {}
        for chain in trading_chains(log):
            times, senders, components = paid(log, chain)
            dollars = self._dollars(times, log)
            names, group = groups(senders, log)
            payers, on_l1 = paid_on_l1(log, chain)
            _, payer = groups(payers, log)
            others = of_others(log, senders, self.leaves_out)
            by_others = of_others(log, payers, self.leaves_out)
            rows[chain] = _figures(components[others], dollars[others], float(on_l1[by_others].sum()))
            for which in np.union1d(group[group >= 0], payer[payer >= 0]).tolist():
                of_group = group == which
                rows[f"{names[which]} on {chain}"] = _figures(components[of_group], dollars[of_group], float(on_l1[payer == which].sum()))
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def _figures(components: Floats, dollars: Floats, on_l1: float) -> dict[str, float]:
    figures = {"transactions": float(len(components))}
    for name, ether in zip(COMPONENTS, components.T, strict=True):
        figures[f"{name}_mean_eth"] = float(ether.mean()) if len(ether) else np.nan
        figures[f"{name}_mean_usd"] = float((ether * dollars).mean()) if len(ether) else np.nan
        figures[f"{name}_total_eth"] = float(ether.sum()) if name != "inclusion" else on_l1
    return figures
