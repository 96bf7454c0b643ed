"""Delay attack."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.streams import mix
from l2sim.units import GWEI, MINUTE, Duration, Positive, Wei
from l2sim.world.seat import AttackSeat, Waiting


class Lie:
    """What a rival assertion says: the truth up to some transaction of some block, and digests that nobody can compute after it."""

    def __init__(self, docket: Any, block: int, place: float, salt: int) -> None:
        self._docket = docket
        self._block = block
        self._place = place
        self._salt = salt

    def digest(self, height: int) -> int:
        """What it says of the state after a block."""
        true = int(self._docket.digest(height))
        return true if height < self._block else mix(true & ((1 << 64) - 1), self._salt)

    def steps(self, block: int) -> list[int]:
        """What it says of a block's transactions."""
        true = list(self._docket.steps(block))
        first = int(self._place * len(true)) if block == self._block else 0
        return [digest if block < self._block or i < first else mix(digest & ((1 << 64) - 1), self._salt) for i, digest in enumerate(true)]


class DelayAttack(Attack):
    """Malicious stakers make false assertions beside a true one, to delay it, and move as late as they can.

    Where assertions exclude each other (``bold``, ``partial_concurrency``, ``tournament``). Each rival says something else, unless
    several may stake on the same claim, where all say the same so as not to fight each other. Those of two attacks always differ. They
    spend no more than their budget; beyond it a rival falls silent. What they lose is the price of the delay.
    """

    contests: ClassVar[bool] = True
    needs: ClassVar[str] = "rivals"

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup that it attacks."""
    rivals: Annotated[int, Field(ge=1)] = 1
    """How many rival assertions it makes at most."""
    budget: Wei | None = None
    """What it is ready to stake in all, ether; without it, whatever its rivals need."""
    early: bool = False
    """Whether its assertions come before the true one, so that this one answers them, instead of beside the next true one."""
    wait: Duration = 0
    """Time from the true assertion to its rivals: they may wait until it is about to become final."""
    apart: Duration = 0
    """Time between one rival and the next."""
    margin: Duration | None = 5 * MINUTE
    """How long before it would be too late it sends a move (assumed); without it, as soon as it can, needed or not."""
    most_moves: Annotated[int, Field(ge=0)] | None = None
    """After how many moves a rival falls silent; without it, when nothing is left to do."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers on L1, wei per gas."""
    look: Annotated[Duration, Positive] = 1 * MINUTE
    """How often it looks for something to assert, where it asserts first."""

    def proposes(self) -> tuple[str, ...]:
        return (self.on,) if self.early else ()

    def strike(self, me: AttackSeat) -> None:
        me.start(self._attack(me))

    def relent(self, me: AttackSeat) -> None:
        """What has been asserted stands."""

    def _attack(self, me: AttackSeat) -> Waiting:
        """Choose what to contest, and make the rivals."""
        docket = me.settlement(self.on)
        contract = docket.contract
        if contract is None or not hasattr(contract, "moves"):
            raise ValueError(f"the settlement of '{self.on}' has no rivals: this attack is on bold, partial_concurrency or tournament")
        purse = Purse(self.budget)
        if self.early:
            while docket.head("latest") <= (docket.assertion(docket.number() - 1).last if docket.number() else 0):
                yield me.sleep(self.look)
            last = contract.reach(docket.side(), docket.head("latest"))
        else:
            seen = docket.number()
            while docket.number() <= seen:
                yield docket.made()
            last = docket.assertion(seen).last
            yield me.sleep(self.wait)
        first = max((docket.assertion(n).last for n in range(docket.number()) if docket.assertion(n).last < last), default=0) + 1
        for number in range(self.rivals):
            if not purse.take(contract.needed()[0]):
                return
            block = first + (number * (last - first + 1)) // self.rivals
            which = 0 if contract.crowded else number
            salt = int(me.luck("salt", which) * 2.0**53)  # of its own: two attacks do not say the same
            lie = Lie(docket, first if contract.crowded else block, me.luck("place", which), salt)
            me.start(self._rival(me, docket, last, lie, purse))
            if self.apart:
                yield me.sleep(self.apart)

    def _rival(self, me: AttackSeat, docket: Any, last: int, lie: Lie, purse: "Purse") -> Waiting:
        """Assert, and then make each move as late as it can be made."""
        side = docket.side(lie.digest, lie.steps, self.tip)
        posted = yield docket.propose(last, lie.digest(last), digests=lie.digest, steps=lie.steps, tip=self.tip)
        player = docket.contract.player(side, False)
        player.number = posted.answer
        sent: set[Any] = set()
        moves = 0
        while posted.answer >= 0 and not docket.contract.decided(posted.answer):
            alarm = []
            for move in docket.contract.moves(player):
                if move.key in sent or (self.most_moves is not None and moves >= self.most_moves):
                    continue
                late = me.now if self.margin is None else move.due() - self.margin
                if late > me.now:
                    alarm.append(late)
                elif purse.take(move.stake):
                    sent.add(move.key)
                    moves += 1
                    me.post(docket.l1, move.gas, move.act, tip=self.tip)
            stirs = docket.stirs()
            yield me.any(stirs, me.sleep_until(min(alarm))) if alarm and min(alarm) < me.ends else stirs


class Purse:
    """What is left of a budget."""

    def __init__(self, wei: int | None) -> None:
        self._left = wei

    def take(self, wei: int) -> bool:
        """Take a stake out of it; whether there was enough."""
        if self._left is None:
            return True
        if wei > self._left:
            return False
        self._left -= wei
        return True
