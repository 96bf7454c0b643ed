"""What was asserted about rollups, what became of it, and how much of what was false became final."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.events import AssertionConfirmed, AssertionMade, AssertionRejected
from l2sim.report.evidence import Evidence
from l2sim.statistics.intervals import Interval
from l2sim.statistics.proportion import clustered, wilson
from l2sim.wording import amount, phrase

if TYPE_CHECKING:
    from l2sim.log import Log


class Assertion(NamedTuple):
    """What became of one."""

    number: int
    made: int
    """When it was made (ns)."""
    over: int
    """When it was confirmed or rejected, or the run ended."""
    outcome: str
    false: bool


class Pass(NamedTuple):
    """How often what was false became final on a rollup."""

    chain: str
    validators: int
    runs: tuple[tuple[int, int], ...]
    """Of each replication in which anything false was decided: how much, and how much of that became final."""

    @property
    def decided(self) -> int:
        """False assertions that were confirmed or rejected, in all."""
        return sum(decided for decided, _ in self.runs)

    @property
    def undetected(self) -> int:
        """Of these, those that were confirmed."""
        return sum(passed for _, passed in self.runs)

    @property
    def alone(self) -> bool:
        """Whether each run decided one, so that attempts are independent as runs are; rivals in one run are not."""
        return all(decided == 1 for decided, _ in self.runs)

    @property
    def share(self) -> Interval:
        """With the interval of Wilson (1927) where attempts are independent, else from the spread over runs."""
        if self.alone:
            return wilson(self.undetected, self.decided)
        return clustered([decided for decided, _ in self.runs], [passed for _, passed in self.runs])

    @property
    def how(self) -> str:
        """Where the interval is from."""
        if self.alone:
            return "Wilson's interval, one attempt a run"
        if np.isfinite(self.share.low):
            return "interval from the spread over runs"
        return "one run, no interval" if len(self.runs) == 1 else "no interval: nothing differs between runs"


def assertions(log: "Log", chain: str) -> list[Assertion]:
    """The assertions about a rollup in order of their numbers."""
    ends: dict[int, tuple[int, str]] = {}
    for fact, word in ((AssertionConfirmed, "confirmed"), (AssertionRejected, "rejected")):
        times, numbers = log.select(fact, "time", "number", chain=chain)
        ends |= {number: (time, word) for time, number in zip(times.tolist(), numbers.tolist(), strict=True)}
    found = []
    for made, number, valid in zip(*map(np.ndarray.tolist, log.select(AssertionMade, "time", "number", "valid", chain=chain)), strict=True):
        over, word = ends.get(number, (log.about["duration"], ""))
        outcome = f"{'true' if valid else 'false'}, {word}" if word else "open at the end"
        found.append(Assertion(number, made, over, outcome, not valid))
    return sorted(found)


def passes(evidence: Evidence) -> list[Pass]:
    """Over all replications, of the rollups on which anything false was decided."""
    counts: dict[str, list[tuple[int, int]]] = {}
    for number in evidence.written.measured:
        log = evidence.written.log(number)
        for chain in log.present(AssertionMade, "chain"):
            false = [one.outcome for one in assertions(log, chain) if one.false]
            passed, stopped = false.count("false, confirmed"), false.count("false, rejected")
            if passed + stopped:
                counts.setdefault(chain, []).append((passed + stopped, passed))
    return [Pass(chain, _validators(evidence, chain), tuple(runs)) for chain, runs in sorted(counts.items())]


def sentence(found: Pass) -> str:
    """What a rollup's false assertions came to."""
    watched = f"With {found.validators} validator{'s' if found.validators != 1 else ''} watching"
    runs = f"{len(found.runs)} run{'s' if len(found.runs) > 1 else ''}"
    if not found.undetected:
        bound = f" ({phrase(found.share, '%')}, {found.how})" if found.alone else ""
        return f"{watched}, none of {amount(found.decided)} false assertions decided in {runs} became final{bound}."
    return (
        f"{watched}, {phrase(found.share, '%')} of {amount(found.decided)} false assertions decided in {runs} became final "
        f"({found.undetected} of them; {found.how})."
    )


def watchers(evidence: Evidence, chain: str) -> list[Any]:
    """The groups of validators that watch a rollup."""
    return [agent for agent in evidence.scenario.agents.values() if agent.kind == "validator" and getattr(agent, "on", None) == chain]


def _validators(evidence: Evidence, chain: str) -> int:
    stakers = [agent for agent in evidence.scenario.agents.values() if agent.kind == "staker" and getattr(agent, "on", None) == chain]
    proposer: Any = getattr(evidence.scenario.chains[chain], "proposer", None)
    stakers += [proposer] if proposer is not None and proposer.kind == "staker" else []
    return sum(int(getattr(agent, "count", 1)) for agent in (*watchers(evidence, chain), *stakers))
