"""Attribution: what trades with a pool lost against the pool's price when they were sent, and to what, block by block.

The loss of a trade is what it paid minus what it got, valued at the pool's mid price when its sender let go of it (implementation
shortfall: Perold 1988, "The implementation shortfall: paper versus reality"), plus its fees of the chain. Two prices lie in between:
the mid right before it, and what it would have got, in a counterfactual in which all others who were executed before it in its block
trade the same amounts in the same order, at whatever price, but those are missing who took from it.

Somebody takes from a trade who trades with the same pool in the same direction before it and in the other direction after it in the
same block: the footprint by which sandwiches are found on chains (Qin, Zhou, Gervais 2022, "Quantifying blockchain extractable value",
arXiv 2101.05511), whoever means it. Where several do, they are left out one after the other, the first that came first, and each is
credited with what its absence is worth. A front-runner who comes back in a later block is a movement of the price like any other.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.events import TradeAttributed, ValueExtracted
from l2sim.kernels import OUT
from l2sim.markets import Book
from l2sim.transactions import STEPS
from l2sim.world.execution import Block, Executed

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain


ACTIONS = ("buy", "sell")
"""A market is a pool where these are its first actions, executed by a kernel at a ``fee``."""
BUY, SELL = range(2)


class Swap(NamedTuple):
    """A trade with a pool that was executed."""

    sender: int
    buys: bool
    """Whether US dollars were paid for the base asset, or else the other way round."""
    paid: float
    got: float


class Parts(NamedTuple):
    """What a trade lost, US dollars; negative parts are gains."""

    movement: float
    """Others had moved the pool's price since it was sent."""
    fees: float
    """The pool's fee, at the price right before it."""
    impact: float
    """It moved the price itself."""
    extraction: float
    """It got less than it would have without those who took from it."""

    def total(self) -> float:
        """Their sum."""
        return self.movement + self.fees + self.impact + self.extraction


class Trial:
    """A pool on which trades are tried: nobody lacks funds, nobody minds the price."""

    def __init__(self, book: Book, cells: Sequence[float], codes: Sequence[int]) -> None:
        self._book = book
        self._cells = list(cells)
        self._codes = list(codes)
        self._out = [0.0] * OUT

    def mid(self) -> float:
        """Its price."""
        kernel: Any = type(self._book).mid_kernel
        return float(kernel(self._cells, self._codes, [], self._book.state.prices))

    def trade(self, buys: bool, paid: float) -> float:
        """What comes out."""
        kernel: Any = type(self._book).kernel
        purses, prices = [_BOTTOMLESS] * len(self._book.state.purses), self._book.state.prices
        action = BUY if buys else SELL
        status = kernel(self._cells, self._codes, purses, prices, action, 0, paid, 0.0, 0.0, inf, 0.0, self._out)
        return 0.0 if status else self._out[1]


class _Bottomless:
    """A purse that is never empty."""

    def __getitem__(self, account: int) -> float:
        return inf

    def __setitem__(self, account: int, value: float) -> None:
        pass


_BOTTOMLESS = _Bottomless()


def split(swap: Swap, then: Any, before: Any, alone: Any, fee: Any) -> Parts:
    """The parts of a trade's loss; they add up to what it paid minus what it got, at the price when it was sent.

    Args:
        swap: the trade.
        then: mid price when it was sent.
        before: mid price right before it, without those who took from it.
        alone: what it would have got without them.
        fee: share of a trade that is the pool's fee.
    """
    if swap.buys:
        worth = swap.paid * then / before
        return Parts(swap.paid - worth, worth * fee, worth * (1 - fee) - alone * then, (alone - swap.got) * then)
    worth = swap.paid * before
    return Parts(swap.paid * then - worth, worth * fee, worth * (1 - fee) - alone, alone - swap.got)


def takers(swaps: Sequence[Swap], i: int) -> list[int]:
    """Who took from a trade, of those who were executed in its block: in the order in which they came first."""
    victim = swaps[i]
    behind = {swap.sender for swap in swaps[i + 1 :] if swap.buys != victim.buys}
    return [
        sender
        for sender in dict.fromkeys(swap.sender for swap in swaps[:i] if swap.buys == victim.buys)
        if sender in behind and sender != victim.sender
    ]


def attributed(
    trial: Callable[[], Trial], swaps: Sequence[Swap], then: Sequence[float], fee: float
) -> list[tuple[Parts, list[tuple[int, float]]]]:  # fmt: skip
    """For each trade of a block with one pool its parts, and who took how much from it (US dollars at the price when it was sent).

    Args:
        trial: makes a pool as it was before the block.
        swaps: what was executed, in order.
        then: mid price when each was sent.
        fee: share of a trade that is the pool's fee.
    """
    found = []
    pool = trial()
    several = len({swap.sender for swap in swaps}) < len(swaps)
    for i, (swap, price) in enumerate(zip(swaps, then, strict=True)):
        before = pool.mid()
        pool.trade(swap.buys, swap.paid)
        taken: list[tuple[int, float]] = []
        alone = swap.got
        missing: set[int] = set()
        for taker in takers(swaps, i) if several else ():
            missing.add(taker)
            without = trial()
            for other in swaps[:i]:
                if other.sender not in missing:
                    without.trade(other.buys, other.paid)
            before = without.mid()
            more = without.trade(swap.buys, swap.paid)
            taken.append((taker, (more - alone) * (price if swap.buys else 1.0)))
            alone = more
        found.append((split(swap, price, before, alone, fee), taken))
    return found


class _Pool:
    """What is known of a pool: its book, and its mid prices so far."""

    def __init__(self, name: str, code: int, book: Any) -> None:
        self.name = name
        self.code = code
        self.book = book
        self.before: tuple[list[float], list[int]] = [], []
        """Its cells and codes before the block."""
        self._times = array("q", [0])
        self._mids = array("d", [book.mid()])

    def mid(self, time: int) -> float:
        """Its mid price at some time (ns)."""
        return float(self._mids[bisect_right(self._times, time) - 1])

    def note(self, time: int) -> None:
        """A block was made."""
        mid = self.book.mid()
        if mid != self._mids[-1]:
            self._times.append(time)
            self._mids.append(mid)


class Attribution:
    """Attributes the trades of a chain's blocks where a metric asks for it."""

    def __init__(self, chain: "LiveChain") -> None:
        self._chain = chain
        self._pools: list[_Pool] | None = None
        self._given: list[list[tuple[float, float]]] = []
        chain.execution.given = self._given

    @classmethod
    def wanted(cls, chain: "LiveChain") -> "Attribution | None":
        """For a chain of a world whose metrics need it; else None."""
        return cls(chain) if {TradeAttributed.__name__, ValueExtracted.__name__} & chain.world.needs else None

    def begin(self) -> None:
        """A block is about to be executed."""
        if self._pools is None:
            chain = self._chain
            self._pools = [
                _Pool(chain.market_names[code], code, book)
                for code, book in enumerate(chain.books)
                if tuple(chain.markets[code].actions)[:2] == ACTIONS and book.kernel is not None and hasattr(book, "fee")
            ]
        for pool in self._pools:
            pool.before = list(pool.book.cells), list(pool.book.codes)
        self._given.clear()

    def note(self, block: Block, executed: Executed) -> None:
        """It was: write down what its trades lost."""
        for pool in self._pools or ():
            self._write(pool, block, executed)
            pool.note(block.time)

    def _swaps(self, code: int, block: Block, executed: Executed) -> list[tuple[int, Swap]]:
        """What was executed on a pool, steps of larger transactions included, and the rows."""
        market, action, sender = block.rows.market, block.rows.action, block.rows.sender
        swaps, given = [], iter(self._given)
        for k, status in enumerate(executed.status):
            i = block.start + k
            if market[i] == code and not status:
                swaps.append((k, Swap(sender[i], action[i] == BUY, executed.x[k], executed.y[k])))
            elif market[i] == STEPS and not status:
                steps = zip(self._chain.execution.bundles[int(block.rows.a[i])], next(given), strict=True)
                swaps += [(k, Swap(sender[i], step.action == BUY, x, y)) for step, (x, y) in steps if step.market == code]
        return swaps

    def _write(self, pool: _Pool, block: Block, executed: Executed) -> None:
        rows, chain = block.rows, self._chain
        ether, actions = chain.world.gas_token_price(), list(chain.markets[pool.code].actions)
        swaps = self._swaps(pool.code, block, executed)
        then = [pool.mid(rows.submitted[block.start + k]) for k, _ in swaps]
        trades = attributed(lambda: Trial(pool.book, *pool.before), [swap for _, swap in swaps], then, pool.book.fee)
        found = {k: trade for (k, _), trade in zip(swaps, trades, strict=True)}
        for k in range(len(executed.status)):
            i = block.start + k
            if rows.market[i] != pool.code:
                continue
            parts, taken = found.get(k, (Parts(0.0, 0.0, 0.0, 0.0), []))  # what reverted has paid for its gas
            parts = parts._replace(fees=parts.fees + (executed.fees[k] + executed.data[k]) * ether)
            sender, submitted = rows.sender[i], rows.submitted[i]
            fact = TradeAttributed(  # type: ignore[call-arg]
                chain.name, block.height, pool.name, sender, actions[rows.action[i]], submitted, pool.mid(submitted),
                parts.total(), parts.movement, parts.fees, parts.impact, parts.extraction,
            )  # fmt: skip
            chain.world.record(fact)
            for taker, amount in taken:
                chain.world.record(ValueExtracted(chain.name, block.height, pool.name, sender, taker, amount))  # type: ignore[call-arg]
