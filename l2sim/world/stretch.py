"""A stretch: blocks that nobody looks at in between, made in one go by compiled code, with the same bits as one by one."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.compiled import compiled
from l2sim.events import BlockSealed
from l2sim.transactions import ANY_FEE, NEVER, Rows
from l2sim.units import ETH
from l2sim.world.inbox import Traits
from l2sim.world.ledger import GAS_TOKEN

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup


def charge(token: Any, senders: Any, costs: Any, bounds: Any, before: Any) -> int:
    """Debit senders block by block, until a block in which one cannot pay: that block's number, its debits undone, or -1."""
    for block in range(len(bounds) - 1):
        broke = False
        for i in range(bounds[block], bounds[block + 1]):
            before[i] = token[senders[i]]
            token[senders[i]] = before[i] - costs[i]
            if before[i] - costs[i] < 0.0:
                broke = True
        if broke:
            for i in range(bounds[block + 1] - 1, bounds[block] - 1, -1):
                token[senders[i]] = before[i]
            return block
    return -1


def stretch(chain: "LiveRollup", times: list[int]) -> int:
    """Make the blocks at these times, as far as they are plain: how many were made, 0 where the first is not.

    Plain blocks take what one crowd sent, all of it, in the order of arrival, from senders who can pay and who wait for
    nothing. Nothing may happen in the world between the first time and the last.
    """
    found = chain.inbox.stretch(times)
    if found is None:
        return 0
    rows, bounds, traits = found
    in_order = chain.ordering.by_arrival or (chain.ordering.by_tip and not traits.tips)
    plain = traits.lowest_cap == ANY_FEE and traits.first_deadline == NEVER and not (traits.tickets or traits.references or traits.tips)
    if not in_order or not plain or traits.gas is None or traits.size is None:
        return 0
    planned = _plan(chain, bounds, traits.gas, traits.size)
    return _make(chain, rows, bounds[: len(planned) + 1], traits, times, planned) if planned else 0


def _plan(chain: "LiveRollup", bounds: list[int], gas: int, size: int) -> list[int]:
    """The base fees of the blocks, as far as everything that arrives fits into them."""
    fees: list[int] = []
    state, unposted, limit = chain.fee_state, chain.unposted_bytes, chain.gas_limit()
    for start, stop in pairwise(bounds):
        used = (stop - start) * gas
        if used > limit or (chain.rules.backlog_limit is not None and unposted > chain.rules.backlog_limit):
            break
        fees.append(chain.rules.fee.price(state))
        state = chain.next_fee(state, used)
        unposted += (stop - start) * size + chain.rules.block_overhead
    return fees


def _make(chain: "LiveRollup", rows: Rows, bounds: list[int], traits: Traits, times: list[int], base_fees: list[int]) -> int:
    gas, size = traits.gas or 0, traits.size or 0
    start, counts = bounds[0], np.diff(bounds)
    fees, data = [gas * (base_fee / ETH) for base_fee in base_fees], size * chain.data_price()
    costs = np.repeat(np.array([fee + data for fee in fees]), counts)
    token = chain.world.ledger.column(chain.name, GAS_TOKEN)
    broke = compiled(charge)(token, rows.sender[start : bounds[-1]], costs, np.array(bounds) - start, np.empty(len(costs)))
    made = len(base_fees) if broke < 0 else broke
    first = chain.height
    for i in range(made):
        n = int(counts[i])
        used = n * gas
        chain.height += 1
        if n:
            chain.collect(token, n * fees[i], n * data, used * base_fees[i] / ETH)
            chain.note(times[i], BlockSealed(chain.name, chain.height, n, used, base_fees[i], 0, 0, 0))
        chain.sealed(chain.height, times[i], used, n * size, chain.next_fee(chain.fee_state, used))
    if made:
        chain.last_block = times[made - 1]
        _execute(chain, rows, bounds[: made + 1], np.array(times[:made]), np.array(fees[:made]), data, first)
    return made


def _execute(chain: "LiveRollup", rows: Rows, bounds: list[int], times: Any, fees: Any, data: float, height: int) -> None:
    """Execute blocks whose senders have paid, the first of them after ``height``, and write their rows down."""
    start, stop, counts = bounds[0], bounds[-1], np.diff(bounds)
    chain.inbox.taken(rows, stop)
    if stop == start:
        return
    status, x, y = chain.books[0].run_blocks(rows, start, stop, np.array(bounds) - start)
    heights = np.repeat(np.arange(height + 1, height + len(bounds)), counts)
    chain.write(rows, start, stop, np.repeat(times, counts), heights, status, np.repeat(fees, counts), data, x, y)
    for i in np.flatnonzero(status).tolist():
        chain.world.failed(rows, start + i, int(status[i]))
