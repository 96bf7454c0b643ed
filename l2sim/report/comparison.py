"""The page of two runs beside each other: which settings differ, and which figures do."""

from collections.abc import Iterator
from math import inf, isfinite
from textwrap import fill
from typing import TYPE_CHECKING, Any

from l2sim.report import glossary, tables
from l2sim.report.answer import Finding
from l2sim.report.charts import bounds, lie
from l2sim.report.document import Document, Section, Text
from l2sim.report.figures import COLOURS, MARKERS, Drawing, Picture, canvas, quantity_axis
from l2sim.report.page import place_of
from l2sim.report.study import multiplicity_note
from l2sim.report.tables import Table
from l2sim.results.comparison import Comparison
from l2sim.results.provenance import versions
from l2sim.results.run import AS_WRITTEN, is_key
from l2sim.statistics.intervals import Interval
from l2sim.wording import phrase

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SHOWN = 9
"""Figures that are drawn: those that are furthest apart."""
ACROSS = 3
WIDEST = 32
"""Letters of a line of a panel's title, so that it stays over its own panel."""
FIGURE = "comparison"

Row = dict[str, Any]


def document(comparison: Comparison) -> Document:
    """What the report of two runs says."""
    one, other = comparison.one, comparison.other
    places = place_of(one.path), place_of(other.path)
    alike = one.scenario.digest == other.scenario.digest
    luck, *told = comparison.findings
    command = f"l2sim compare {places[0]} {places[1]}"
    rows = tables.provenance(one)
    more = [row for row in tables.provenance(other) if row not in rows]
    chosen = tables.chosen(rows)
    texts = [Text("scenario", "The first scenario in full", f"With every preset and default filled in: {places[0]}.", one.scenario.yaml())]
    if not alike:
        note = f"With every preset and default filled in: {places[1]}."
        texts.append(Text("other-scenario", "The second scenario in full", note, other.scenario.yaml()))
    return Document(
        title=_title(comparison),
        question=one.scenario.question if one.scenario.question == other.scenario.question else "",
        introduction=[
            f"The first run is {places[0]}, the second {places[1]}. Differences are those of the first from the second. {luck}",
            multiplicity_note(comparison.intervals),
        ],
        cards=[],
        findings=[Finding(topic, text) for topic, text in zip(("What differs", "What is apart"), told, strict=True)],
        silence="",
        key_figures=None,
        sections=list(_sections(comparison)),
        assumptions=[
            *tables.assumptions(one.scenario, rows),
            *(table._replace(caption=f"{table.caption}, in the second run alone") for table in tables.provenances(more)),
        ],
        chosen=f"The first scenario itself chooses {chosen} values; they are in its full text with all others." if chosen else "",
        texts=texts,
        facts={
            "first run": places[0],
            "its seed and replications": f"{one.seed}, {one.replications}",
            "its scenario's digest": one.scenario.digest,
            "second run": places[1],
            "the second's seed and replications": f"{other.seed}, {other.replications}",
            "the second's digest": "the same" if alike else other.scenario.digest,
        },
        made_by=command,
        commands=[f"{command}   # this page"],
        versions=one.manifest.get("versions") or versions(),
        digests=None,
        glossary=glossary.entries(one.scenario, other.scenario),
        data={"all_differences": comparison.table},
    )


def _title(comparison: Comparison) -> str:
    names = [run.scenario.title or run.scenario.name.replace("_", " ") for run in (comparison.one, comparison.other)]
    return f"{names[0]}, two runs" if names[0] == names[1] else f"{names[0]} – {names[1]}"


def _sections(comparison: Comparison) -> Iterator[Section]:
    settings = [[str(row[side]) for side in ("setting", "one", "other")] for row in comparison.differences.to_dict("records")]
    if settings:
        found = Table("Settings that differ", ["setting", "first", "second"], settings, words=True)
        yield Section("settings", "What differs", tables=[found])
    picture, figures = _picture(comparison), list(_tables(comparison))
    if picture or figures:
        yield Section("figures", "What is apart", [picture] if picture else [], figures)


def difference(row: Row) -> Interval:
    """The difference of the first from the second."""
    return Interval(row["mean"], row["low"], row["high"], row["n"])


def _side(row: Row, side: str) -> Interval:
    return Interval(row[side], row[f"{side}_low"], row[f"{side}_high"], row[f"{side}_n"])


def _key_rows(comparison: Comparison, world: str) -> list[Row]:
    """The key figures of a world that are not zero in both runs."""
    frame = comparison.table
    rows: list[Row] = frame[frame["world"] == world].to_dict("records")  # type: ignore[assignment]
    return [row for row in rows if is_key(row["figure"], comparison.one.scenario) and (row["one"] or row["other"])]


def _tables(comparison: Comparison) -> Iterator[Table]:
    """The key figures of both runs and their differences, world by world."""
    kind = "paired difference" if comparison.paired else "difference"
    for world in comparison.worlds:
        rows = []
        for row in _key_rows(comparison, world):
            unit = row["unit"]
            like = max((abs(row[side]) for side in ("one", "other") if isfinite(row[side])), default=0.0) or None
            sides = [phrase(_side(row, side), unit, like=like) for side in ("one", "other")]
            rows.append([comparison.labels[row["figure"]], *sides, tables.apart(difference(row), unit, like)])
        if rows:
            note = "Means with 95 % intervals; (0 inside): the interval contains zero. All figures are in figures/all_differences.csv."
            yield Table(f"Key figures, {world.replace('_', ' ')}", ["", "first", "second", kind], rows, note=note)


# ---- the picture


def _picture(comparison: Comparison) -> Picture | None:
    """A small panel for each of the figures that are furthest apart, the two runs in it one above the other."""
    rows = sorted(_key_rows(comparison, AS_WRITTEN), key=_certainty)[:SHOWN]
    if not rows:
        return None
    across = min(ACROSS, len(rows))
    down = -(-len(rows) // across)
    with canvas(1.15 * down + 0.2) as figure:
        figure.set_layout_engine("constrained", wspace=0.06, hspace=0.08)
        stack = figure.subplots(down, across, squeeze=False)
        for axes in stack.flat[len(rows) :]:
            axes.set_axis_off()
        for place, (axes, row) in enumerate(zip(stack.flat, rows, strict=False)):
            _panel(axes, row, comparison.labels[row["figure"]], named=place % across == 0)
        drawing = Drawing(figure, FIGURE)
    shown = [row["figure"] for row in rows]
    data = comparison.table[(comparison.table["world"] == AS_WRITTEN) & comparison.table["figure"].isin(shown)]
    left_out = " Those of all key figures whose differences are clearest." if len(_key_rows(comparison, AS_WRITTEN)) > SHOWN else ""
    pairs = " The runs share their luck, so a difference can be clearer than the two levels." if comparison.paired else ""
    counts = f"n = {comparison.one.replications} and {comparison.other.replications}"
    caption = f"Means of the first and the second run, {counts}; bars: 95 % intervals (Student's t).{pairs}{left_out}"
    return Picture(FIGURE, "The two runs, figure by figure", caption, comparison.findings[-1], drawing, _ordered(data, shown))


def _certainty(row: Row) -> float:
    """Sorts the clearest difference first: half widths of the interval between it and zero, negative."""
    half = (row["high"] - row["low"]) / 2.0
    if not isfinite(half):
        return 0.0
    return -abs(row["mean"]) / half if half else -inf if row["mean"] else 0.0


def _panel(axes: "Axes", row: Row, title: str, *, named: bool) -> None:
    values = []
    for place, side in enumerate(("one", "other")):
        found = _side(row, side)
        if found.n:
            axes.errorbar(
                [found.mean], [1 - place], xerr=bounds([found]), color=COLOURS[place], marker=MARKERS[place], markersize=5.0, capsize=2.5,
                linewidth=1.3,
            )  # fmt: skip
            values += [value for value in found[:3] if isfinite(value)]
    axes.set_yticks([1, 0], ["first", "second"] if named else ["", ""])
    axes.set_ylim(-0.6, 1.6)
    lie(axes, None, values)
    axes.set_title(fill(title[:1].upper() + title[1:], WIDEST), fontsize=8.5)
    axes.set_xlabel(quantity_axis(axes.xaxis, row["unit"], max(map(abs, values), default=0.0), ticks=4))


def _ordered(data: "pd.DataFrame", figures: list[str]) -> "pd.DataFrame":
    return data.set_index("figure").loc[figures].reset_index()
