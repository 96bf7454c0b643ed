"""Validators: those of an L1 in a run, and what an attack may have them do."""

from typing import TYPE_CHECKING, Any

from l2sim.consensus import Consensus, Ended, Standing, Turn
from l2sim.consensus.casper import Ballot, Casper
from l2sim.consensus.casper.fork_choice import overtakes, slots_needed
from l2sim.events import HeadAdvanced
from l2sim.events.consensus import (
    BlocksWithheld,
    ProposerDrawn,
    StakeChanged,
    ValidatorsLeft,
    ValidatorsSlashed,
    VotesCounted,
)
from l2sim.units import ETH, GWEI
from l2sim.world.reorganization import reorganize

if TYPE_CHECKING:
    from l2sim.world.fee_market import Quiet
    from l2sim.world.l1 import LiveL1

GWEI_AN_ETH = ETH // GWEI

MISSED = Turn("", made=False, late=False)
"""A slot that is nobody's in particular and has no block."""

Facts = list[tuple[Any, ...]]


class Validators:
    """Whose turn the slots are, what the votes of an epoch led to, and who is made to misbehave."""

    def __init__(self, chain: "LiveL1") -> None:
        self._chain = chain
        self._rules = chain.rules.agreement
        self.slots_per_epoch = chain.rules.slots_per_epoch
        self._drawn = type(self._rules).turn is not Consensus.turn
        self._withheld: set[int] = set()
        self._late: int | None = None
        """The last slot whose block was late."""
        self._told = ProposerDrawn.__name__ in chain.world.needs

    # ---- for its L1

    def close(self, before: "Quiet") -> tuple[Any, Facts]:
        """Count the votes of the epoch whose last slot this is: the state after it, and the facts."""
        chain, rules = self._chain, self._rules
        number = before.slot // self.slots_per_epoch
        luck = chain.market.uniform("justification", number)
        closed = rules.close(before.votes, Ended(number, self.slots_per_epoch, before.height, luck))
        facts: Facts = []
        if closed.tally is not None:
            *stakes, leak, justified, late_justified = closed.tally
            votes, late, total = (stake / GWEI_AN_ETH for stake in stakes)
            facts.append(VotesCounted(chain.name, number, votes, late, total, int(leak), int(justified), int(late_justified)))
        for old, new in zip(rules.standings(before.votes), rules.standings(closed.state), strict=True):
            if old != new:
                facts.append(_changed(chain.name, number, new))
        if closed.justified is not None and closed.justified >= 1:
            facts.append(HeadAdvanced(chain.name, "safe", closed.justified * self.slots_per_epoch))
        if closed.finalized is not None and closed.finalized >= 0:
            facts.append(HeadAdvanced(chain.name, "finalized", closed.finalized * self.slots_per_epoch))
        return closed.state, facts

    def turn(self, state: Any, slot: int) -> Turn | None:
        """Whose turn a slot is, and whether its block is made."""
        if not self._drawn:
            return MISSED if self._chain.market.missed(slot) else None
        turn = self._rules.turn(state, slot, lambda purpose: self._chain.market.uniform(purpose, slot))
        lost = slot in self._withheld or self._chain.market.missed(slot)
        if turn is None:
            return MISSED if lost else None
        return turn._replace(made=False, late=False) if lost else turn

    def tells(self, slot: int, turn: Turn | None) -> Facts:
        """The fact about whose turn it was, where somebody asks for it."""
        if not self._told or turn is None:
            return []
        return [ProposerDrawn(self._chain.name, slot, turn.group, 2 if turn.late else int(turn.made))]  # type: ignore[call-arg]

    def made(self, slot: int, turn: Turn | None) -> None:
        """A block was made in that slot."""
        if turn is not None and turn.late:
            self._late = slot

    def leave_out_late(self) -> None:
        """The next slot begins: its proposer may build on the parent of the head, if that is late."""
        chain, late = self._chain, self._late
        if late is None or late != chain.after.height or late != chain.after.slot:
            return
        turn = self.turn(chain.after.votes, late + 1)
        if turn is not None and turn.made:
            parent = chain.before[late].height
            if self._rules.leaves_out(chain.after.votes, late, parent, late + 1, self.slots_per_epoch):
                reorganize(chain, 1)

    # ---- for attacks

    def offline(self, group: str) -> None:
        """A group neither votes nor makes blocks from the next slot on."""
        self._leaves(group, back=False)

    def online(self, group: str) -> None:
        """It is back."""
        self._leaves(group, back=True)

    def _leaves(self, group: str, *, back: bool) -> None:
        rules, state, slot = self._casper()
        verb = rules.come_back if back else rules.leave
        self._replace(verb(state, rules.names.index(group), slot))
        self._chain.world.record(ValidatorsLeft(self._chain.name, group, slot, int(back)))

    def slash(self, group: str) -> None:
        """It is shown to have equivocated, in the next block of another group, and slashed."""
        rules, state, slot = self._casper()
        number = rules.names.index(group)
        drawn = (rules.drawn(state, self._chain.market.uniform("proposer", slot + ahead)) for ahead in range(self.slots_per_epoch))
        reporter = next((cohort.group for cohort in drawn if cohort.group != number), number)
        after = rules.slash(state, number, slot // self.slots_per_epoch, reporter)
        if after is state:
            return
        self._replace(after)
        own = [(old, new) for old, new in zip(state.cohorts, after.cohorts, strict=True) if old.group == number and old is not new]
        validators = sum(new.active for _, new in own)
        stake = sum(old.active * old.effective for old, _ in own)
        lost = sum(new.active * (old.balance - new.balance) for old, new in own)
        name, record = self._chain.name, self._chain.world.record
        record(ValidatorsSlashed(name, group, validators, stake / GWEI_AN_ETH, lost / GWEI_AN_ETH))
        record(_changed(name, slot // self.slots_per_epoch, rules.standings(after)[number]))

    def turns(self) -> tuple[int, list[str]]:
        """The next slot, and whose turn it and those after it are, as far as that is known: to the end of the next epoch."""
        rules, state, slot = self._casper()
        last = (slot // self.slots_per_epoch + 2) * self.slots_per_epoch
        return slot, [rules.names[rules.drawn(state, self._chain.market.uniform("proposer", at)).group] for at in range(slot, last)]

    def time_of(self, slot: int) -> int:
        """When a slot begins (ns)."""
        return slot * self._chain.rules.slot

    def needs(self, group: str, depth: int) -> int | None:
        """How many consecutive slots a group needs to undo so many honest blocks; None where an epoch's are not enough."""
        return slots_needed(depth, *self._weights(group), most=self.slots_per_epoch)

    def withhold(self, group: str, first: int, last: int) -> None:
        """A group keeps the blocks of its slots back, from the first to the last."""
        self._casper()
        self._withheld.update(range(first, last + 1))
        self._chain.world.record(BlocksWithheld(self._chain.name, group, first, last))

    def release(self, group: str, withheld: int, depth: int) -> bool:
        """Release so many withheld blocks, before the votes of this slot: whether they undo the last so many honest slots.

        The blocks hold nothing of the run: what was in the ones undone is pending again.
        """
        chain = self._chain
        self._casper()
        if not overtakes(withheld, depth, *self._weights(group)):
            return False
        reorganize(chain, depth)
        return True

    def _weights(self, group: str) -> tuple[int, int, int]:
        """In a slot's committee: stake of a group that votes, of the others, and all of it."""
        rules, state, slot = self._casper()
        own = rules.voting(state, slot, rules.names.index(group))
        return own // self.slots_per_epoch, (rules.voting(state, slot) - own) // self.slots_per_epoch, state.total // self.slots_per_epoch

    def _casper(self) -> tuple[Casper, Ballot, int]:
        """The rules, the state now, and the next slot.

        Raises:
            TypeError: nobody in particular validates this L1.
        """
        if not isinstance(self._rules, Casper):
            raise TypeError(f"'{self._chain.name}' has no groups of validators: give it 'consensus: {{kind: casper, …}}'")
        self._chain.stirred()
        return self._rules, self._chain.after.votes, self._chain.after.slot + 1

    def _replace(self, state: Ballot) -> None:
        self._chain.after = self._chain.after._replace(votes=state)


def _changed(chain: str, epoch: int, standing: Standing) -> StakeChanged:
    group, *stake, score, active = standing
    balance, lost, effective = (amount / GWEI_AN_ETH for amount in stake)
    return StakeChanged(chain, group, epoch, balance, lost, effective, score, int(active))
