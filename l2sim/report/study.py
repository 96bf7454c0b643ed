"""The page of a study: its question, what its comparisons found, every point, what failed, and what it rests on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from l2sim.comparisons import Reading, Sample
from l2sim.comparisons.curves import Curves
from l2sim.comparisons.sensitivity import Sensitivity
from l2sim.report import glossary, readings, tables
from l2sim.report.answer import Finding
from l2sim.report.document import Document, Section, Text
from l2sim.report.page import place_of
from l2sim.report.tables import Table
from l2sim.results.run import AS_WRITTEN, is_key
from l2sim.statistics.intervals import CONFIDENCE, interval
from l2sim.statistics.multiplicity import multiplicity
from l2sim.wording import amount, listed, phrase

if TYPE_CHECKING:
    from l2sim.study.findings import Findings

SHOWN = 6
"""Figures that are drawn where the study asks for no comparison."""
COLUMNS = 3
"""Figures in the table of points."""
LONGEST = 100
"""Points that the table prints; all of them are in summary.csv."""


def document(findings: "Findings") -> Document:
    """What the report of a study says."""
    study, sample, manifest = findings.study, findings.sample, findings.manifest
    place = place_of(findings.path)
    found, refused = _answers(findings)
    rows = study.base.provenance()
    chosen = tables.chosen(rows)
    intervals = sum(reading.intervals for reading in found.values())
    again = f"l2sim sweep {place}/study.yaml"
    runs = findings.frame(findings.worlds[0]).index
    return Document(
        title=study.title or study.name.replace("_", " "),
        question=study.question,
        introduction=[_runs(findings), _luck(sample), multiplicity_note(intervals)],
        cards=[],
        findings=[
            *(Finding(readings.in_words(name), "\n".join(readings.first(reading))) for name, reading in found.items()),
            *(Finding(readings.in_words(name), f"Not answered: {why}.") for name, why in refused.items()),
        ],
        silence="The scenario asks for no metrics, or no run is finished, so there is nothing to say.",
        key_figures=None,
        sections=[
            *(readings.section(name, readings.in_words(name), reading, sample) for name, reading in found.items()),
            *_points(findings),
            *_failures(findings, place),
        ],
        assumptions=tables.assumptions(study.base, rows),
        chosen=f"The scenario itself chooses {chosen} values; they are in the study's full text." if chosen else "",
        texts=[Text("study", "The study in full", "The scenario that it varies is in it.", study.yaml())],
        facts={
            "study": findings.path.name,
            "seed": study.seed,
            "points": len(findings.points),
            "runs": len(runs),
            "worlds": listed([world.replace("_", " ") for world in findings.worlds]),
            "study digest": study.digest,
            "revision of the source": manifest.get("revision") or "not known",
        },
        made_by=again,
        commands=[
            f"{again}   # the study above, runs that are there excepted",
            *([f"l2sim replay {place}#{_first(findings)}   # one run, compared event for event"] if len(runs) else []),
            f"l2sim report {place}   # this page",
        ],
        versions=manifest["versions"],
        digests=None,
        glossary=glossary.entries(study.base, study),
        data={name: reading.table for name, reading in found.items()},
    )


# ---- what the figures are


def _runs(findings: "Findings") -> str:
    """How many runs of how many are there."""
    study, points, failed = findings.study, len(findings.points), len(findings.failures)
    done = len(findings.frame(findings.worlds[0]))
    asked = findings.manifest.get("replications") or [study.precision.least if study.precision else study.replications] * points
    least, most = min(asked), max(asked)
    worlds = listed([world.replace("_", " ") for world in findings.worlds])
    text = f"{amount(done)} of {amount(sum(asked))} runs are here: {amount(points)} point{'s' if points > 1 else ''}"
    text += f", {least if least == most else f'{least} to {most}'} replications of each"
    text += f", every one in {len(findings.worlds)} worlds on the same luck ({worlds})." if len(findings.worlds) > 1 else "."
    text += f" {amount(failed)} failed and {'is' if failed == 1 else 'are'} listed below." if failed else ""
    text += f" {short}" if (short := readings.short(findings)) else ""
    missing = sum(asked) - done - failed
    return text + (f" {amount(missing)} {'is' if missing == 1 else 'are'} missing." if missing > 0 else "")


def _luck(sample: Sample) -> str:
    kind = "A replication has the same luck at every point, so differences between points are paired"
    kind = kind if sample.paired else "Every point has luck of its own, so differences between points are those of independent means"
    return f"{kind}. Brackets are {CONFIDENCE * 100:g} % intervals over replications, each for itself."


def multiplicity_note(intervals: int) -> str:
    """What it means that so many comparisons are made; empty for one."""
    if intervals < 2:
        return ""
    note = multiplicity(intervals)
    return (
        f"The comparisons below make {amount(intervals)} intervals and tests, those in tables of levels not counted. Intervals of "
        f"{CONFIDENCE * 100:g} % miss what they estimate {amount(note.expected_misses)} times in {amount(intervals)} on average; for all "
        f"of them to hold together with {CONFIDENCE * 100:g} %, each would need {100 * note.bonferroni:.4g} % (Bonferroni)."
    )


def _first(findings: "Findings") -> int:
    """The number of a run that is there."""
    point, replication = findings.frame(findings.worlds[0]).index[0]
    return int(replication) * len(findings.points) + int(point)


# ---- answers


def _answers(findings: "Findings") -> tuple[dict[str, Reading], dict[str, str]]:
    """What the comparisons say, and why some cannot say anything, such as for want of runs; where none is asked for, the key figures."""
    try:
        return findings.readings or dict(_unasked(findings)), {}
    except ValueError:
        answered, refused = {}, {}
        for name, comparison in findings.study.compare.items():
            try:
                answered[name] = comparison.read(findings.sample)
            except ValueError as error:
                refused[name] = str(error)
        return answered, refused


def _key_figures(findings: "Findings") -> list[str]:
    """The figures that are compared, then those that the metrics are quoted by, gains and losses excepted; none that is zero throughout."""
    study, frames = findings.study, [findings.frame(world) for world in findings.worlds]
    names = [name for one in study.compare.values() for name in (getattr(one, "figure", None), *getattr(one, "figures", ())) if name]
    for name in dict.fromkeys(str(name) for frame in frames for name in frame):
        metric = study.base.metrics.get(name.partition(".")[0])
        if metric is not None and metric.kind != "profit_and_loss" and is_key(name, study.base):
            names.append(name)
    there = (name for name in dict.fromkeys(names))
    return [name for name in there if any(name in frame and np.nan_to_num(frame[name].to_numpy(float)).any() for frame in frames)]


def _by_difference(findings: "Findings") -> list[str]:
    """The key figures, those first whose means at the points are furthest apart for what luck does; those that never move last."""
    frame = findings.frame(AS_WRITTEN if AS_WRITTEN in findings.worlds else findings.worlds[0])
    apart: dict[str, float] = {}
    for name in _key_figures(findings):
        points = frame[name].groupby(level="point") if name in frame else None
        between = float(points.mean().var()) if points is not None else np.nan
        within = float((points.var() / points.count()).mean()) if points is not None else np.nan
        apart[name] = between / (between + np.nan_to_num(within)) if between > 0.0 else 0.0
    return sorted(apart, key=lambda name: -apart[name])


def _unasked(findings: "Findings") -> Iterator[tuple[str, Reading]]:
    """The key figures that differ most between points, over the number with most levels, where the study compares nothing."""
    sample = findings.sample
    factors = [str(name) for name in sample.points if len(sample.levels(str(name))) > 1]
    if not factors or not len(findings.frame(findings.worlds[0])):
        return
    numbers = [name for name in factors if not any(isinstance(level, str) for level in sample.levels(name))]
    over = max(numbers or factors, key=lambda name: len(sample.levels(name)))
    figures = _by_difference(findings)
    for figure in figures[:SHOWN]:
        try:
            reading = Curves(figures=(figure,), over=over).read(sample)
        except ValueError:  # more lines than can be told apart: the mean over the other factors instead
            reading = Curves(figures=(figure,), over=over, by=()).read(sample)
        yield figure.replace(".", "_"), reading
    for figure in figures[: 1 if len(factors) > 1 else 0]:
        yield "what_matters", Sensitivity(figure=figure).read(sample)


# ---- tables


def _points(findings: "Findings") -> Iterator[Section]:
    """Every point with its first key figures."""
    sample, names = findings.sample, _key_figures(findings)[:COLUMNS]
    world = AS_WRITTEN if AS_WRITTEN in findings.worlds else findings.worlds[0]
    frame = findings.frame(world)
    rows = []
    for number, levels in findings.points.head(LONGEST).iterrows():
        mine = frame[frame.index.get_level_values("point") == number]
        figures = [phrase(interval(mine[name].to_numpy(float)), sample.unit(name)) if name in mine else "–" for name in names]
        rows.append([str(number), *(sample.spelt(str(factor), level) for factor, level in levels.items()), str(len(mine)), *figures])
    if not rows:
        return
    head = ["point", *(sample.label(str(factor)) for factor in findings.points), "runs", *(sample.label(name) for name in names)]
    which = "" if world == AS_WRITTEN else f", {world.replace('_', ' ')}"
    more = f" The first {LONGEST} of {len(findings.points)} points." if len(findings.points) > LONGEST else ""
    note = f"Means over runs with 95 % intervals{which}; every figure of every world is in summary.csv.{more}"
    found = [Table("The points and their key figures", head, rows, note=note), *_worlds(findings)]
    yield Section("points", "Points", tables=found)


def _worlds(findings: "Findings") -> Iterator[Table]:
    """How far the key figures are from those of counterfactual worlds, over all points."""
    names = _key_figures(findings)
    if AS_WRITTEN not in findings.worlds or len(findings.worlds) < 2 or not names:
        return
    written = findings.frame(AS_WRITTEN)
    others = [world for world in findings.worlds if world != AS_WRITTEN]
    rows = []
    for name in names:
        unit = findings.sample.unit(name)
        cells = []
        for world in others:
            other = findings.frame(world)
            if name not in written or name not in other:
                cells.append("no pairs")
                continue
            pairs = (written[name] - other[name]).unstack("point").mean(axis=1, skipna=False)
            cells.append(tables.apart(interval(pairs.to_numpy(float)), unit))
        rows.append([findings.sample.label(name), *cells])
    head = ["as written minus …", *(world.replace("_", " ") for world in others)]
    note = "Paired differences, a replication's mean over all points; (0 inside): the interval contains zero."
    yield Table("What it is in the other worlds", head, rows, note=note)


def _failures(findings: "Findings", place: str) -> Iterator[Section]:
    """Runs that failed, with what they said."""
    if not len(findings.failures):
        return
    sample, rows = findings.sample, []
    for failure in findings.failures.to_dict("records"):
        number = int(failure["point"])
        levels = sample.words(findings.study.points[number].levels)
        where = f"point {number}{f': {levels}' if levels else ''}"
        rows.append([str(failure["run"]), where, f"{failure['type']}: {failure['message']}"])
    note = f"Each with its traceback in runs/; the figures above are those of the other runs. Again: l2sim replay {place}#RUN."
    found = Table("Failed runs", ["run", "where", "what happened"], rows, note=note, words=True)
    yield Section("failures", "Runs that failed", tables=[found])
