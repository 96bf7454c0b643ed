"""Cards: the headline figures of a report."""

from collections.abc import Iterator
from typing import NamedTuple

from l2sim.report.asserted import passes
from l2sim.report.evidence import Evidence
from l2sim.report.extraction import losses
from l2sim.report.gains import gains
from l2sim.report.side_by_side import headline
from l2sim.statistics.intervals import Interval
from l2sim.wording import NOTHING, estimate, is_clear, verdict

CARDS = 6


class Card(NamedTuple):
    """A headline figure."""

    kicker: str
    """What kind of figure it is."""
    label: str
    value: str
    interval: str
    """The 95 % interval, or why there is none."""
    clear: bool
    """Whether the interval leaves out zero (or one, for a ratio)."""
    moves: bool = True
    """Whether there is a difference at all, where it is one."""


def cards(evidence: Evidence) -> list[Card]:
    """A few figures to see first, none that was not observed; of differences those that there are, unless there is none."""
    found = [card for card in _cards(evidence) if card.value != NOTHING]
    return ([card for card in found if card.moves] or found)[:CARDS]


def _cards(evidence: Evidence) -> Iterator[Card]:
    if asked := [(figure, words) for figure, words in evidence.asked() if figure in evidence.figures and evidence.level(figure).n]:
        for figure, words in asked:
            card = _of(evidence, figure, words)
            yield card if card.moves else _level(evidence, figure, words)
        return
    if not evidence.compared and (first := headline(evidence)):
        for chain in first.values:
            value, bounds = estimate(first.level(chain), first.unit)
            yield Card(f"On {chain}", first.words, value, _bounds(first.level(chain), bounds, ""), True)
        return
    for name in evidence.metrics("dispute_economics"):
        for chain in evidence.subjects(name):
            if not evidence.is_nothing(f"{name}.{chain}.delay"):
                least = "at least " if evidence.level(f"{name}.{chain}.unresolved").mean > 0 else ""
                yield _of(evidence, f"{name}.{chain}.delay", f"{least}later than usual on {chain}{evidence.which(name)}")
    for passed in passes(evidence):
        value, bounds = estimate(passed.share, "%")
        yield Card(f"On {passed.chain}", "of false assertions became final", value, bounds or passed.how, True)
    for name in evidence.metrics("profit_and_loss"):
        losers = [gain for gain in gains(evidence, name) if gain.weight < 0]
        if losers:
            found = losers[0].effect if evidence.compared else losers[0].written
            yield _card(evidence, f"profit of {losers[0].group}{evidence.which(name)}", found, "USD", evidence.compared, signed=True)
    for name in evidence.metrics("liquidation_cascade"):
        if not evidence.is_nothing(f"{name}.notional"):
            yield _of(evidence, f"{name}.notional", f"notional liquidated{evidence.which(name)}")
    for name, metric in evidence.metrics("loan_liquidations").items():
        for figure, words in (("borrowers_lost", "lost by borrowers"), ("bad_debt", "bad debt")):
            if not evidence.is_nothing(f"{name}.{figure}"):
                yield _of(evidence, f"{name}.{figure}", f"{words} in {getattr(metric, 'market', None) or 'lending pools'}")
    for name in evidence.metrics("extraction"):
        taken = [one for one in losses(evidence, name) if one.parts["extraction"].mean > 0]
        if taken:
            most = max(taken, key=lambda one: one.parts["extraction"].mean)
            value, bounds = estimate(most.parts["extraction"], "USD")
            yield Card(
                "As written", f"extracted from trades of {most.subject}{evidence.which(name)}", value, _bounds(most.loss, bounds, ""), True
            )
    for name in evidence.metrics("time_to_finality"):
        chains = [chain for chain in evidence.subjects(name) if evidence.level(f"{name}.{chain}.finalized_mean").n]
        if chains:
            of = evidence.effect if evidence.compared else evidence.level
            slowest = max(chains, key=lambda chain: abs(of(f"{name}.{chain}.finalized_mean").mean))
            words = f"mean time until a transaction on {slowest} is final{evidence.which(name)}"
            yield _of(evidence, f"{name}.{slowest}.finalized_mean", words)
    for name in evidence.metrics("withdrawal_delay"):
        for bridge in evidence.subjects(name):
            if evidence.compared and evidence.effect(f"{name}.{bridge}.mean").mean > 0.0:
                yield _of(evidence, f"{name}.{bridge}.mean", f"mean time until a withdrawal through {bridge} is paid{evidence.which(name)}")
            if not evidence.is_nothing(f"{name}.{bridge}.stolen"):
                yield Card(
                    "As written",
                    f"stolen through {bridge}, in units of its asset",
                    *estimate(evidence.level(f"{name}.{bridge}.stolen")),
                    True,
                )
    for figure, found in evidence.multipliers():
        if found.n and figure.endswith(".notional") and not evidence.is_nothing(figure):
            value, bounds = estimate(found, "×")
            clear = found.n == 1 or is_clear(found, 1.0)
            yield Card(
                "Ratio to no impact",
                f"notional liquidated{evidence.which(figure.partition('.')[0])}",
                value,
                _bounds(found, bounds, "one"),
                clear,
            )


def _of(evidence: Evidence, figure: str, words: str) -> Card:
    """The difference that attacks make; where a figure has none, such as an attack's own spending, what it is."""
    effect = evidence.effect(figure)
    if evidence.compared and effect.n:
        return _card(evidence, words, effect, evidence.unit(figure), differs=True, signed=True)
    return _level(evidence, figure, words)


def _level(evidence: Evidence, figure: str, words: str) -> Card:
    return _card(evidence, words, evidence.level(figure), evidence.unit(figure), differs=False)


def _card(evidence: Evidence, words: str, found: Interval, unit: str, differs: bool, *, signed: bool = False) -> Card:
    value, bounds = estimate(found, unit, signed=signed)
    makes = "makes" if len(evidence.scenario.attacks) == 1 else "make"
    kicker = f"Difference {evidence.attacks} {makes}" if differs else "As written"
    clear = not differs or is_clear(found) or found.n == 1
    return Card(kicker, words, value, _bounds(found, bounds, "zero" if differs else ""), clear, not differs or found.mean != 0.0)


def _bounds(found: Interval, bounds: str, of: str) -> str:
    if not bounds:
        return "one replication, no interval" if found.n else "no pairs"
    said = verdict(found, of) if of else ""
    return f"{bounds}{f', {said}' if said else ''}"
