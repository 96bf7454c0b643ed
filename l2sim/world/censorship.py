"""Censorship: what a sequencer, or who builds a block of L1, leaves out on purpose, and what a sequencer's node refuses."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from l2sim.data_fees import Charge
from l2sim.events.inclusion import TransactionCensored
from l2sim.transactions import STEPS, Rows, Status
from l2sim.world.inbox import NO_ROWS, Cut

if TYPE_CHECKING:
    from l2sim.world.chain import LiveChain
    from l2sim.world.rollup import LiveRollup

Unwanted = Callable[[int, str, str], bool]
"""Whether a transaction is left out, by its sender's account, its market and its action."""


class Censor:
    """A sequencer that leaves some transactions out for as long as it likes; everything else goes on in honest order."""

    def __init__(self, chain: "LiveChain", unwanted: Unwanted) -> None:
        self.chain = chain
        self.unwanted = unwanted
        self.held = Rows.none()
        """What was left out and has not been given up."""
        waiting = chain.inbox.waiting
        rest = self.sift(chain.world.clock.now, Cut(waiting.rows.slice(waiting.start, waiting.stop), 0, len(chain.inbox), waiting.traits))
        chain.inbox.waiting = NO_ROWS if rest is None else rest

    def sift(self, now: int, fresh: Cut | None) -> Cut | None:
        """Of what arrives, that which the sequencer does not leave out; who gave up meanwhile is told so."""
        self._expire(now)
        if fresh is None or fresh.start == fresh.stop:
            return None
        rows = fresh.rows
        out = [i for i in range(fresh.start, fresh.stop) if self._left_out(rows, i)]
        if not out:
            return fresh
        gone = set(out)
        self.held.extend(rows.take([i for i in out if rows.ticket[i] >= 0]))  # what a reflex wanted for this block it wants again
        kept = [i for i in range(fresh.start, fresh.stop) if i not in gone]
        return Cut.whole(rows.take(kept)) if kept else None

    def _left_out(self, rows: Rows, i: int) -> bool:
        chain, sender = self.chain, rows.sender[i]
        if rows.market[i] == STEPS:
            calls = [(step.market, step.action) for step in chain.execution.bundles[int(rows.a[i])]]
        else:
            calls = [(rows.market[i], rows.action[i])]
        for market, action in calls:
            names = chain.market_names[market], list(chain.markets[market].actions)[action]
            if self.unwanted(sender, *names):
                if rows.ticket[i] >= 0:
                    chain.world.record(TransactionCensored(chain.name, rows.submitted[i], sender, *names))
                return True
        return False

    def _expire(self, now: int) -> None:
        late = [i for i, deadline in enumerate(self.held.deadline) if deadline < now]
        if late:
            for i in late:
                self.chain._drop(now, self.held, i, Status.DEADLINE)
            gone = set(late)
            self.held = self.held.take([i for i in range(self.held.number) if i not in gone])

    def end(self) -> None:
        """What was left out waits like everything else, in the order of arrival."""
        if self.held.number:
            self.chain.inbox.put_back(self.held.sorted())
            self.held = Rows.none()


def called(chain: "LiveChain", rows: Rows, i: int) -> tuple[str, str]:
    """The market and the action of a row, as the log names them."""
    which, names = rows.market[i], chain.world.log.names.all
    if which == STEPS:
        market, action = chain._steps_called(int(rows.a[i]))
    else:
        market, action = chain.call_codes[which][0], chain.call_codes[which][1][rows.action[i]]
    return names[market], names[action]


def censored(chain: "LiveChain", rows: Rows, i: int) -> None:
    """Write down that a row is left out of a block on purpose."""
    chain.world.record(TransactionCensored(chain.name, rows.submitted[i], rows.sender[i], *called(chain, rows, i)))


def impose(chain: "LiveRollup", unwanted: Unwanted | None, *, forced: bool = True, stubborn: bool = False) -> None:
    """Have a sequencer leave out what is unwanted from now on, besides what it never takes of its own accord; None ends that."""
    if chain.censor is not None:
        chain.censor.end()
    every = _either(chain.leaves_out, unwanted)
    chain.censor = None if every is None else Censor(chain, every)
    if chain.forced is not None:
        chain.forced.censor(every if forced else chain.leaves_out, stubborn)


def _either(one: Unwanted | None, other: Unwanted | None) -> Unwanted | None:
    if one is None or other is None:
        return one or other
    return lambda sender, market, action: one(sender, market, action) or other(sender, market, action)


def admit(chain: "LiveChain", now: int, fresh: Cut | None, charge: Charge) -> None:
    """Let what arrives into the mempool, but for what no block has room for, and what the sequencer leaves out."""
    if fresh is not None and _largest(fresh, charge) > chain.most_gas():
        fresh = _without_too_large(chain, now, fresh, charge)
    if chain.censor is not None:
        fresh = chain.censor.sift(now, fresh)
    if fresh is not None:
        chain.inbox.admit(fresh)


def _largest(fresh: Cut, charge: Charge) -> int:
    """The most gas or footprint of a row."""
    rows, start, stop, traits = fresh
    most = max(rows.gas[start:stop]) if traits.gas is None else traits.gas
    if charge.footprint:
        most = max(most, charge.counts(max(rows.size[start:stop]) if traits.size is None else traits.size))
    return most


def _without_too_large(chain: "LiveChain", now: int, fresh: Cut, charge: Charge) -> Cut | None:
    """The rows but those that would wait for ever, of which their senders hear."""
    rows, most = fresh.rows, chain.most_gas()
    kept = [i for i in range(fresh.start, fresh.stop) if rows.gas[i] <= most and charge.counts(rows.size[i]) <= most]
    for i in sorted(set(range(fresh.start, fresh.stop)) - set(kept)):
        chain._drop(now, rows, i, Status.TOO_LARGE)
    return Cut.whole(rows.take(kept)) if kept else None
