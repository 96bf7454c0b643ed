"""A stretch: blocks that nobody looks at in between, made in one go by compiled code, with the same bits as one by one."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.compiled import compiled, pointer
from l2sim.kernels import INTENT, INTENTS, MEMORY, OUT
from l2sim.transactions import ANY_FEE, NEVER, Receipt, Rows
from l2sim.world import block_kernel as kernel
from l2sim.world.execution import MarketFailed
from l2sim.world.ledger import GAS_TOKEN

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup

NO_LIMIT = 2**62
Told = list[tuple[list[int], list[float]]]
"""Rows of which somebody is told: block, where it came from, action, sender and status; x, y and fees."""


class Machine:
    """What compiled code needs of a rollup, packed once."""

    def __init__(self, chain: "LiveRollup") -> None:
        from numba import types
        from numba.typed import List

        floats, wholes, table = types.float64[::1], types.int64[::1], types.float64[:, ::1]
        i, f = types.int64, types.float64
        execute = i(floats, wholes, table, floats, i, i, f, f, f, f, f, floats)
        begin = types.void(floats, wholes, floats, i)
        mid = f(floats, wholes, table, floats)
        decide = i(floats, floats, floats, wholes, table, floats, i, floats, i, i, i, wholes, wholes, floats, floats, floats, wholes, table)
        books, state, reflexes = chain.books, chain.state, chain.reflexes

        def listed(kind: Any, items: Any) -> Any:
            made = List.empty_list(kind)
            for item in items:
                made.append(item)
            return made

        def functions(signature: Any, plain: Any) -> Any:
            return listed(types.FunctionType(signature), [pointer(function, signature) for function in plain])

        self.kernels = functions(execute, [type(book).kernel for book in books])
        self.begins = functions(begin, [type(book).begin_kernel or kernel.nothing for book in books])
        self.mids = functions(mid, [type(book).mid_kernel or kernel.no_price for book in books])
        self.cells = listed(floats, [book.cells.raw for book in books])
        self.codes = listed(wholes, [book.codes.raw for book in books])
        self.calls = np.array([book.calls_code for book in books], np.int64)
        self.decides = functions(decide, [type(reflex.part).reflex for reflex in reflexes])
        self.settings = listed(floats, [np.array([*reflex.settings, 0.0]) for reflex in reflexes])
        self.memory = np.zeros((len(reflexes), MEMORY))
        for reflex, memory in zip(reflexes, self.memory, strict=True):
            reflex.remember(memory)
        self.owns = np.array([reflex.own for reflex in reflexes], np.int64)
        self.homes = np.array([reflex.market for reflex in reflexes], np.int64)
        self.luck = np.array([reflex.key for reflex in reflexes], np.uint64)
        most = max(len(market.actions) for market in chain.markets)
        self.gas_of, self.size_of, self.log_codes = (np.zeros((len(books), most), np.int64) for _ in range(3))
        for m, market in enumerate(chain.markets):
            for k, action in enumerate(market.actions):
                self.gas_of[m, k], self.size_of[m, k] = market.gas[action], market.size[action]
                self.log_codes[m, k] = chain.call_codes[m][1][k]
        self.log_markets = np.array([code for code, _ in chain.call_codes], np.int64)
        self.after = pointer(chain.rules.fee.kernel, i(wholes, i, i, i, i, wholes))
        self.after = listed(types.FunctionType(i(wholes, i, i, i, i, wholes)), [self.after])
        self.terms = np.array([*chain.rules.fee.terms(), 0], np.int64)
        self.outside = chain.outside_sources()
        self.slots = np.array([source.slot for _, source in self.outside], np.int64)
        names = [name for name, _ in self.outside]
        self.ether = names.index("eth") if "eth" in names else None
        """Which of these is the gas token's price."""
        self.prices = chain.state.raw["prices"]
        self.purses = state.table
        n = INTENTS * max(len(reflexes), 1)
        self.scratch = (
            np.zeros((INTENTS, INTENT)), np.zeros(7), np.zeros((n, INTENT)), np.zeros(n, np.int64), np.zeros(n, np.uint64),
            np.zeros((len(reflexes), MEMORY)),
        )  # fmt: skip
        self.out = np.zeros(OUT)
        self.ways = np.zeros(kernel.RULES, np.int64)
        """The rules of the block kernel; those that change from stretch to stretch are set for each."""
        self.ways[kernel.BY_TIP], self.ways[kernel.VISIBLE] = chain.rules.ordering.by_tip, chain.shows()
        self.ways[kernel.FEE_GAS_LIMIT], self.ways[kernel.OVERHEAD] = chain.rules.block_gas_limit, chain.rules.block_overhead
        self.ways[kernel.TOKEN], self.ways[kernel.ACCOUNT] = state.purse(GAS_TOKEN), chain.account
        self.ways[kernel.STOP_AFTER_REFLEX] = chain.world.moves_outside()
        self._room: list[Any] = []
        self._rows = self._block = -1
        self.told = np.empty((0, 5), np.int64), np.empty((0, 3))
        self.make: Any = compiled(kernel.make_blocks, allocates=True)
        self.transcribe, self.seal = compiled(transcribe), compiled(seal)
        if chain.l1 is not None:
            chain.l1.market.compile()

    def room(self, rows: int, block: int) -> tuple[list[Any], Any, Any, Any]:
        """Columns for so many rows, notes, and scratch for blocks of so many rows; they are used again and again."""
        if rows > self._rows or block > self._block:
            self._rows, self._block = max(rows, self._rows), max(block, self._block)
            n = self._rows
            columns = [np.empty(n, np.int64) for _ in range(7)] + [np.empty(n) for _ in range(4)]
            self.told = np.empty((n, 5), np.int64), np.empty((n, 3))
            self._room = [columns, np.empty((n, kernel.NOTE)), np.empty(self._block, np.int64), np.empty(self._block)]
        columns, notes, order, before = self._room
        return columns, notes, order, before


def able(chain: "LiveRollup") -> bool:
    """Whether a rollup's blocks can be made by compiled code at all."""
    return (
        chain.inbox.arrays
        and chain.service is None
        and all(type(book).kernel is not None for book in chain.books)
        and chain.rules.fee.kernel is not None
        and (chain.rules.ordering.by_arrival or chain.rules.ordering.by_tip)
    )


def stretch(chain: "LiveRollup", times: Sequence[int]) -> int:
    """Make the blocks at these times, as far as they are plain: how many were made, 0 where the first is not.

    Plain blocks take all that has arrived from senders who can pay and wait for nothing. Nothing may happen in the world between
    the first time and the last.
    """
    found = chain.inbox.stretch(times)
    if found is None:
        return 0
    rows, bounds, traits = found
    if traits.lowest_cap != ANY_FEE or traits.first_deadline != NEVER or traits.tickets or traits.references:
        return 0
    if chain.machine is None:
        chain.machine = Machine(chain)
    machine, rules, world = chain.machine, chain.rules, chain.world
    at = np.array(times[: len(bounds) - 1], np.int64)
    n, arrivals = len(at), int(bounds[-1]) - int(bounds[0])
    indices = [world.prices.indices(name, at) for name, _ in machine.outside]
    whole = np.empty((n, len(indices)))
    for k, index in enumerate(indices):
        whole[:, k] = index
    throttles = [rules.backlog_limit, None if rules.data_throttle is None else rules.data_throttle.begins]
    backlog = min((limit for limit in throttles if limit is not None and rules.batch_poster is not None), default=None)
    ripe = NO_LIMIT if chain.batches.ripens is None else chain.batches.ripens - chain.batches.unsent
    ways = machine.ways
    ways[kernel.TIPS], ways[kernel.GAS_LIMIT], ways[kernel.RIPE] = traits.tips, chain.gas_limit(), ripe
    ways[kernel.BACKLOG_LIMIT] = NO_LIMIT if backlog is None else backlog
    progress = np.array([chain.base_fee(), chain.height, 0 if backlog is None else chain.batches.backlog, 0, 0], np.int64)
    answered = np.array([chain.answered.get(code, 0) if chain.listens(code) else NO_LIMIT for code in range(len(chain.books))], np.int64)
    reflexes = len(chain.reflexes)
    most = arrivals + INTENTS * reflexes  # a block may have them all
    columns, notes, order, before = machine.room(most + 4 * n * reflexes, most)
    blocks = np.empty((4, n), np.int64)
    charges = chain.charging.several(at)
    ether = world.gas_token_prices(at) if machine.ether is None else indices[machine.ether]
    ways[kernel.FOOTPRINT], state = charges.footprint, np.array(chain.fee_state, np.int64)
    ways[kernel.DATA_LIMIT] = chain.data_limit().room(chain.gas_limit(), charges.footprint)
    made = machine.make(
        machine.kernels, machine.begins, machine.mids, machine.cells, machine.codes, machine.calls, answered, machine.purses,
        machine.prices, rows.market, rows.action, rows.sender, rows.a, rows.b, rows.c, rows.slippage, rows.reference, rows.tip,
        rows.gas, rows.size, bounds, at, machine.slots, whole, charges.rows, chain.second(at), ether, state, machine.after, machine.terms,
        ways, progress, machine.decides, machine.settings, machine.memory, machine.owns, machine.homes, machine.luck,
        machine.gas_of, machine.size_of, *machine.scratch, order, before, machine.out, *columns, notes, *blocks,
    )  # fmt: skip
    if made:
        chain.inbox.taken(times[made - 1])
        told = _write(chain, machine, rows, at[:made], blocks[:, :made], columns, int(progress[kernel.ROWS]))
        _tell(chain, times[:made], notes[: progress[kernel.NOTES]], rows, told)
        chain.fee_state = tuple(state.tolist())
        charges.made(int(made))
    return int(made)


def transcribe(
    log: Any, at: int, chain: int, times: Any, height: int, submitted: Any, markets: Any, actions: Any, told: Any, n: int,
    block: Any, came: Any, market: Any, action: Any, sender: Any, status: Any, gas: Any, fee: Any, data: Any, x: Any, y: Any,
) -> int:  # fmt: skip
    """Write executed rows into the log's columns from a place on; how many of them came from reflexes or reverted.

    What is to be told of these goes into ``told``: block, where it came from, action, sender and status; x, y and fees. Where a row has
    left what is no number, -1 - its position is returned instead.
    """
    time_to, chain_to, block_to, submitted_to, sender_to, market_to, action_to, status_to, gas_to, fee_to, data_to, x_to, y_to = log
    found = 0
    for i in range(n):
        if not isfinite(x[i] + y[i]):
            return -1 - i
        row, now = at + i, times[block[i]]
        time_to[row], chain_to[row], block_to[row], sender_to[row] = now, chain, height + 1 + block[i], sender[i]
        submitted_to[row] = submitted[came[i]] if came[i] >= 0 else now
        market_to[row], action_to[row], status_to[row] = markets[market[i]], actions[market[i], action[i]], status[i]
        gas_to[row], fee_to[row], data_to[row], x_to[row], y_to[row] = gas[i], fee[i], data[i], x[i], y[i]
        if came[i] < 0 or status[i] != 0:
            whole, real = told[0][found], told[1][found]
            whole[0], whole[1], whole[2], whole[3], whole[4] = block[i], came[i], action[i], sender[i], status[i]
            real[0], real[1], real[2] = x[i], y[i], fee[i] + data[i]
            found += 1
    return found


def seal(log: Any, at: int, chain: int, times: Any, height: int, counts: Any, gas: Any, base_fee: Any) -> int:
    """The same for blocks, but for those without transactions; how many were written."""
    time_to, chain_to, number_to, transactions_to, gas_to, base_fee_to, blob_base_fee_to, blobs_to, pending_to = log
    row = at
    for k in range(len(times)):
        if counts[k] != 0:
            time_to[row], chain_to[row], number_to[row], transactions_to[row] = times[k], chain, height + 1 + k, counts[k]
            gas_to[row], base_fee_to[row], blob_base_fee_to[row], blobs_to[row], pending_to[row] = gas[k], base_fee[k], 0, 0, 0
            row += 1
    return row - at


def _write(chain: "LiveRollup", machine: Machine, rows: Rows, times: Any, blocks: Any, columns: list[Any], n: int) -> Told:
    """Write blocks and their rows down; what is to be told of the rows that came from reflexes or reverted.

    It sees that markets gave numbers and hold numbers, and that reflexes wanted what they may want; as ``Execution`` does row by row.

    Raises:
        MarketFailed: something is no number.
        ValueError: a reflex wanted what is no transaction by itself.
    """
    execution, (counts, used, size, base_fee) = chain.execution, blocks
    log, at = chain.included.room(n)
    found = machine.transcribe(
        log, at, chain.log_code, times, chain.height, rows.submitted, machine.log_markets, machine.log_codes, machine.told, n, *columns
    )  # fmt: skip
    if found < 0:
        block, _, market, *_, x, y = (column[-1 - found] for column in columns)
        raise MarketFailed(execution.names[market], int(times[block]), f"ArithmeticError: an action gave {x} and {y}")
    for which, account in enumerate(execution.accounts):
        if not isfinite(held := sum(chain.state.table[:, account].tolist())):  # type: ignore[index]
            raise MarketFailed(execution.names[which], int(times[-1]), f"ArithmeticError: it holds {held} in all")
    wholes, reals = machine.told
    told: Told = list(zip(wholes[:found].tolist(), reals[:found].tolist(), strict=True))
    for (_, came, action, _, _), _ in told:
        if came < 0 and action in chain.reflexes[-1 - came].within:
            chain.reflexes[-1 - came].refuse(action)
    chain.included.wrote(n)
    log, at = chain.seals.room(len(times))
    chain.seals.wrote(machine.seal(log, at, chain.log_code, times, chain.height, counts, used, base_fee))
    chain.made(times, size)
    return told


def _tell(chain: "LiveRollup", times: Sequence[int], notes: Any, rows: Rows, told: Told) -> None:
    """Make facts of what kernels told, and tell agents what became of their transactions, at the times of the blocks."""
    world, reflexes = chain.world, chain.reflexes
    if len(notes):
        for b, m, _, what, who, *left in (notes[np.lexsort((notes[:, 2], notes[:, 1], notes[:, 0]))] if len(notes) > 1 else notes).tolist():
            for fact in chain.books[int(m)].told(int(what), int(who), left[3 : 3 + int(left[2])]):
                world.record_at(times[int(b)], fact)
    height = chain.height - len(times) + 1
    with world.clock.at(times[0]):
        for (block, came, action, _, status), (x, y, cost) in told:
            if came < 0 and reflexes[-1 - came].listens:
                world.clock.show(times[block])
                reflexes[-1 - came].answered(action, Receipt(status, height + block, x, y, cost))
    if world.hears_of_failures():
        for (block, came, action, sender, status), _ in told:
            if status:
                first, submitted = (rows.a[came], rows.submitted[came]) if came >= 0 else (0.0, times[block])
                world.failed(sender, status, action, float(first), int(submitted))
    chain.tell(times[-1])
