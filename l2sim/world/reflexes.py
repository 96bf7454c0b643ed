"""Reflexes: what agents at the sequencer's side send into a block at the instant at which it is made."""

from typing import TYPE_CHECKING, Any

from l2sim.data_fees import Charge
from l2sim.kernels import INTENT, INTENTS, MEMORY
from l2sim.streams import mix
from l2sim.transactions import ANY_FEE, Receipt, Rows
from l2sim.units import ETH
from l2sim.world.inbox import Cut, Traits

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain
    from l2sim.world.seat import Seat


class LiveReflex:
    """One agent's reflex on its chain."""

    def __init__(self, part: Any, seat: "Seat", chain: "LiveChain", settings: list[float]) -> None:
        self.part = part
        self.seat = seat
        self.decide = type(part).reflex
        self.market = chain.codes[part.market]
        self.settings = settings
        self.memory: Any = [0.0] * MEMORY
        self.intents = [[0.0] * INTENT for _ in range(INTENTS)]
        self.own = seat.accounts.start
        book, state = chain.books[self.market], chain.state
        self.knows = (self.settings, self.memory, book.cells, book.codes, state.purses, state.prices, self.own)
        """What it is told of itself and its market."""
        self.actions = list(chain.markets[self.market].actions)
        rules = chain.markets[self.market]
        self.within = {code for code, action in enumerate(self.actions) if action in rules.within}
        """Actions that it may not want: they are no transaction by themselves."""
        self.gas = [rules.gas[action] for action in self.actions]
        self.size = [rules.size[action] for action in self.actions]
        self.key = seat._key ^ 0xFA1
        self.listens = type(part).answered.__qualname__ != "Agent.answered"
        """Whether the agent wants to know what became of its transactions."""

    def refuse(self, code: int) -> None:
        """It wanted an action that is no transaction by itself.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"the reflex of '{self.seat.name}' wants '{self.actions[code]}', which must be undone in the same transaction")

    def remember(self, memory: Any) -> None:
        """Keep its numbers elsewhere from now on."""
        self.memory = memory
        self.knows = (self.settings, memory, *self.knows[2:])

    def answered(self, action: int, receipt: Receipt) -> None:
        """Tell the agent what became of a transaction."""
        self.part.answered(self.seat, self.actions[action], receipt)


def wanted(chain: "LiveChain", now: int, base_fee: int, charge: Charge) -> Cut | None:
    """What all reflexes want in the block that is about to be made; each decides on the same state."""
    rows: list[tuple[int | float, ...]] = []
    facts = [
        base_fee / ETH + charge.per_gas, charge.per_byte, chain.world.gas_token_price(), now / 1e9, float(chain.height),
        float(charge.floor_bytes), charge.per_transaction,
    ]  # fmt: skip
    pending = chain.inbox.waiting
    start, stop = (pending.start, pending.stop) if chain.shows() else (0, 0)
    columns = pending.rows
    market, action, a, slippage = columns.market, columns.action, columns.a, columns.slippage
    reference, tip = columns.reference, columns.tip
    for number, reflex in enumerate(chain.reflexes):
        settings, memory, cells, codes, purses, prices, own = reflex.knows
        n = reflex.decide(  # with each argument by itself, which is quicker than in tuples
            settings, memory, cells, codes, purses, prices, own, facts, reflex.market, start, stop, market, action, a, slippage,
            reference, tip, reflex.intents,
        )  # fmt: skip
        if not n:
            continue
        for k, (wish, paid, b, c, limit, found, offer) in enumerate(reflex.intents[:n]):
            code = int(wish)
            if code in reflex.within:
                reflex.refuse(code)
            tie = mix(reflex.key, mix(now, k))
            row = (
                now, tie, now, reflex.own, reflex.market, code, paid, b, c, limit, found, reflex.gas[code], reflex.size[code],
                int(offer), ANY_FEE, now, -1 - number,
            )  # fmt: skip
            rows.append(row)
    if not rows:
        return None
    made = Rows(*map(list, zip(*sorted(rows), strict=True)))
    alike = (column[0] if column.count(column[0]) == len(rows) else None for column in (made.gas, made.size, made.market))
    return Cut(made, 0, len(rows), Traits(ANY_FEE, now, any(made.tip), True, any(made.reference), *alike))
