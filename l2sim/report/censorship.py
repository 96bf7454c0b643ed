"""Censorship: how long those wait whom a sequencer or a builder leaves out, chain by chain."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from l2sim.metrics.censorship_delay import CensorshipDelay, Episode, episodes
from l2sim.report.evidence import Evidence
from l2sim.report.figures import GREEN, INK, ORANGE, SHADE, VERMILLION, Drawing, Picture, canvas, duration_axis, legend
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.units import SECOND
from l2sim.wording import amount, listed

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("attempts", "mean", "p50", "p95", "max", "never", "failed")
MARKS = {"done": ("in a block, and done", GREEN, "o"), "late": ("in a block, too late", ORANGE, "X"), "never": ("in none", VERMILLION, ">")}


class Shown(NamedTuple):
    """An episode of a replication, as it is drawn."""

    chain: str
    replication: int
    episode: Episode

    @property
    def outcome(self) -> str:
        """What became of it."""
        return "never" if self.episode.until < 0 else "done" if self.episode.done else "late"

    @property
    def seconds(self) -> float:
        """How long it took; infinite where it never came."""
        return np.inf if self.episode.until < 0 else (self.episode.until - self.episode.since) / SECOND


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """One for the run, where something was left out and a metric asks for it."""
    if not any(isinstance(metric, CensorshipDelay) for metric in evidence.scenario.metrics.values()):
        return
    found: list[Shown] = []
    for number in evidence.written.measured:
        log = evidence.written.log(number)
        found += [Shown(log.names.all[one.chain], number, one) for one in episodes(log)]
    if found:
        yield _picture(evidence, found)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, chain by chain or agent by agent."""
    for name in evidence.metrics("censorship_delay"):
        for subject in evidence.subjects(name):
            rows = rows_of(evidence, f"{name}.{subject}", FIGURES) if not evidence.is_nothing(f"{name}.{subject}.attempts") else []
            if rows:
                note = "Delays are from the first attempt that was left out until a block had it, whichever way it came there."
                yield Table(f"Left out: {subject}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows, note=note)


def _picture(evidence: Evidence, found: list[Shown]) -> Picture:
    chains = sorted({one.chain for one in found}, reverse=True)
    taken = [one.seconds for one in found if one.seconds < np.inf] or [60.0]
    least, largest = min(taken) / 1.6, max(taken) * 1.6
    edge = largest * 1.35
    with canvas(0.9 + 0.55 * len(chains)) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvspan(largest, edge * 1.35, color=SHADE, linewidth=0)
        for outcome, (words, colour, mark) in MARKS.items():
            those = [one for one in found if one.outcome == outcome]
            if those:
                # Marks of a row lie apart for the eye only.
                heights = [chains.index(one.chain) + 0.4 * (i * 0.618 % 1.0) - 0.2 for i, one in enumerate(those)]
                at = [min(one.seconds, edge) for one in those]
                axes.scatter(at, heights, s=30, marker=mark, color=colour, alpha=0.8, linewidths=0.3, edgecolors=INK, label=words, zorder=3)
        axes.set_yticks(range(len(chains)), chains)
        axes.set_ylim(-0.5, len(chains) - 0.5)
        axes.set_xlim(least, edge * 1.35)
        duration_axis(axes.xaxis, least, largest)
        axes.grid(axis="x")
        axes.text(edge, len(chains) - 0.52, "not by\nthe end", ha="center", va="top", fontsize=7.5)
        axes.set_xlabel("time from the first attempt to a block (logarithmic)")
        axes.set_ylabel("chain")
        axes.set_title("left out on purpose")
        legend(axes, columns=3)
        drawn = Drawing(figure, "censorship")
    alt = f"Delays of transactions that were left out on purpose on {listed(sorted(chains))}, on a logarithmic axis."
    return Picture("censorship", "How long who is left out waits", _caption(evidence, found), alt, drawn, _data(found))


def _caption(evidence: Evidence, found: list[Shown]) -> str:
    n = evidence.replications
    return (
        f"A mark for each of {amount(len(found))} matters that somebody wanted done and a sequencer or a builder left out, in {amount(n)} "
        f"replication{'s' if n > 1 else ''}: when a block had it, in the usual way, through L1 or by force. "
        "What came too late is in a block and reverted there, such as the close of a position that had been liquidated."
    )


def _data(found: list[Shown]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "chain": [one.chain for one in found],
            "replication": [one.replication for one in found],
            "since": [one.episode.since / SECOND for one in found],
            "seconds": [one.seconds for one in found],
            "outcome": [one.outcome for one in found],
        }
    )
