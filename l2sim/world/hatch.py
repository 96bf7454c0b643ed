"""Hatch: how money leaves a rollup whose operator is gone, against its last final state."""

from functools import cached_property
from typing import TYPE_CHECKING

from l2sim.events.inclusion import FundsEscaped, RollupFrozen

if TYPE_CHECKING:
    from l2sim.world.forced import LiveForced
    from l2sim.world.history import Replica


class Hatch:
    """The escape hatch of a rollup: once L1 has seen nothing of it, or of what somebody sent through L1, for long enough, anybody may stop
    the rollup for good.

    An assertion that stands shows that somebody runs it from when it was made, where it needs no proof, and again when it becomes
    final; and that what came through L1 up to its block was served. After the stop no assertion is taken up and none becomes final.
    What the last final state says somebody holds of a bridge's asset is paid out of the bridge's escrow, once, to whoever shows it,
    which takes its data. What happened on the rollup after that state did not happen, withdrawals among it; those in that state are
    paid as ever.
    """

    def __init__(self, forced: "LiveForced") -> None:
        self._forced = forced
        self._chain = forced.chain
        self.l1 = forced.l1
        self.gas = forced.rules.escape_gas
        """Of L1 that taking money out needs."""
        self.block = 0
        """The last final block, once the rollup is frozen."""
        self.paid: set[tuple[str, int]] = set()
        """Who has taken what was theirs, by bridge and account."""

    def opens(self) -> int | None:
        """When anybody may stop the rollup, if L1 sees no more of it until then (ns); None where nobody ever may, or has asked yet."""
        rules = self._forced.rules
        since = self.silent() if rules.escape_when == "silent" else self._forced.unserved(self._seen()[1])
        return None if since is None or rules.escape_after is None else since + rules.escape_after

    def silent(self) -> int:
        """Since when L1 has seen nothing of the rollup (ns)."""
        return self._seen()[0]

    def _seen(self) -> tuple[int, int]:
        """When L1 last saw something of the rollup (ns), and the newest block in a state that it has seen."""
        settlement, cases = self._chain.assertions.rules, self._chain.assertions.cases
        shown = [(max(settlement.seen(case), case.settled), case.assertion.last) for case in cases if case.status != "rejected"]
        blocks = (last for time, last in shown if time > 0)
        return max((time for time, _ in shown), default=0), max(blocks, default=0)

    def pay(self, market: str, account: int, cost: float) -> bool:
        """Pay what is somebody's out of a bridge, and stop the rollup if that has not been done; whether it was paid."""
        chain, world = self._chain, self._chain.world
        opens, bridge = self.opens(), chain.bridges[market]
        if not chain.frozen:
            if opens is None or world.clock.now < opens:
                return False
            self._freeze(account)
        if not chain.publication.knows(self.block):
            return False  # a balance is shown by data that nobody has
        asset = bridge.rules.asset
        amount, held = float(self._state.state.purses[self._state.state.purse(asset)][account]), bridge.escrow()
        if (market, account) in self.paid or amount <= 0.0:
            return False
        paid = min(amount, held)
        self.paid.add((market, account))
        # What it did in blocks that never became final is void: withdrawals there are settled by this payment, and what it holds
        # is given up like a withdrawal that was paid.
        bridge.paid.update((one.number, account) for one in bridge.since(0) if one.account == account and one.time > self._until)
        column = world.ledger.column(chain.name, asset)
        given = min(paid, float(column[account]))
        if given > 0.0:
            number = len(bridge.book.entries) + 1
            chain.pay(asset, account, -given)
            chain.pay(asset, bridge.account, given)
            bridge.book.entries[number] = (account, given, world.clock.now)
            bridge.paid.add((number, account))
        bridge.l1.pay(asset, bridge.account, -paid)
        bridge.l1.pay(asset, account, paid)
        world.record(FundsEscaped(market, account, self.block, paid, held, cost))
        return True

    def _freeze(self, account: int) -> None:
        chain = self._chain
        self.block = chain.assertions.final
        chain.frozen = True
        chain.halt()
        chain.world.record(RollupFrozen(chain.name, account, self.block))

    @cached_property
    def _until(self) -> int:
        """The time of the last final block (ns); before all blocks where there is none."""
        return self._chain.assertions.history.block(self.block - 1).time if self.block else -1

    @cached_property
    def _state(self) -> "Replica":
        """The last final state."""
        return self._chain.assertions.history.replica(self.block)
