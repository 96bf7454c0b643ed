"""Sequencer: makes the rollup's blocks."""

from bisect import bisect_left
from typing import Annotated, ClassVar, Literal

import numpy as np

from l2sim.agents import Agent, Waiting
from l2sim.part import AgentName
from l2sim.units import Duration, Positive, Rhythm
from l2sim.world.seat import Seat


class Sequencer(Agent):
    """Seals a block at each of its times unless it is down; what arrived before is in it."""

    roles: ClassVar[tuple[str, ...]] = ("sequencer",)

    block_time: Annotated[Duration, Positive, Rhythm]
    """Time between blocks; the mean of it where blocks come at random."""
    blocks: Literal["fixed", "poisson"] = "fixed"
    """Whether blocks come at a fixed rhythm or as a Poisson process."""
    censors: tuple[AgentName, ...] = ()
    """Agents whose transactions it leaves out for good, those through L1 too as long as the rules let it; attack ``censorship`` can do
    more, and ends."""

    def instants(self, rng: np.random.Generator, duration: int) -> list[int] | range:
        """Times of its blocks (ns, increasing) up to ``duration``; an outage leaves out some, but moves none."""
        if self.blocks == "fixed":
            return range(self.block_time, duration + 1, self.block_time)
        times: list[int] = []
        last = 0
        while last <= duration:
            gaps = np.rint(rng.exponential(self.block_time, 4096)).astype(np.int64)
            chunk = last + np.cumsum(np.maximum(gaps, 1))
            last = int(chunk[-1])
            times += chunk[chunk <= duration].tolist()
        return times

    def run(self, me: Seat) -> Waiting:
        duty = me.duty
        if self.censors:
            duty.censor(self.censors)
        instants, next_one = duty.instants(), 0
        while next_one < len(instants):
            if duty.halted:
                yield duty.resumed()
            if instants[next_one] < me.now:
                next_one = bisect_left(instants, me.now)
                continue
            yield me.sleep_until(instants[next_one])
            next_one += 1 if duty.halted else duty.seal(next_one)
