"""A stretch: blocks that nobody looks at in between, made in one go by compiled code, with the same bits as one by one."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.compiled import compiled
from l2sim.events import BlockSealed
from l2sim.fees import FeeState
from l2sim.transactions import ANY_FEE, NEVER, Rows
from l2sim.units import ETH
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
    return 0
    found = chain.inbox.stretch(times)
    if found is None:
        return 0
    rows, bounds, traits = found
    in_order = chain.rules.ordering.by_arrival or (chain.rules.ordering.by_tip and not traits.tips)
    plain = traits.lowest_cap == ANY_FEE and traits.first_deadline == NEVER and not (traits.tickets or traits.references or traits.tips)
    if not in_order or not plain or traits.gas is None or traits.size is None:
        return 0
    return _make(chain, rows, np.array(bounds), traits.gas, traits.size, times)


class _Block(NamedTuple):
    """A block that is planned."""

    rows: int
    base_fee: int
    fee: float
    """What each row pays for execution, ETH."""
    fee_state: FeeState
    """Of the fee, after the block."""


def _plan(chain: "LiveRollup", counts: list[int], gas: int, size: int) -> list[_Block]:
    """The blocks, as far as everything that arrives fits into them."""
    blocks: list[_Block] = []
    state, unposted, limit, rules = chain.fee_state, chain.unposted_bytes, chain.gas_limit(), chain.rules
    for n in counts:
        if n * gas > limit or (rules.backlog_limit is not None and unposted > rules.backlog_limit):
            break
        base_fee = rules.fee.price(state)
        state = chain.next_fee(state, n * gas)
        blocks.append(_Block(n, base_fee, gas * (base_fee / ETH), state))
        unposted += n * size + rules.block_overhead
    return blocks


def _make(chain: "LiveRollup", rows: Rows, bounds: Any, gas: int, size: int, times: list[int]) -> int:
    counts = bounds[1:] - bounds[:-1]
    blocks = _plan(chain, counts.tolist(), gas, size)
    data, token = size * chain.data_price(), chain.world.ledger.column(chain.name, GAS_TOKEN)
    start, stop = int(bounds[0]), int(bounds[len(blocks)])
    costs = np.array([block.fee + data for block in blocks]).repeat(counts[: len(blocks)])
    broke = compiled(charge)(token, rows.sender[start:stop], costs, bounds[: len(blocks) + 1] - start, np.empty(len(costs)))
    made = len(blocks) if broke < 0 else broke
    if not made:
        return 0
    first = chain.height
    for (n, base_fee, fee, state), time in zip(blocks[:made], times, strict=False):
        chain.height += 1
        if n:
            chain.collect(token, n * fee, n * data, n * gas * base_fee / ETH)
            chain.note(time, BlockSealed(chain.name, chain.height, n, n * gas, base_fee, 0, 0, 0))
        chain.sealed(chain.height, time, n * gas, n * size, state)
    chain.last_block = times[made - 1]
    chain.inbox.taken(rows, int(bounds[made]))
    _execute(chain, rows, bounds[: made + 1], counts[:made], times[:made], [block.fee for block in blocks[:made]], data, first)
    return made


def _execute(
    chain: "LiveRollup", rows: Rows, bounds: Any, counts: Any, times: list[int], fees: list[float], data: float, height: int
) -> None:
    """Execute blocks whose senders have paid, the first of them after ``height``, and write their rows down."""
    start, stop = int(bounds[0]), int(bounds[-1])
    if stop == start:
        return
    status, x, y = chain.books[0].run_blocks(rows, start, stop, bounds - start)
    heights = np.arange(height + 1, height + len(bounds)).repeat(counts)
    chain.write(rows, start, stop, np.array(times).repeat(counts), heights, status, np.array(fees).repeat(counts), data, x, y)
    if status.any():
        for i in np.flatnonzero(status).tolist():
            chain.world.failed(rows, start + i, int(status[i]))
