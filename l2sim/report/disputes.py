"""Disputes: what was asserted about a rollup's state, what became of it, and how much of what was false nobody stopped."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import AssertionChallenged, AssertionConfirmed, AssertionMade, AssertionRejected, DisputeEnded, DisputeMoved
from l2sim.report import dispute_heads, game_tree
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, SHADE, VERMILLION, Drawing, Picture, canvas, legend, plain_axis
from l2sim.report.series import time_unit, windows
from l2sim.report.tables import Table, head_of, rows_by_subject
from l2sim.statistics.intervals import Interval
from l2sim.statistics.proportion import wilson
from l2sim.units import SECOND
from l2sim.wording import amount, listed, phrase

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log

OUTCOMES: dict[str, dict[str, Any]] = {
    "true, confirmed": {"facecolor": GREEN, "edgecolor": GREEN},
    "false, rejected": {"facecolor": "white", "edgecolor": BLUE},
    "false, confirmed": {"facecolor": VERMILLION, "edgecolor": INK, "linewidth": 1.2, "hatch": "//////"},
    "true, rejected": {"facecolor": "white", "edgecolor": ORANGE, "hatch": "xxxxxx"},
    "open at the end": {"facecolor": SHADE, "edgecolor": FAINT},
}
"""What became of an assertion, and how its bar looks: filled where what was asserted became final."""
FIGURES = (
    "assertions", "false", "undetected", "undetected_share", "disputes", "moves", "resolution_mean", "resolution_max", "spend_ratio",
    "attackers_gas", "attackers_bonds", "defenders_gas", "defenders_bonds", "defenders_rewards",
)  # fmt: skip


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
    decided: int
    undetected: int

    @property
    def share(self) -> Interval:
        """With the interval of Wilson (1927) for a share of independent trials."""
        return wilson(self.undetected, self.decided)


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """The assertions of the first replication, heads and games, rollup by rollup, and the share of false ones that passed in all."""
    first = next(iter(evidence.written.measured))
    log = evidence.written.log(first)
    for chain in log.present(AssertionMade, "chain"):
        yield _assertions(evidence, log, chain, first)
        heads = dispute_heads.picture(evidence, log, chain, first)
        if heads is not None:
            yield heads
        yield from game_tree.pictures(evidence, log, chain, first)
    found = passes(evidence)
    if found:
        yield _passes(evidence, found)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, rollup by rollup."""
    for name, chain, rows in rows_by_subject(evidence, "disputes", FIGURES):
        note = "These intervals are over replications; Wilson's, over all attempts, is the better one for the share."
        caption = f"Assertions and disputes on {chain}{evidence.which(name)}: {evidence.how}"
        yield Table(caption, head_of(evidence), rows, note=note if evidence.replications > 1 else "")


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
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for number in evidence.written.measured:
        log = evidence.written.log(number)
        for chain in log.present(AssertionMade, "chain"):
            false = [one.outcome for one in assertions(log, chain) if one.false]
            passed, stopped = false.count("false, confirmed"), false.count("false, rejected")
            counts[chain] = counts.get(chain, np.zeros(2, np.int64)) + np.array([passed + stopped, passed])
    return [Pass(chain, _validators(evidence, chain), int(n), int(k)) for chain, (n, k) in sorted(counts.items()) if n]


def sentence(found: Pass) -> str:
    """What a rollup's false assertions came to."""
    watched = f"{found.validators} validator{'s' if found.validators != 1 else ''} watching"
    return (
        f"With {watched}, {phrase(found.share, '%')} of {amount(found.decided)} false assertions became final "
        f"({found.undetected} of them; Wilson's interval over all attempts)."
    )


def _watchers(evidence: Evidence, chain: str) -> list[Any]:
    return [agent for agent in evidence.scenario.agents.values() if agent.kind == "validator" and getattr(agent, "on", None) == chain]


def _validators(evidence: Evidence, chain: str) -> int:
    stakers = [agent for agent in evidence.scenario.agents.values() if agent.kind == "staker" and getattr(agent, "on", None) == chain]
    proposer: Any = getattr(evidence.scenario.chains[chain], "proposer", None)
    stakers += [proposer] if proposer is not None and proposer.kind == "staker" else []
    return sum(int(getattr(agent, "count", 1)) for agent in (*_watchers(evidence, chain), *stakers))


# ---- assertions over time


def _assertions(evidence: Evidence, log: "Log", chain: str, first: int) -> Picture:
    from matplotlib.ticker import MaxNLocator

    found = assertions(log, chain)
    per, name = time_unit(log.about["duration"])
    anchor = f"assertions_{chain}"
    with canvas(1.5 + min(5.5, max(0.8, 0.085 * len(found)))) as figure:
        axes = figure.subplots()
        for window in windows(log):
            axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, alpha=0.55, edgecolor="none", zorder=0)
        for outcome, look in OUTCOMES.items():
            here = [one for one in found if one.outcome == outcome]
            if here:
                left, width = [one.made / per for one in here], [(one.over - one.made) / per for one in here]
                style: dict[str, Any] = {"height": 0.72, "linewidth": 0.7, "zorder": 2, **look}
                axes.barh([one.number for one in here], width, left=left, label=outcome, **style)
        _marks(axes, log, chain, per)
        axes.set_xlim(0, log.about["duration"] / per)
        axes.set_ylim(max(one.number for one in found) + 1, min(one.number for one in found) - 1)
        axes.set_xlabel(f"simulated time, {name}")
        axes.set_ylabel("number of the assertion")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(f"on {chain}")
        legend(axes, columns=4)
        drawn = Drawing(figure, anchor)
    caption = f"Replication {first}{f' of n = {evidence.replications}' if evidence.replications > 1 else ''}. "
    caption += "Each bar is an assertion, from when it was made until L1 confirmed or rejected it. "
    caption += "Triangles: challenges; ticks: moves of a dispute."
    shaded = listed(list(dict.fromkeys(window.name for window in windows(log))))
    caption += f" Shaded: {shaded}." if shaded else ""
    false = sum(one.false for one in found)
    alt = f"{len(found)} assertions about {chain}, {false} of them false, as bars over simulated time."
    return Picture(anchor, f"What was asserted about {chain}, and what became of it", caption, alt, drawn, _rows(found, log, chain))


def _marks(axes: "Axes", log: "Log", chain: str, per: float) -> None:
    moved, about = log.select(DisputeMoved, "time", "number", chain=chain)
    axes.plot(moved / per, about, "|", color=INK, markersize=2.6, markeredgewidth=0.5, label="move" if len(moved) else "_", zorder=3)
    began, challenged, taken = log.select(AssertionChallenged, "time", "number", "taken", chain=chain)
    look: dict[str, Any] = {"color": INK, "markersize": 3.6, "markeredgewidth": 0, "zorder": 4}
    axes.plot(began[taken == 1] / per, challenged[taken == 1], "v", label="challenge" if (taken == 1).any() else "_", **look)


def _rows(found: list[Assertion], log: "Log", chain: str) -> "pd.DataFrame":
    import pandas as pd

    rows: list[tuple[Any, ...]] = [(one.number, "asserted", one.made / SECOND, one.over / SECOND, one.outcome) for one in found]
    for fact, word in ((AssertionChallenged, "challenged"), (DisputeMoved, "moved"), (DisputeEnded, "decided")):
        for time, number in zip(*map(np.ndarray.tolist, log.select(fact, "time", "number", chain=chain)), strict=True):
            rows.append((number, word, time / SECOND, time / SECOND, ""))
    return pd.DataFrame(rows, columns=["assertion", "what", "seconds", "until_seconds", "outcome"])


# ---- how much passes


def _implied(evidence: Evidence, chain: str) -> tuple[float, float] | None:
    """Own and common probability of failing, where one group of validators watches and says both."""
    watchers = _watchers(evidence, chain)
    return (watchers[0].failure, watchers[0].common_failure) if len(watchers) == 1 else None


def _passes(evidence: Evidence, found: list[Pass]) -> Picture:
    implied = list(dict.fromkeys(filter(None, (_implied(evidence, one.chain) for one in found))))
    most = max(3, *(one.validators for one in found)) + 1
    with canvas(2.7) as figure:
        axes = figure.subplots()
        numbers = np.arange(most + 1)
        for p, c in implied:
            label = f"c + (1 − c) pⁿ with p = {amount(p, '%')}, c = {amount(c, '%')}"
            dashes: dict[str, Any] = {"color": FAINT, "linewidth": 1.0, "linestyle": (0, (4, 2)), "marker": ".", "markersize": 4}
            axes.plot(numbers, c + (1 - c) * p**numbers, label=label, **dashes)
        for one in found:
            error = [[one.share.mean - one.share.low], [one.share.high - one.share.mean]]
            look: dict[str, Any] = {"color": VERMILLION, "markersize": 6, "capsize": 3.5, "linewidth": 1.5, "zorder": 3}
            axes.errorbar(one.validators, one.share.mean, error, fmt="o", label="as measured" if one is found[0] else "_", **look)
            if len(found) > 1:
                axes.annotate(one.chain, (one.validators, one.share.mean), (7, 4), textcoords="offset points", fontsize=8.5)
        axes.set_xticks(numbers)
        axes.set_xlim(-0.4, most + 0.4)
        bounds = [bound for one in found for bound in one.share[:2] if bound > 0] + [c + (1 - c) * p**most for p, c in implied]
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(max(min(filter(None, bounds), default=0.01), 1e-6) * 0.5, 1.4)
        plain_axis(axes.yaxis, 1e3, per_cent=True)
        axes.set_xlabel("validators that watch")
        axes.set_ylabel("false assertions confirmed, %")
        legend(axes, columns=2)
        drawn = Drawing(figure, "undetected")
    n = evidence.replications
    over = f"{n} replications" if n > 1 else "one replication"
    caption = f"Of {listed([f'{amount(one.decided)} false assertions decided on {one.chain}' for one in found])}, in {over}; "
    caption += "bars: 95 % intervals (Wilson) for independent attempts; logarithmic."
    if implied:
        caption += " Dashed: what n validators, each failing for itself with p and all together with c, would let pass if nothing else did."
    return Picture("undetected", "How many false assertions nobody stopped", caption, " ".join(map(sentence, found)), drawn, _shares(found))


def _shares(found: list[Pass]) -> "pd.DataFrame":
    import pandas as pd

    columns = ["chain", "validators", "decided", "undetected", "share", "low", "high"]
    return pd.DataFrame([(*one, *one.share[:3]) for one in found], columns=columns)
