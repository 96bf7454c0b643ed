"""Withdrawals: how long money that leaves a rollup is on its way, as distributions over the replications."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionIncluded, WithdrawalFinalized, WithdrawalProven
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.report.evidence import Evidence
from l2sim.report.figures import GREEN, ORANGE, Drawing, Picture, canvas, grid, key, name_axes, quantity_axis, room
from l2sim.report.tables import Table, head_of, rows_by_subject
from l2sim.units import SECOND
from l2sim.wording import amount, listed, span

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log
    from l2sim.results import Results

Floats = npt.NDArray[np.float64]

POINTS = 400
STAGES = {"proven": (WithdrawalProven, "proven on L1", GREEN, 1.3), "paid": (WithdrawalFinalized, "paid on L1", ORANGE, 1.7)}
FIGURES = ("initiated", "paid", "unpaid", "refused", "stolen", "mean", "p50", "p95", "max")


class Curve(NamedTuple):
    """The delays until one stage, replication by replication."""

    bridge: str
    stage: str
    world: str
    delays: list[Floats]
    """Seconds since submission, sorted."""
    asked: int
    """Withdrawals submitted, in all replications."""

    def shares(self, grid: Floats) -> Floats:
        """By replication, the share at or below each duration, of those that got there."""
        return np.array([np.searchsorted(found, grid, side="right") / len(found) for found in self.delays if len(found)])


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """A picture for each metric, or one over the whole run where none asks."""
    metrics = {name: metric for name, metric in evidence.metrics("withdrawal_delay").items() if isinstance(metric, WithdrawalDelay)}
    for name, metric in (metrics or {"": WithdrawalDelay()}).items():
        curves = _curves(evidence.written, "written", metric)
        curves += _curves(evidence.calm, "without", metric) if evidence.calm is not None else []
        if curves:
            yield _picture(evidence, name, metric, curves)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, bridge by bridge."""
    for name, bridge, rows in rows_by_subject(evidence, "withdrawal_delay", FIGURES):
        note = "Delays are from submission on the rollup until L1 paid, of those that were paid."
        yield Table(f"Withdrawals through {bridge}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows, note=note)


def delays(log: "Log", bridge: str, stage: str, metric: WithdrawalDelay) -> tuple[Floats, int]:
    """Seconds from submission until a stage, sorted, and how many were submitted."""
    since, numbers, status = log.select(TransactionIncluded, "submitted", "x", "status", market=bridge, action="withdraw")
    counted = (status == 0) & (since >= metric.warm_up) & (since <= log.about["duration"] - metric.cool_down)
    began = dict(zip(numbers[counted].astype(np.int64).tolist(), since[counted].tolist(), strict=True))
    fact = STAGES[stage][0]
    times, about = log.select(fact, "time", "number", market=bridge)
    if fact is WithdrawalFinalized:
        (valid,) = log.select(fact, "valid", market=bridge)
        times, about = times[valid == 1], about[valid == 1]
    # A withdrawal can be proven again, where the assertion it was proven against was rejected; the last proof is the one that counts.
    reached = dict(zip(about.tolist(), times.tolist(), strict=True))
    found = [(reached[number] - time) / SECOND for number, time in began.items() if number in reached]
    return np.sort(np.array(found, np.float64)), len(began)


def _curves(results: "Results", world: str, metric: WithdrawalDelay) -> list[Curve]:
    found: dict[tuple[str, str], list[tuple[Floats, int]]] = {}
    for number in results.measured:
        log = results.log(number)
        for bridge in log.present(WithdrawalFinalized, "market"):
            for stage in STAGES:
                found.setdefault((bridge, stage), []).append(delays(log, bridge, stage, metric))
    curves = [
        Curve(bridge, stage, world, [seconds for seconds, _ in parts], sum(asked for _, asked in parts))
        for (bridge, stage), parts in found.items()
    ]
    there = [curve for curve in curves if any(map(len, curve.delays))]
    return sorted(there, key=lambda curve: (curve.bridge, list(STAGES).index(curve.stage)))


def _picture(evidence: Evidence, name: str, metric: WithdrawalDelay, curves: list[Curve]) -> Picture:
    anchor = evidence.anchor("withdrawals", name) if name else "withdrawals"
    bridges = list(dict.fromkeys(curve.bridge for curve in curves))
    largest = max(float(found[-1]) for curve in curves for found in curve.delays if len(found))
    durations = np.linspace(0.0, 1.03 * largest, POINTS)
    with canvas(0.55 + room(len(bridges), 2.2)) as figure:
        every = grid(figure, len(bridges), same_y=True)
        for axes, bridge in zip(every, bridges, strict=True):
            for curve in (curve for curve in curves if curve.bridge == bridge):
                _, words, colour, width = STAGES[curve.stage]
                written = curve.world == "written"
                shares = curve.shares(durations)
                axes.plot(
                    durations, shares.mean(axis=0), color=colour, linewidth=width, linestyle="-" if written else (0, (3, 1.6)),
                    label=words if written else f"{words}, without",
                )  # fmt: skip
                axes.fill_between(durations, shares.min(axis=0), shares.max(axis=0), color=colour, alpha=0.16, linewidth=0)
            axes.set_title(f"through {bridge}")
        every[0].set(xlim=(0, durations[-1]), ylim=(0, 1.02))
        share, unit = quantity_axis(every[0].yaxis, "%", 1.0), quantity_axis(every[0].xaxis, "s", largest)
        name_axes(every, f"time since submission on the rollup, {unit}", f"share of withdrawals, {share}")
        key(figure)
        drawn = Drawing(figure, anchor)
    title = f"How long withdrawals take{evidence.which(name) if name else ''}"
    alt = f"Cumulative distributions of the delay of withdrawals through {listed(bridges)}."
    return Picture(anchor, title, _caption(evidence, metric, curves), alt, drawn, _data(curves, durations))


def _caption(evidence: Evidence, metric: WithdrawalDelay, curves: list[Curve]) -> str:
    n = evidence.replications
    paid = [curve for curve in curves if curve.world == "written" and curve.stage == "paid"]
    got, asked = sum(len(found) for curve in paid for found in curve.delays), sum(curve.asked for curve in paid)
    parts = [f"Of those that got there: {amount(got)} of {amount(asked)} withdrawals were paid as written."]
    parts.append(f"Means over n = {n} replications; bands: from the lowest to the highest replication." if n > 1 else "One replication.")
    if evidence.compared:
        parts.append(f"Dashed: without {evidence.attacks}.")
    return " ".join([*parts, *left_out(metric)])


def left_out(metric: WithdrawalDelay) -> list[str]:
    """What of a run the metric does not count, in a sentence; none where it counts everything."""
    ends = [f"the {end} {span(time)}" for end, time in (("first", metric.warm_up), ("last", metric.cool_down)) if time]
    return [f"Left out: what was submitted in {listed(ends)}."] if ends else []


def _data(curves: list[Curve], grid: Floats) -> "pd.DataFrame":
    import pandas as pd

    frames = []
    for curve in curves:
        shares = curve.shares(grid)
        about = {"bridge": curve.bridge, "stage": curve.stage, "world": curve.world, "seconds": grid}
        frames.append(pd.DataFrame(about | {"share": shares.mean(axis=0), "lowest": shares.min(axis=0), "highest": shares.max(axis=0)}))
    return pd.concat(frames, ignore_index=True)
