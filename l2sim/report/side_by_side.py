"""Side by side: chains that carry the same kind of market in one world, figure by figure, and how far they are apart."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.report.evidence import Evidence
from l2sim.report.finality import mean_of
from l2sim.report.tables import Table
from l2sim.statistics.intervals import Interval, interval
from l2sim.wording import MINUS, NOTHING, THIN, estimate, is_clear, label, listed, phrase, scale, unit_of, verdict

Floats = npt.NDArray[np.float64]

TOLD = 4
"""Items of a kind that are told in a sentence; the others are in tables."""
ABREAST = 5
"""Chains that a table has columns for."""
ALL = "all senders"
NO_PAIRS = "no pairs"
VENUES = ("l1", "rollup")
"""Kinds of chains on which people trade and wait; outside is where prices come from."""

_ON_CHAINS = {
    "throughput": ("transactions_a_second", "reverted_share", "dropped_share", "pending_max"),
    "cost_per_transaction": ("total_mean_usd",),
    "value_at_risk_before_finality": ("mean", "max"),
    "sequencer_margin": ("batch_cost", "margin_per_day"),
    "censorship_delay": ("mean", "never"),
    "counterparty_exposure": ("held_mean", "held_max", "own_mean", "committee_mean", "l1_mean"),
}
_ON_ONE_MARKET = {"capital_efficiency": ("efficiency", "sufficient"), "withdrawal_delay": ("mean", "max")}
"""Figures of a market that are not to be added up, where a chain has one such market."""
_DRAWN = {
    "efficiency", "bad_debt", "notional", "positions", "mean", "reverted_share", "dropped_share", "finalized_mean", "total_mean_usd",
    "own_mean",
}  # fmt: skip
"""Figures that get a panel; the others are in the table only."""


class Measure(NamedTuple):
    """One figure on every chain."""

    name: str
    """Of the figure, ``metric.figure``."""
    words: str
    """What it is called."""
    role: str
    """Whose it is, where it is not the whole chain's: a group's name without its chain's."""
    unit: str
    values: dict[str, Floats]
    """By chain, one for each replication; NaN where nothing was observed."""
    drawn: bool
    signed: bool = False

    def level(self, chain: str) -> Interval:
        """The mean on a chain and its interval."""
        return interval(self.values[chain])

    def apart(self, chain: str, other: str) -> Interval:
        """The mean paired difference of a chain from another and its interval."""
        return interval(self.values[chain] - self.values[other])

    @property
    def largest(self) -> float:
        """The largest mean, by magnitude."""
        return max(abs(found.mean) for found in map(self.level, self.values) if found.n)

    @property
    def range(self) -> float:
        """How far the means are apart."""
        means = [found.mean for found in map(self.level, self.values) if found.n]
        return max(means) - min(means)


def sides(evidence: Evidence) -> list[str]:
    """The chains with a market of a kind that another chain has too, in the scenario's order; none where none has."""
    scenario = evidence.scenario
    kinds: dict[str, set[str]] = {name: set() for name, chain in scenario.chains.items() if chain.kind in VENUES}
    for market in scenario.markets.values():
        if market.on in kinds:
            kinds[market.on].add(market.kind)
    return [name for name, here in kinds.items() if any(here & there for other, there in kinds.items() if other != name)]


def measures(evidence: Evidence) -> list[Measure]:
    """What was measured on two or more of those chains and is not zero throughout; figures of chains first, then of roles."""
    chains = sides(evidence)
    if not chains:
        return []
    gather = _Gather(evidence, chains)
    found = [*_of_markets(evidence, gather), *_of_chains(evidence, gather), *_of_roles(evidence, gather)]
    seen = [measure for measure in found if sum(bool((~np.isnan(values)).any()) for values in measure.values.values()) > 1]
    return [measure for measure in seen if any(np.nan_to_num(values).any() for values in measure.values.values())]


class _Gather:
    """The columns of the summary, brought into a row of chains."""

    def __init__(self, evidence: Evidence, chains: list[str]) -> None:
        self.evidence = evidence
        self.chains = chains
        self.summary = evidence.written.summary
        self.units = evidence.written.units
        self.nothing = np.full(len(self.summary), np.nan)

    def column(self, figure: str) -> Floats:
        return self.summary[figure].to_numpy(np.float64) if figure in self.summary else self.nothing

    def sum(self, figures: Iterable[str]) -> Floats:
        columns = [self.column(figure) for figure in figures]
        unseen = np.all(np.isnan(columns), axis=0) if columns else True
        return np.where(unseen, np.nan, np.nansum([self.nothing, *columns], axis=0))

    def measure(self, metric: str, figure: str, names: dict[str, list[str]], role: str = "") -> Measure:
        """The sum over the figures that are named for each chain."""
        unit = next((self.units[name] for found in names.values() for name in found if name in self.units), "")
        kind = self.evidence.scenario.metrics[metric].kind
        words = label(f"{metric}.{figure}", kind) + ("" if kind == "liquidation_cascade" else self.evidence.which(metric))
        values = {chain: self.sum(found) for chain, found in names.items()}
        return Measure(f"{metric}.{figure}", words, role, unit_of(figure, unit), values, not role and figure in _DRAWN)


def _of_markets(evidence: Evidence, gather: _Gather) -> Iterator[Measure]:
    """What markets lost and liquidated, over the markets of each chain."""
    markets = {name: market.on for name, market in evidence.scenario.markets.items()}
    for name in evidence.metrics("bad_debt"):
        for figure in ("bad_debt", "covered"):
            here = {chain: [f"{name}.{market}.{figure}" for market, on in markets.items() if on == chain] for chain in gather.chains}
            yield gather.measure(name, figure, here)
    for kind, figures in _ON_ONE_MARKET.items():
        for name in evidence.metrics(kind):
            subjects = set(evidence.subjects(name))
            homes = {chain: [market for market, on in markets.items() if on == chain and market in subjects] for chain in gather.chains}
            for figure in figures if all(len(found) < 2 for found in homes.values()) else ():
                yield gather.measure(
                    name, figure, {chain: [f"{name}.{market}.{figure}" for market in found] for chain, found in homes.items()}
                )
    asked: dict[str, str] = {}
    for name, metric in evidence.metrics("liquidation_cascade").items():
        if isinstance(metric, LiquidationCascade) and metric.market is not None:
            asked.setdefault(metric.market, name)
    for figure in ("notional", "positions", "traders_lost") if asked else ():
        here = {chain: [f"{name}.{figure}" for market, name in asked.items() if markets[market] == chain] for chain in gather.chains}
        yield gather.measure(next(iter(asked.values())), figure, here)


def _of_chains(evidence: Evidence, gather: _Gather) -> Iterator[Measure]:
    """What was measured of each chain as a whole."""
    for name, metric in evidence.metrics("inclusion_delay").items():
        if getattr(metric, "by", "chain") == "agent":
            yield _overall(evidence, gather, name)
        else:
            for figure in ("mean", "max", "dropped"):
                yield gather.measure(name, figure, {chain: [f"{name}.{chain}.{figure}"] for chain in gather.chains})
    for name in evidence.metrics("time_to_finality"):
        for stage in ("soft", "safe", "finalized"):
            here = {chain: mean_of(evidence, name, chain, stage) for chain in gather.chains}
            alike = len({"from_block" in figure for figure in here.values()}) == 1
            measured = {chain: [figure if alike else f"{name}.{chain}.{stage}_from_block_mean"] for chain, figure in here.items()}
            made = gather.measure(name, f"{stage}_mean", measured)
            yield made if alike and "from_block" not in next(iter(here.values())) else made._replace(words=f"{made.words} of blocks")
    for kind, figures in _ON_CHAINS.items():
        for name in evidence.metrics(kind):
            for figure in figures:
                made = gather.measure(name, figure, {chain: [f"{name}.{chain}.{figure}"] for chain in gather.chains})
                yield _of_those_left_out(gather, made) if kind == "censorship_delay" else made


def _of_those_left_out(gather: _Gather, measure: Measure) -> Measure:
    """The same without the replications in which nobody was left out on a chain: that all got in says nothing there."""
    name, _, _ = measure.name.partition(".")
    there = {chain: gather.column(f"{name}.{chain}.attempts") > 0 for chain in measure.values}
    return measure._replace(values={chain: np.where(there[chain], values, np.nan) for chain, values in measure.values.items()})


def _overall(evidence: Evidence, gather: _Gather, name: str) -> Measure:
    """The mean over all transactions on a chain, from the means of those who sent them there and nowhere else."""
    homes = _homes(evidence)
    values = {}
    for chain in gather.chains:
        groups = [group for group in evidence.subjects(name) if homes.get(group) == chain]
        counts = gather.sum(f"{name}.{group}.included" for group in groups)
        waited = [np.nan_to_num(gather.column(f"{name}.{group}.mean")) * gather.column(f"{name}.{group}.included") for group in groups]
        values[chain] = np.nansum([gather.nothing, *waited], axis=0) / np.where(counts > 0, counts, np.nan)
    return Measure(f"{name}.mean", f"wait for a block, mean over {ALL}{evidence.which(name)}", "", "s", values, True)


def _of_roles(evidence: Evidence, gather: _Gather) -> Iterator[Measure]:
    """What was measured of the same role on several chains."""
    agents = evidence.scenario.agents
    homes = _homes(evidence)
    for name, metric in evidence.metrics("inclusion_delay").items():
        roles = _roles(evidence.subjects(name), homes, gather.chains) if getattr(metric, "by", "chain") == "agent" else {}
        for figure in ("mean", "dropped"):
            for role, groups in roles.items():
                here = {chain: [f"{name}.{group}.{figure}" for group in groups.get(chain, [])] for chain in gather.chains}
                yield gather.measure(name, figure, here, role)._replace(drawn=figure == "mean")
    for name in evidence.metrics("profit_and_loss"):
        subjects = [subject.removeprefix("groups.") for subject in evidence.subjects(name) if subject.startswith("groups.")]
        for role, groups in _roles(subjects, homes, gather.chains).items():
            here = {chain: [f"{name}.groups.{group}.profit" for group in groups.get(chain, [])] for chain in gather.chains}
            kinds = {agents[group].kind if group in agents else "" for found in groups.values() for group in found}
            yield gather.measure(name, "profit", here, role)._replace(
                drawn=bool(kinds) and kinds <= {"liquidator", "loan_liquidator"}, signed=True
            )


def _homes(evidence: Evidence) -> dict[str, str]:
    """The chain of every market and of every agent whose markets are all on one."""
    scenario = evidence.scenario
    homes = {name: market.on for name, market in scenario.markets.items()}
    found = dict(homes)
    for name, agent in scenario.agents.items():
        values = [getattr(agent, field) for field in type(agent).model_fields]
        named = [text for value in values for text in (value if isinstance(value, list | tuple) else [value]) if isinstance(text, str)]
        on = {homes[text] for text in named if text in homes}
        if len(on) == 1:
            found[name] = on.pop()
    return found


def _roles(groups: list[str], homes: dict[str, str], chains: list[str]) -> dict[str, dict[str, list[str]]]:
    """By role, the groups on each chain: those that are called the same but for the chain's name, on two chains or more."""
    found: dict[str, dict[str, list[str]]] = {}
    for group in sorted(groups):
        chain = homes.get(group)
        if chain in chains and chain is not None:
            role = group.removeprefix(f"{chain}_") if group.startswith(f"{chain}_") else group.removesuffix(f"_{chain}")
            if role != group:
                found.setdefault(role, {}).setdefault(chain, []).append(group)
    return {role: there for role, there in sorted(found.items()) if len(there) > 1}


# ---- in words


def told(evidence: Evidence) -> list[tuple[str, str]]:
    """The first figures of the chains, each with what is said of it: the levels, and how far the others are from the first."""
    every = [measure for measure in measures(evidence) if not measure.role]
    first = sorted(every, key=lambda measure: not measure.drawn)[:TOLD]
    found = [(_capital(measure.words), _sentence(evidence, measure)) for measure in first]
    if len(every) > len(first):
        topic, text = found[-1]
        found[-1] = (topic, f"{text} These are {len(first)} of {len(every)} figures of the chains; all are in the section Side by side.")
    return found


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def told_of_waits(evidence: Evidence, metric: str) -> str:
    """The roles whose mean waits differ most from chain to chain; empty where no role is on several."""
    every = [measure for measure in measures(evidence) if measure.role and measure.name == f"{metric}.mean"]
    first = sorted(every, key=lambda measure: -measure.range)[:TOLD]
    parts = [f"{measure.role}: {_levels(measure)}." for measure in first]
    if len(every) > len(first):
        parts.append(f"These {len(first)} of {len(every)} differ most between chains; the others are in the section Side by side.")
    return " ".join(parts)


def headline(evidence: Evidence) -> Measure | None:
    """The figure by which the chains are told apart first."""
    drawn = [measure for measure in measures(evidence) if measure.drawn and not measure.role]
    return drawn[0] if drawn else None


def _levels(measure: Measure) -> str:
    found = {chain: measure.level(chain) for chain in measure.values}
    written = {chain: estimate(level, measure.unit, signed=measure.signed)[0] for chain, level in found.items() if level.n}
    return listed([f"{text} on {chain}{_of(found[chain], measure)}" for chain, text in written.items()])


def _of(found: Interval, measure: Measure, what: str = "replications") -> str:
    """How many replications a figure rests on, where it is not all of them."""
    every = len(next(iter(measure.values.values())))
    return f" (from {found.n} of {every} {what}".rstrip() + ")" if 0 < found.n < every else ""


def _sentence(evidence: Evidence, measure: Measure) -> str:
    base, *others = measure.values
    apart = {chain: found for chain in others if (found := measure.apart(chain, base)).n}
    single = evidence.replications == 1
    clear = [chain for chain, found in apart.items() if is_clear(found) or single]
    same = [chain for chain, found in apart.items() if not is_clear(found) and found.n > 1]
    text = _levels(measure)
    differ = [f"{chain} {_difference(measure, apart[chain])}" for chain in clear]
    text += f"; against {base}, {listed(differ)}" if differ else ""
    if same:
        text += f"; the difference{'s' if len(same) > 1 else ''} of {listed(same)} from {base} {'are' if len(same) > 1 else 'is'}"
        text += " indistinguishable from zero"
    return f"{text}."


def _difference(measure: Measure, found: Interval) -> str:
    return phrase(found, "%-points" if measure.unit == "%" else measure.unit, signed=True, like=measure.largest)


# ---- in tables


def missing(measure: Measure) -> list[str]:
    """The chains without that figure."""
    return [chain for chain in measure.values if not measure.level(chain).n]


def blanks(evidence: Evidence, found: list[Measure]) -> str:
    """What it says that a figure is missing on a chain."""
    without = {chain for measure in found for chain in missing(measure)}
    l1 = any(evidence.scenario.chains[chain].kind == "l1" for chain in without)
    text = "stands where nothing was observed in any replication, or where there is no such thing"
    return f"{text}: L1 has no sequencer and posts no batches." if l1 else f"{text}."


def tables(evidence: Evidence) -> list[Table]:
    """The figures with the chains as columns, and the paired differences of the others from the first; in parts where they are many."""
    found = measures(evidence)
    if not found:
        return []
    base, *others = found[0].values
    note = "Figures that are zero throughout are left out. A role is a group's name without that of its chain."
    note += f" {NOTHING} {blanks(evidence, found)}" if any(map(missing, found)) else ""
    levels = _abreast("Side by side", evidence.how, list(found[0].values), list(found[0].values), _rows(found, _levels_of), note)
    note = f"Paired by replication, in which the chains share the prices, but not the luck of their people; positive: more than on {base}."
    note += " (0 inside): the interval contains zero." if evidence.replications > 1 else ""
    head = [f"{chain} {MINUS} {base}" for chain in others]
    return [*levels, *_abreast(f"Paired differences from {base}", evidence.how, others, head, _rows(found, _apart), note)]


def _abreast(title: str, how: str, chains: list[str], head: list[str], rows: list[list[str]], note: str) -> list[Table]:
    """One table, or several where a printed page would not hold the columns of all chains."""
    parts = -(-len(chains) // ABREAST)
    size = -(-len(chains) // parts)
    made = []
    for first in range(0, len(chains), size):
        part = slice(first, first + size)
        which = f" ({listed(chains[part])})" if parts > 1 else ""
        cells = [[row[0], *row[1:][part]] for row in rows]
        made.append(Table(f"{title}{which}: {how}", ["", *head[part]], cells, note="" if first else note))
    return made


def _rows(found: list[Measure], cells: Callable[[Measure], list[str]]) -> list[list[str]]:
    rows: list[list[str]] = []
    heading = ""
    for measure in found:
        if measure.role and heading != measure.words:
            heading = measure.words
            rows.append([f"{heading}, by role"])
        written = cells(measure)
        name = measure.role or measure.words
        unit = "%-points" if any("%-points" in cell for cell in written) else scale(measure.unit, measure.largest).unit
        if unit and all(f"{THIN}{unit}" in cell for cell in written if cell not in (NOTHING, NO_PAIRS)):
            name, written = f"{name}, {unit}", [cell.replace(f"{THIN}{unit}", "", 1) for cell in written]
        rows.append([name, *written])
    return rows


def _levels_of(measure: Measure) -> list[str]:
    found = [measure.level(chain) for chain in measure.values]
    return [phrase(level, measure.unit, signed=measure.signed, like=measure.largest) + _of(level, measure, "") for level in found]


def _apart(measure: Measure) -> list[str]:
    base, *others = measure.values
    return [_cell(measure, measure.apart(chain, base)) for chain in others]


def _cell(measure: Measure, found: Interval) -> str:
    if not found.n:
        return NO_PAIRS
    notes = {"indistinguishable from zero": " (0 inside)", "the same in every replication": " (same)"}
    return _difference(measure, found) + notes.get(verdict(found), "") + _of(found, measure, "")
