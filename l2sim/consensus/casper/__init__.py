"""Casper: validators in groups, their votes by stake, and what absence and equivocation cost them.

Source: ethereum/consensus-specs, ``weigh_justification_and_finalization`` (phase0) and ``process_epoch`` (electra), read 2026-08-07.
Validators that are alike are one cohort, so that the end of an epoch costs the same for a hundred and for a million of them.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.consensus import Closed, Consensus, Ended, Standing, Tally, Turn
from l2sim.consensus.casper import penalties
from l2sim.consensus.casper.fork_choice import Late, left_out
from l2sim.consensus.casper.penalties import GWEI_A_ETH, Rules
from l2sim.part import Part
from l2sim.units import ETH, GWEI, Fraction, Positive, Share, Wei

NEVER = 2**62


class Cohort(NamedTuple):
    """Validators of a group that are alike; amounts in gwei, of one of them."""

    group: int
    members: int
    """How many there were at the start."""
    active: int
    """How many have not left."""
    online: bool
    """Whether they vote and propose while their group is there."""
    balance: int
    effective: int
    score: int = 0
    """Inactivity score."""
    slashed: int = NEVER
    """The epoch in which they were slashed."""
    leaves: int = NEVER
    """The epoch from which they leave, as fast as the exit queue lets them."""
    gone: int = 0
    """How many have left and lose nothing any more; what they left with is no part of ``balance``."""
    kept: int = 0
    """What those left with, together."""


class Ballot(NamedTuple):
    """The state: who there is, who voted, which checkpoints are justified."""

    cohorts: tuple[Cohort, ...]
    away: tuple[tuple[tuple[int, int], ...], ...]
    """For each group the slots of this epoch or later in which it is away: from, up to."""
    attended: tuple[tuple[int, int], ...]
    """For each group, of the epoch before: slots whose votes its own blocks included, and all slots in which the group voted."""
    bits: tuple[bool, bool, bool, bool]
    """Whether the last four epochs are justified, the youngest first."""
    previous: int
    """The last justified epoch as of one epoch ago."""
    current: int
    """The last justified epoch."""
    finalized: int
    """The last finalized epoch."""
    wheel: tuple[int, ...]
    """Effective balances summed up cohort by cohort: what a proposer is drawn from."""
    slashings: tuple[tuple[int, int], ...] = ()
    """Epochs and effective balances that were slashed in them."""
    earned: tuple[int, ...] = ()
    """What each group got for reporting others."""
    queue: int = 0
    """Stake that may leave and has not been taken up, being less than one validator's."""

    @property
    def total(self) -> int:
        """All active stake."""
        return self.wheel[-1]


class Group(Part):
    """Validators that share an operator or a client."""

    stake: Annotated[Wei, Positive]
    """What they have at stake together."""
    balance: Annotated[Wei, Positive] = 32 * ETH
    """Balance of each of them; since Electra at most 2048 ETH of it count."""
    online: Annotated[Fraction, Share] = 1.0
    """Share of them that vote, and make blocks when it is their turn; the others are never there."""
    proposes: Annotated[Fraction, Share] = 1.0
    """Probability that one who is there makes its block."""
    late: Annotated[Fraction, Share] = 0.0
    """Probability that its block arrives after the deadline for votes, a third into the slot."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.balance <= penalties.EJECTION * GWEI:
            raise PydanticCustomError("range", "'balance' must be more than 16 ETH, at which a validator is ejected")
        if self.stake % self.balance:
            raise PydanticCustomError(
                "whole_validators",
                "'stake' must be a whole number of validators of {balance} ETH: take {near} ETH",
                {"balance": f"{self.balance / ETH:g}", "near": f"{max(1, round(self.stake / self.balance)) * self.balance / ETH:.12g}"},
            )
        return self


class Casper(Consensus):
    """Groups of validators with stake: proposers are drawn by stake, and two thirds of it justify a checkpoint.

    Who is absent while nothing is final loses stake until the others have two thirds (the inactivity leak); who equivocates is
    slashed. Who has left loses no more, the slashed only once they may withdraw. A vote counts once a later block includes it: by the
    end of its own epoch, or of the next one. What attestations and blocks earn, and what missed attestations cost outside a leak, is
    left out.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"groups": {"some": {"stake": "3200 ETH"}}}]})

    groups: Annotated[dict[str, Group], Field(min_length=1)]
    """The groups, by name."""
    slashing: Rules = "electra"
    """The fork whose penalties for equivocation apply."""
    late_votes: Annotated[Fraction, Share] = 0.1
    """Share of a slot's votes that a late block still gets (assumed)."""
    leaves_late_blocks_out: bool = True
    """Whether proposers build on the parent of a late block where the honest-reorg rule lets them."""

    def genesis(self) -> Ballot:
        cohorts = []
        for number, (_, group) in enumerate(sorted(self.groups.items())):
            members, balance = group.stake // group.balance, group.balance // GWEI
            effective = min(balance - balance % GWEI_A_ETH, penalties.MOST_EFFECTIVE[self.slashing])
            there = round(members * group.online)
            for online, some in ((True, there), (False, members - there)):
                if some:
                    cohorts.append(Cohort(number, some, some, online, balance, effective))
        n = len(self.groups)
        full = ((NEVER, NEVER),) * n
        return Ballot(tuple(cohorts), ((),) * n, full, (True,) * 4, -2, -1, -2, _wheel(cohorts), earned=(0,) * n)

    @cached_property
    def names(self) -> list[str]:
        """The groups in the order of the state."""
        return sorted(self.groups)

    def undoes(self) -> bool:
        return self.leaves_late_blocks_out and any(group.late for group in self.groups.values())

    # ---- who is there

    def drawn(self, state: Ballot, luck: float) -> Cohort:
        """The cohort of a slot's proposer, by effective balance, with luck uniform on [0, 1)."""
        return state.cohorts[bisect_right(state.wheel, luck * state.total)]

    def turn(self, state: Ballot, slot: int, luck: Callable[[str], float]) -> Turn:
        cohort = self.drawn(state, luck("proposer"))
        name = self.names[cohort.group]
        group = self.groups[name]
        made = cohort.online and cohort.slashed == NEVER and self.there(state, cohort.group, slot)
        made = made and (group.proposes == 1 or luck("proposes") < group.proposes)
        return Turn(name, made, made and group.late > 0 and luck("late") < group.late)

    def standings(self, state: Ballot) -> list[Standing]:
        found = []
        for number, name in enumerate(self.names):
            own = [cohort for cohort in state.cohorts if cohort.group == number]
            balance = sum((cohort.members - cohort.gone) * cohort.balance + cohort.kept for cohort in own)
            effective = sum(cohort.active * cohort.effective for cohort in own)
            lost = self.groups[name].stake // GWEI - balance
            score, active = max(cohort.score for cohort in own), any(cohort.active for cohort in own)
            found.append(Standing(name, balance, lost, effective, score, active))
        return found

    def leaves_out(self, state: Ballot, late: int, parent: int, slot: int, slots_per_epoch: int) -> bool:
        committee, votes = state.total // slots_per_epoch, self.voting(state, late) // slots_per_epoch
        before = self.voting(state, parent) // slots_per_epoch
        head = Late(late, parent, int(votes * self.late_votes), before + votes, committee)
        since = slot // slots_per_epoch - state.finalized
        return self.leaves_late_blocks_out and left_out(head, slot, slots_per_epoch, since)

    def there(self, state: Ballot, group: int, slot: int) -> bool:
        """Whether a group is not away in a slot."""
        return not any(since <= slot < until for since, until in state.away[group])

    def voting(self, state: Ballot, slot: int, group: int | None = None) -> int:
        """Stake that votes in its slot, if a slot's committee is like all validators: of a group, or of all."""
        return sum(
            cohort.active * cohort.effective
            for cohort in state.cohorts
            if cohort.online and cohort.slashed == NEVER and group in (None, cohort.group) and self.there(state, cohort.group, slot)
        )

    def leave(self, state: Ballot, group: int, slot: int) -> Ballot:
        """A group is away from a slot on."""
        if not self.there(state, group, slot):
            return state
        return state._replace(away=_at(state.away, group, (*state.away[group], (slot, NEVER))))

    def come_back(self, state: Ballot, group: int, slot: int) -> Ballot:
        """It is back from a slot on."""
        spells = tuple((since, min(until, slot)) for since, until in state.away[group] if since < slot)
        return state._replace(away=_at(state.away, group, spells))

    # ---- the end of an epoch

    def close(self, state: Ballot, ended: Ended) -> Closed:
        epoch, first = ended.number, ended.number * ended.slots
        timely = max(0, ended.height - first)  # slots whose votes a block of the epoch could include
        attended = tuple((_present(spells, first, timely), _present(spells, first, ended.slots)) for spells in state.away)
        # Votes that the epoch before left over are in this one's first block.
        over = [min(ended.slots, voted if ended.height >= first else counted) for counted, voted in state.attended]
        votes, late = self._stake(state, [counted for counted, _ in attended]), self._stake(state, over)
        total = state.total * ended.slots
        before, now = late * 3 >= total * 2, votes * 3 >= total * 2
        after = _justified(state, epoch, before, now)
        leak = penalties.in_leak(epoch, after.finalized)
        voters = [share * 2 >= ended.slots for share in over]
        after = self._punish(after, epoch, voters, leak)
        spells = tuple(tuple(spell for spell in group if spell[1] > first + ended.slots) for group in state.away)
        after = after._replace(attended=attended, away=spells)
        tally = Tally(votes // ended.slots, late // ended.slots, state.total, leak, now, before)
        return Closed(
            after,
            after.current if after.current > state.current else None,
            after.finalized if after.finalized > state.finalized else None,
            tally,
        )

    def _stake(self, state: Ballot, slots: list[int]) -> int:
        """Stake times slots in which it voted."""
        voters = (cohort for cohort in state.cohorts if cohort.online and cohort.slashed == NEVER)
        return sum(cohort.active * cohort.effective * slots[cohort.group] for cohort in voters)

    def _punish(self, state: Ballot, epoch: int, voters: list[bool], leak: bool) -> Ballot:
        """Scores, inactivity penalties, exits, correlation penalties and effective balances, in the order of the specification."""
        cohorts, queue = [], state.queue + penalties.exit_churn(state.total)
        slashings = tuple((at, stake) for at, stake in state.slashings if at > epoch - penalties.SLASHED_FOR)
        for cohort in state.cohorts:
            if cohort.gone == cohort.members:
                cohorts.append(cohort)
                continue
            voted = cohort.online and cohort.slashed == NEVER and voters[cohort.group]
            score = penalties.next_score(cohort.score, voted, leak)
            lost = 0 if voted else penalties.inactivity_penalty(cohort.effective, score)
            leaves, active = cohort.leaves, cohort.active
            if cohort.effective <= penalties.EJECTION and leaves == NEVER:
                leaves = epoch + penalties.LEAVES_AFTER
            if leaves <= epoch and active:
                gone = min(active, queue // max(cohort.effective, GWEI_A_ETH))
                active, queue = active - gone, queue - gone * cohort.effective
            if cohort.slashed + penalties.SLASHED_FOR // 2 == epoch:
                stake = sum(stake for _, stake in slashings)
                lost += penalties.correlation_penalty(cohort.effective, stake, state.total, self.slashing)
            balance = max(0, cohort.balance - lost)
            effective = penalties.next_effective(cohort.effective, balance, penalties.MOST_EFFECTIVE[self.slashing])
            cohort = cohort._replace(score=score, leaves=leaves, active=active, balance=balance, effective=effective)
            cohorts.append(_set_aside(cohort, epoch))
        waiting = any(cohort.leaves <= epoch and cohort.active for cohort in cohorts)
        return state._replace(cohorts=tuple(cohorts), wheel=_wheel(cohorts), slashings=slashings, queue=queue if waiting else 0)

    def slash(self, state: Ballot, group: int, epoch: int, reporter: int) -> Ballot:
        """All validators of a group that have not left are shown to have equivocated, in a block of a group that is rewarded for it."""
        cohorts, stake, reward = [], 0, 0
        for cohort in state.cohorts:
            if cohort.group == group and cohort.slashed == NEVER:
                stake += cohort.active * cohort.effective
                reward += cohort.active * penalties.whistleblower_reward(cohort.effective, self.slashing)
                balance = max(0, cohort.balance - penalties.initial_penalty(cohort.effective, self.slashing))
                leaves = min(cohort.leaves, epoch + penalties.LEAVES_AFTER)
                cohort = cohort._replace(slashed=epoch, balance=balance, leaves=leaves)
            cohorts.append(cohort)
        if not stake:
            return state
        earned = _at(state.earned, reporter, state.earned[reporter] + reward)
        return state._replace(cohorts=tuple(cohorts), slashings=(*state.slashings, (epoch, stake)), earned=earned)


def _justified(state: Ballot, epoch: int, before: bool, now: bool) -> Ballot:
    """What the votes of an epoch, and late ones of the one before, justify; and what is finalized by the four rules on the bits."""
    bits = (now, state.bits[0] or before, state.bits[1], state.bits[2])
    current = epoch if now else epoch - 1 if before else state.current
    finalized = state.finalized
    if all(bits[1:4]) and state.previous + 3 == epoch:
        finalized = state.previous
    if all(bits[1:3]) and state.previous + 2 == epoch:
        finalized = state.previous
    if all(bits[0:3]) and state.current + 2 == epoch:
        finalized = state.current
    if all(bits[0:2]) and state.current + 1 == epoch:
        finalized = state.current
    return state._replace(bits=bits, previous=state.current, current=current, finalized=finalized)


def _set_aside(cohort: Cohort, epoch: int) -> Cohort:
    """Who has left by the end of an epoch loses no more; if slashed, once it may withdraw (``get_eligible_validator_indices``)."""
    gone = cohort.members - cohort.active
    if gone == cohort.gone or (cohort.slashed != NEVER and epoch + 1 < cohort.slashed + penalties.SLASHED_FOR):
        return cohort
    return cohort._replace(gone=gone, kept=cohort.kept + (gone - cohort.gone) * cohort.balance)


def _present(spells: tuple[tuple[int, int], ...], first: int, slots: int) -> int:
    """In how many of the slots from the first on a group is not away."""
    return slots - sum(max(0, min(until, first + slots) - max(since, first)) for since, until in spells)


def _wheel(cohorts: list[Cohort]) -> tuple[int, ...]:
    return tuple(accumulate(cohort.active * cohort.effective for cohort in cohorts))


def _at(row: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*row[:place], value, *row[place + 1 :])
