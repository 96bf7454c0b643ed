"""Cost per transaction: what senders pay for execution on their chain, for their data on L1, and to have it included through L1."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import PriceMoved, TransactionIncluded
from l2sim.events.inclusion import MessageForced, MessageIncluded, MessageQueued, MessageRefused
from l2sim.metrics import Metric, of_others, trading_chains
from l2sim.part import AgentName
from l2sim.units import Positive, Usd

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def stands(numbers: Ints) -> npt.NDArray[np.bool_]:
    """Which rows are the last with their message's number: what L1 undid and took again may be in the log twice, and was paid once."""
    last = {one: row for row, one in enumerate(numbers.tolist())}
    found = np.zeros(len(numbers), bool)
    found[list(last.values())] = True
    return found


def messages(log: "Log", chain: str) -> tuple[Ints, Ints, Floats]:
    """What was paid on L1 for messages to a rollup: number, who paid, and what (ETH); gas and fee of the queue, calls that force."""
    number, sender, cost = log.select(MessageQueued, "number", "sender", "cost", chain=chain)
    of, caller, accepted, gas = log.select(MessageForced, "number", "sender", "accepted", "cost", chain=chain)
    queued, called = stands(number), stands(of) | (accepted == 0)
    pairs = (number[queued], of[called]), (sender[queued], caller[called]), (cost[queued], gas[called])
    numbers, senders, costs = map(np.concatenate, pairs)
    return numbers, senders, costs


def paid_on_l1(log: "Log", chain: str) -> tuple[Ints, Floats]:
    """Who paid on L1 to have transactions included in a rollup, and what (ETH): gas and fee of the queue, and calls that force.

    What is in no block yet, and what the queue refused, was paid for too.
    """
    _, senders, costs = messages(log, chain)
    refused, gas = log.select(MessageRefused, "sender", "cost", chain=chain)
    return np.append(senders, refused), np.append(costs, gas)


def inclusion(log: "Log", chain: str, submitted: Ints, senders: Ints, blocks: Ints) -> Floats:
    """What was paid on L1 (ETH) to have each of these transactions included, all in blocks of a chain; 0 where it came the usual way."""
    amounts = np.zeros(len(submitted))
    spent: dict[int, float] = {}
    paid_for, _, costs = messages(log, chain)
    for one, cost in zip(paid_for.tolist(), costs.tolist(), strict=True):
        spent[one] = spent.get(one, 0.0) + cost
    number, of_block, sent, sender = log.select(MessageIncluded, "number", "block", "submitted", "sender", chain=chain)
    due: dict[tuple[int, int, int], list[float]] = {}
    for one, *key in zip(number.tolist(), of_block.tolist(), sent.tolist(), sender.tolist(), strict=True):
        due.setdefault((key[0], key[1], key[2]), []).append(spent.get(one, 0.0))
    # A block begins with its messages, so that the first of several alike is the one that came through L1.
    for row in np.flatnonzero(np.isin(blocks, of_block) & np.isin(senders, sender)).tolist() if due else ():
        left = due.get((int(blocks[row]), int(submitted[row]), int(senders[row])))
        if left:
            amounts[row] = left.pop(0)
    return amounts


class CostPerTransaction(Metric):
    """What a transaction in a block paid, per chain: execution on the chain, data on L1, inclusion through L1, and all; mean and median.

    ``inclusion`` is the gas and the fees that its sender paid on L1 where it came through L1's queue. Reverted transactions are in a
    block and pay, so they count. Dollars are at the outside price of ether when the block was made (the last ``PriceMoved`` until
    then), or at the price at the end where the run recorded none.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {"eth": "ETH", "usd": "USD"}
    key: ClassVar[tuple[str, ...]] = (
        "execution_mean_usd", "data_mean_usd", "inclusion_mean_usd", "total_mean_usd", "total_median_usd",
    )  # fmt: skip

    price: str = "eth"
    """Name of ether's price among the scenario's prices."""
    ether: Annotated[Usd, Positive] | None = None
    """US dollars an ether where the scenario has no such price; without it, dollars are unknown there."""

    leaves_out: tuple[AgentName, ...] = ()
    """Whose transactions do not count in a chain's figures, such as those of people who have to come through L1."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: self._of(chain, log) for chain in trading_chains(log)}, orient="index", dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        columns = "time", "execution_fee", "data_fee", "submitted", "sender", "block"
        times, execution, data, *which = log.select(TransactionIncluded, *columns, chain=chain)
        on_l1 = inclusion(log, chain, *which)
        others = of_others(log, which[1], self.leaves_out)
        times, execution, data, on_l1 = times[others], execution[others], data[others], on_l1[others]
        dollars = self._dollars(times, log)
        data = data.astype(np.float64)  # kept narrow in the log
        figures = {"transactions": float(len(times))}
        for name, ether in (("execution", execution), ("data", data), ("inclusion", on_l1), ("total", execution + data + on_l1)):
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
