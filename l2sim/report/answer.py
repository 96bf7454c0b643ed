"""The answer: sentences, each composed from what was measured and from how well it is known."""

from collections.abc import Iterator
from typing import NamedTuple

from l2sim.report import delays
from l2sim.report.asserted import passes, sentence
from l2sim.report.evidence import Evidence
from l2sim.report.extraction import losses
from l2sim.report.finality import mean_of
from l2sim.report.gains import Gain, gains
from l2sim.report.side_by_side import TOLD, headline, sides, told, told_of_waits
from l2sim.statistics.intervals import Interval
from l2sim.wording import amount, is_clear, listed, phrase, verdict

MATERIAL = 0.01
"""Share of the largest amount below which a group is not named in a sentence."""


class Finding(NamedTuple):
    """A sentence or two about one thing."""

    topic: str
    text: str


def introduction(evidence: Evidence) -> str:
    """What the figures below are."""
    n = evidence.replications
    if evidence.compared:
        names = listed([f"{name} ({attack.kind.replace('_', ' ')})" for name, attack in sorted(evidence.scenario.attacks.items())])
        base = f"Every difference below is paired: the same world on the same luck, with and without {names}."
    else:
        base = "The scenario has no attack, so there is no other world to compare with."
        if headline(evidence):
            base += f" The chains {listed(sides(evidence))} are set side by side instead, within one world."
    if n == 1:
        return f"{base} There is one replication, so nothing can be said about how much luck is in a figure: no interval is given."
    return (
        f"{base} Figures are means over n = {n} replications; brackets are 95 % intervals (Student's t over replications), each for itself."
    )


def findings(evidence: Evidence) -> list[Finding]:
    """What the measured figures say, topic by topic; a topic without figures is left out."""
    parts = (
        _asked,
        _beside,
        _delays,
        _disputes,
        _profit,
        _withdrawals,
        _censorship,
        _finality,
        _cascades,
        _loop,
        _loans,
        _extraction,
        _others,
    )
    made = [finding for part in parts for finding in part(evidence)]
    return [finding for finding in made if finding.text]


# ---- sentences


def statement(evidence: Evidence, figure: str, subject: str) -> str:
    """One figure in a sentence: both worlds and their paired difference, or the one that there is."""
    level, without, effect = evidence.level(figure), evidence.without(figure), evidence.effect(figure)
    if not level.n and not without.n:
        return ""
    if evidence.is_nothing(figure):
        return f"{subject}: {_nothing(evidence, figure)}."
    if not evidence.compared:
        return f"{subject}: {phrase(level, evidence.unit(figure))}." if level.n else ""
    if not without.n:
        return f"{subject}: {phrase(level, evidence.unit(figure))} with {evidence.attacks}; without, there is nothing to observe."
    here, there, difference = evidence.compared_in_words(figure)
    worlds = f"{here} with {evidence.attacks}, {there} without"
    if not effect.n:
        return f"{subject}: {worlds}; no replication has both, so there is no difference to give."
    return f"{subject}: {worlds}; difference {difference}{_pairs(effect, evidence)}{_note(effect, evidence)}."


def _nothing(evidence: Evidence, figure: str) -> str:
    """A figure that is zero wherever it was observed: of a count, that there is none; of a price or a time, that it is zero."""
    unit, seen = evidence.unit(figure), max(evidence.level(figure), evidence.without(figure), key=lambda found: found.n)
    return f"{amount(0.0, unit)} in every replication{_pairs(seen, evidence)}" if unit else "none in any replication"


def _pairs(found: Interval, evidence: Evidence) -> str:
    """How many replications the figure rests on, where it is not all of them."""
    return f" (from {found.n} of {evidence.replications} replications)" if found.n < evidence.replications else ""


def _note(found: Interval, evidence: Evidence, of: str = "zero") -> str:
    """What the interval says, unless that was said of all figures at once."""
    said = verdict(found, of)
    return f": {said}" if said and evidence.replications > 1 else ""


def _asked(evidence: Evidence) -> Iterator[Finding]:
    """The figures that the scenario itself names."""
    told = []
    for figure, words in evidence.asked():
        subject = words[0].upper() + words[1:]
        if figure in evidence.figures:
            told.append(statement(evidence, figure, subject) or f"{subject}: not observed in any replication.")
        else:
            told.append(f"{subject}: no metric of this run has a figure '{figure}'.")
    if told:
        yield Finding("In short", "\n".join(told))


def _beside(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.compared:
        yield from (Finding(topic, text) for topic, text in told(evidence))


def _is_told(evidence: Evidence, market: str | None) -> bool:
    """Whether what happened in a market is among what is told side by side."""
    markets = evidence.scenario.markets
    return not evidence.compared and market in markets and markets[market].on in sides(evidence)


def _finality(evidence: Evidence) -> Iterator[Finding]:
    words = {"soft": "In a block after", "safe": "Safe after", "finalized": "Final after"}
    for name in evidence.metrics("time_to_finality"):
        sent = [chain for chain in evidence.subjects(name) if evidence.level(f"{name}.{chain}.soft_mean").n]
        for chain in sent or evidence.subjects(name):
            figures = {stage: mean_of(evidence, name, chain, stage) for stage in words}
            told = [statement(evidence, figure, words[stage]) for stage, figure in figures.items()]
            topic = f"Finality on {chain}" if sent else f"Finality of blocks on {chain}"
            yield Finding(topic + evidence.which(name), " ".join(filter(None, told)))


def _cascades(evidence: Evidence) -> Iterator[Finding]:
    for name, metric in evidence.metrics("liquidation_cascade").items():
        where = getattr(metric, "market", None)
        if evidence.is_nothing(f"{name}.notional") or _is_told(evidence, where):
            continue
        topics = (
            ("notional", "Liquidated in all"),
            ("largest_notional", "Largest cascade"),
            ("price_drop", "Largest fall of the index"),
            ("traders_lost", "Taken from owners by liquidation"),
        )
        text = " ".join(filter(None, (statement(evidence, f"{name}.{figure}", words) for figure, words in topics)))
        yield Finding(f"Liquidations{f' in {where}' if where else ''}{evidence.which(name)}", text)


def _loop(evidence: Evidence) -> Iterator[Finding]:
    told = []
    for figure, found in evidence.multipliers():
        said = _note(found, evidence, "one")
        what = evidence.label(figure) + evidence.which(figure.partition(".")[0])
        if found.n and not evidence.is_nothing(f"{figure.partition('.')[0]}.notional"):
            ratio = f"{phrase(found)} times what it is where trades move no price"
            told.append(f"{what[0].upper()}{what[1:]} is {ratio}{_pairs(found, evidence)}{said}.")
    if told:
        yield Finding("The loop", " ".join(told))


def _profit(evidence: Evidence) -> Iterator[Finding]:
    for name in evidence.metrics("profit_and_loss"):
        found = gains(evidence, name)
        if evidence.compared:
            text = _shared(evidence, [(gain, gain.effect) for gain in found], "Worse off than without", "Better off")
            yield Finding(f"Who paid{evidence.which(name)}", text)
        else:
            text = _shared(evidence, [(gain, gain.written) for gain in found], "Lost", "Gained")
            yield Finding(f"Who gained{evidence.which(name)}", text)


def _shared(evidence: Evidence, found: list[tuple[Gain, Interval]], worse: str, better: str) -> str:
    """Losers, winners, and those of whom neither can be said; small ones in a word."""
    single = evidence.replications == 1
    most = max((abs(part.mean) for _, part in found if part.n), default=0.0)
    losers: list[str] = []
    winners: list[str] = []
    rest: list[str] = []
    small: list[float] = []
    for gain, part in found:
        if not part.n or abs(part.mean) < MATERIAL * most:
            small.append(abs(part.mean) if part.n else 0.0)
        elif not (single or is_clear(part)):
            rest.append(f"{gain.group} ({phrase(part, 'USD', signed=True)})")
        elif part.mean < 0:
            losers.append(f"{gain.group} by {phrase(Interval(-part.mean, -part.high, -part.low, part.n), 'USD')}")
        else:
            winners.insert(0, f"{gain.group} by {phrase(part, 'USD')}")
    against = f" {evidence.attacks}" if evidence.compared else ""
    if headline(evidence):
        losers, winners, rest = (_first(named) for named in (losers, winners, rest))
    parts = [f"{worse}{against}: {listed(losers)}." if losers else "", f"{better}: {listed(winners)}." if winners else ""]
    parts.append(f"Indistinguishable from zero: {listed(rest)}." if rest else "")
    if small and most:
        others = f"{len(small)} other{'s' if len(small) > 1 else ''}"
        most_of_them = f"at most {amount(max(small), 'USD')} each, less than {MATERIAL * 100:g} % of the largest"
        parts.append(f"{others}: {most_of_them if max(small) else 'nothing'}.")
    return " ".join(filter(None, parts))


def _first(named: list[str]) -> list[str]:
    """The first few, and how many more the table has."""
    more = len(named) - TOLD
    return [*named[:TOLD], f"{more} more, in the table"] if more > 0 else named


def _waits(evidence: Evidence, name: str) -> str:
    """Mean waits of agents; beside other chains only the most telling."""
    agents = evidence.subjects(name)
    if not headline(evidence) or len(agents) <= TOLD:
        return " ".join(filter(None, (statement(evidence, f"{name}.{agent}.mean", agent) for agent in agents)))
    if not evidence.compared and (text := told_of_waits(evidence, name)):
        return text
    of = evidence.effect if evidence.compared else evidence.level
    size = {agent: abs(found.mean) for agent in agents if (found := of(f"{name}.{agent}.mean")).n}
    first = sorted(size, key=lambda agent: -size[agent])[:TOLD]
    which = f"most changed by {evidence.attacks}" if evidence.compared else "that are longest"
    parts = [statement(evidence, f"{name}.{agent}.mean", agent) for agent in first]
    return " ".join([*parts, f"These are the {len(first)} of {len(agents)} {which}; the others are among the key figures."])


def _delays(evidence: Evidence) -> Iterator[Finding]:
    yield from (Finding(topic, text) for topic, text in delays.sentences(evidence))


def _disputes(evidence: Evidence) -> Iterator[Finding]:
    for found in passes(evidence):
        figures = [f"{name}.{found.chain}.resolution_mean" for name in evidence.metrics("disputes")]
        decided = [
            f"From a challenge to its decision: {phrase(evidence.level(figure), 's')}." for figure in figures if evidence.level(figure).n
        ]
        yield Finding(f"False assertions on {found.chain}", " ".join([sentence(found), *decided[:1]]))


def _withdrawals(evidence: Evidence) -> Iterator[Finding]:
    topics = (("mean", "Paid on L1 after, on average"), ("refused", "Refused for want of money"), ("unpaid", "Not paid when the run ended"))
    for name in evidence.metrics("withdrawal_delay"):
        for bridge in evidence.subjects(name):
            told = [statement(evidence, f"{name}.{bridge}.{figure}", words) for figure, words in topics]
            yield Finding(f"Withdrawals through {bridge}{evidence.which(name)}", " ".join(filter(None, told)))


def _censorship(evidence: Evidence) -> Iterator[Finding]:
    topics = (("mean", "In a block after, on average"), ("failed", "Too late"), ("never", "In no block by the end"))
    for name in evidence.metrics("censorship_delay"):
        for subject in evidence.subjects(name):
            if not evidence.is_nothing(f"{name}.{subject}.attempts"):
                told = [f"{words}: {phrase(level, evidence.unit(figure))}." for which, words in topics if
                        (level := evidence.level(figure := f"{name}.{subject}.{which}")).n and level.mean]  # fmt: skip
                yield Finding(f"Left out on purpose: {subject}{evidence.which(name)}", " ".join(told))


def _loans(evidence: Evidence) -> Iterator[Finding]:
    topics = (
        ("loans", "Loans liquidated"),
        ("borrowers_lost", "Lost by borrowers"),
        ("liquidators_gained", "Gained by liquidators, before they sold anything"),
        ("bad_debt", "Debt that was written off"),
    )
    for name, metric in evidence.metrics("loan_liquidations").items():
        if not evidence.is_nothing(f"{name}.loans"):
            where = getattr(metric, "market", None)
            told = [statement(evidence, f"{name}.{figure}", words) for figure, words in topics]
            yield Finding(f"Loans{f' in {where}' if where else ''}", " ".join(filter(None, told)))


def _extraction(evidence: Evidence) -> Iterator[Finding]:
    for name in evidence.metrics("extraction"):
        told = [
            f"Of {phrase(one.loss, 'USD')} that trades {'in' if getattr(evidence.scenario.metrics[name], 'by', '') == 'pool' else 'of'} "
            f"{one.subject} lost against the price when they were sent, {phrase(one.parts['extraction'], 'USD')} "
            "went to those who traded around them."
            for one in losses(evidence, name)
            if one.loss.mean > 0 and one.parts["extraction"].mean >= MATERIAL * one.loss.mean
        ]
        yield Finding(f"Extraction{evidence.which(name)}", " ".join(told[:TOLD]))


def _others(evidence: Evidence) -> Iterator[Finding]:
    for name in evidence.metrics("bad_debt"):
        text = " ".join(
            filter(
                None,
                (
                    statement(evidence, f"{name}.{f}", w)
                    for f, w in (("bad_debt", "Bad debt, which nobody paid"), ("covered", "Shortfall paid by the insurance fund"))
                ),
            )
        )
        subjects = evidence.subjects(name)
        apart = [market for market in subjects if not _is_told(evidence, market)]
        if not evidence.is_nothing(f"{name}.shortfall") and (apart or not subjects):
            markets = [statement(evidence, f"{name}.{market}.bad_debt", f"Bad debt in {market}") for market in apart]
            yield Finding("Bad debt" + evidence.which(name), " ".join(filter(None, [text, *markets])))
    for name, metric in evidence.metrics("inclusion_delay").items():
        if getattr(metric, "by", "chain") == "agent":
            who = " by role" if not evidence.compared and told_of_waits(evidence, name) else ""
            yield Finding(f"Mean wait for a block{who}{evidence.which(name)}", _waits(evidence, name))
            continue
        for chain in evidence.subjects(name):
            told = [
                statement(evidence, f"{name}.{chain}.max", "Longest wait for a block"),
                statement(evidence, f"{name}.{chain}.dropped", "Transactions dropped"),
            ]
            yield Finding(f"Waiting on {chain}{evidence.which(name)}", " ".join(filter(None, told)))
    for name in evidence.metrics("cost_per_transaction"):
        for chain in evidence.subjects(name):
            text = statement(evidence, f"{name}.{chain}.total_mean_usd", "A transaction pays on average")
            yield Finding(f"Costs on {chain}{evidence.which(name)}", text)
