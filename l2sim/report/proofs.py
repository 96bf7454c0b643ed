"""Proofs: how many wait and how many are being made over time, by whom, and how far behind that leaves the final state."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.events import AssertionConfirmed, AssertionMade
from l2sim.events.proofs import ProofLost, ProofMade, ProofRequested, ProverOpened
from l2sim.metrics import groups
from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, GREEN, ORANGE, PURPLE, SHADE, SKY, VERMILLION, Drawing, Picture, canvas, legend, quantity_axis
from l2sim.report.lines import DASHED, Floats, Line, data, told
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.units import SECOND
from l2sim.wording import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from l2sim.log import Log

MAKERS = (BLUE, SKY, GREEN, PURPLE)
CHAINS = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY)
FIGURES = (
    "requested", "made", "unmade", "lost", "wait_mean", "wait_p95", "waited_share", "proving_mean", "busy_share", "price_mean", "fined",
    "verifications", "gas_each", "cost_each", "finality_mean", "finality_max",
)  # fmt: skip


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """One picture of all rollups that buy proofs."""
    first = next(iter(evidence.written.measured))
    log = evidence.written.log(first)
    calm = evidence.calm.log(first) if evidence.calm is not None and first in evidence.calm.measured else None
    if chains := sorted(log.present(ProverOpened, "chain")):
        yield _picture(evidence, chains, first, log, calm)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, rollup by rollup."""
    for name in evidence.metrics("proving"):
        for chain in evidence.subjects(name):
            rows = rows_of(evidence, f"{name}.{chain}", FIGURES)
            if rows:
                yield Table(f"Proofs of {chain}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows)


def _picture(evidence: Evidence, chains: list[str], first: int, log: "Log", calm: "Log | None") -> Picture:
    per, hours = series.time_unit(log.about["duration"])
    counts = {chain: list(_counts(log, chain)) for chain in chains}
    lags = [line for chain in chains for line in (_lag(log, chain, "written"), *([_lag(calm, chain, "without")] if calm else []))]
    drawn_lags = [line for line in lags if len(line.times)]
    rows = [1.0] * len(chains) + ([1.3] if drawn_lags else [])
    with canvas(0.45 + 1.75 * sum(rows)) as figure:
        stack = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
        for axes, chain in zip(stack, chains, strict=False):
            _draw_counts(axes, chain, counts[chain], per)
        if drawn_lags:
            _draw_lags(stack[-1], drawn_lags, chains, per)
        for axes in stack:
            for window in series.windows(log):
                axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, edgecolor="none", zorder=0)
        stack[-1].set_xlabel(f"simulated time, {hours}")
        stack[-1].set_xlim(0, log.about["duration"] / per)
        figure.align_ylabels(list(stack))
        drawn = Drawing(figure, "proofs")
    alt = f"Proofs of {listed(chains)} that wait and that are being made over time, and how far behind the newest final state is."
    lines = [line for some in counts.values() for line in some] + drawn_lags
    return Picture("proofs", "Proofs that wait, and what is final", _caption(evidence, log, first), alt, drawn, data(lines))


def _counts(log: "Log", chain: str) -> Iterator[Line]:
    """How many proofs nobody makes, and how many each group of provers makes, as steps."""
    ends = log.about["duration"]
    asked, jobs = log.select(ProofRequested, "time", "job", chain=chain)
    made, job, prover, begun = log.select(ProofMade, "time", "job", "prover", "begun", chain=chain)
    lost, lost_job, loser, since = log.select(ProofLost, "time", "job", "prover", "begun", chain=chain)
    busy: dict[int, list[tuple[int, int]]] = {number: [] for number in jobs.tolist()}
    for number, start, stop in zip([*job.tolist(), *lost_job.tolist()], [*begun, *since], [*made, *lost], strict=True):
        busy[number].append((int(start), int(stop)))
    done = dict(zip(job.tolist(), made.tolist(), strict=True))
    gaps: list[tuple[int, int]] = []
    for number, time in zip(jobs.tolist(), asked.tolist(), strict=True):
        free = time
        for start, stop in sorted(busy[number]):
            if start > free:
                gaps.append((free, start))
            free = max(free, stop)
        if number not in done:  # waits, or is being made, when the run ends
            gaps.append((free, ends))
    yield Line(chain, "wait", "written", *_steps(gaps, ends), "1")
    names, place = groups(np.concatenate([prover, loser]), log)
    spans = list(zip([*begun.tolist(), *since.tolist()], [*made.tolist(), *lost.tolist()], place.tolist(), strict=True))
    for group in sorted(set(place.tolist())):
        mine = [(start, stop) for start, stop, one in spans if one == group]
        yield Line(chain, f"made by {names[group].replace('_', ' ')}", "written", *_steps(mine, ends), "1")


def _steps(spans: list[tuple[int, int]], ends: int) -> tuple[Floats, Floats]:
    """How many spans hold the present, from each time on."""
    turns = [(time, step) for span in spans for time, step in zip(span, (1.0, -1.0), strict=True) if time < ends]
    times, change = (np.array(column, np.float64) for column in (zip(*turns, strict=True) if turns else ((), ())))
    order = np.argsort(times, kind="stable")
    return np.concatenate([[0.0], times[order], [ends]]), np.concatenate([[0.0], np.cumsum(change[order]), [change.sum()]])


def _lag(log: "Log", chain: str, world: str) -> Line:
    """Age of the newest state that is final: it grows with time and falls with each confirmation."""
    number, last = log.select(AssertionConfirmed, "number", "last", chain=chain)
    (time,) = log.select(AssertionConfirmed, "time", chain=chain)
    counted, made = log.select(AssertionMade, "number", "time", chain=chain)
    at = dict(zip(counted.tolist(), made.tolist(), strict=True))
    times, values, newest, until = [0.0], [0.0], 0, 0.0
    for confirmed, one, block in zip(time.tolist(), number.tolist(), last.tolist(), strict=True):
        if block > newest:
            before, until, newest = until, float(at[one]), block
            times += [confirmed, confirmed]
            values += [confirmed - before, confirmed - until]
    times.append(float(log.about["duration"]))
    values.append(log.about["duration"] - until)
    return Line("final state", chain, world, np.array(times), np.array(values) / SECOND, "s")


def _draw_counts(axes: "Axes", chain: str, lines: list[Line], per: float) -> None:
    axes.set_title(f"Proofs of {chain}")
    for place, line in enumerate(lines):
        colour = ORANGE if not place else MAKERS[(place - 1) % len(MAKERS)]
        axes.step(line.times / per, line.values, where="post", color=colour, linewidth=1.5 if not place else 1.1, label=line.name)
    largest = max(float(line.values.max()) for line in lines)
    axes.set_ylim(0.0, 1.1 * max(largest, 1.0))
    axes.set_ylabel("number of proofs")
    legend(axes)


def _draw_lags(axes: "Axes", lines: list[Line], chains: list[str], per: float) -> None:
    axes.set_title("Age of the newest assertion that is final")
    for line in lines:
        written = line.world == "written"
        style: dict[str, Any] = {"linewidth": 1.4 if written else 0.8, "linestyle": "-" if written else DASHED}
        colour = CHAINS[chains.index(line.name) % len(CHAINS)]
        axes.plot(line.times / per, line.values, color=colour, label=line.name if written else "_", **style)
    largest = max(float(line.values.max()) for line in lines)
    axes.set_ylim(0.0, 1.08 * largest)
    axes.set_ylabel(f"age, {quantity_axis(axes.yaxis, 's', largest)}")
    legend(axes)


def _caption(evidence: Evidence, log: "Log", first: int) -> str:
    return " ".join(told(evidence, log, first, "What is being made when the run ends counts as waiting."))
