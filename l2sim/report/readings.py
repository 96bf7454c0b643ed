"""Readings: the answers of a study's comparisons, as figures and tables."""

from collections.abc import Iterator
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

from l2sim.comparisons import Bars, Curves, Grid, Reading, Sample
from l2sim.report.charts import draw, is_moved
from l2sim.report.document import Section
from l2sim.report.figures import Picture
from l2sim.report.tables import Table
from l2sim.statistics.intervals import Interval
from l2sim.wording import NOTHING, amount, listed, phrase

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.study.findings import Findings

LONGEST = 24
"""Rows of a table that the page prints; all of them are in its file."""
SAID = 3
"""Sentences of a comparison that the answer at the top says; where there are more, all of them stand under the comparison's heading."""
_HEADS = {
    "mean": "estimate", "n": "n", "p_adjusted": "p, adjusted", "world": "world", "figure": "figure", "factor": "factor", "rank": "rank",
}  # fmt: skip


def section(name: str, title: str, reading: Reading, sample: Sample) -> Section:
    """What a comparison found, its figure and its table."""
    pictures = [_picture(name, title, reading)] if reading.picture is not None else []
    said = reading.findings if len(reading.findings) > SAID else ()
    return Section(name, title, pictures, [table(name, title, reading, sample)] if len(reading.table) else [], said)


def short(found: "Findings") -> str:
    """At which points the target precision is not reached; nothing where it is at all, or where there is none."""
    target, points = found.study.precision, [str(point) for point in found.short]
    if target is None or not points:
        return ""
    which = listed(points if len(points) <= LONGEST else [*points[:LONGEST], f"{len(points) - LONGEST} more"])
    asked = f"The precision asked of {target.figure} is not reached at point{'s' if len(points) > 1 else ''} {which}"
    return f"{asked}: it would take more than {target.most} replications ('most')."


def first(reading: Reading) -> list[str]:
    """What the answer says of a comparison: its first sentences, and how many more there are."""
    more = len(reading.findings) - SAID
    return [*reading.findings[:SAID], *([f"{more} more below."] if more > 0 else [])]


def _picture(name: str, title: str, reading: Reading) -> Picture:
    picture = reading.picture
    assert picture is not None  # noqa: S101  (the caller has looked)
    return Picture(name, heading(picture), caption(picture), " ".join(reading.findings) or title, draw(picture, name), reading.table)


def heading(picture: Curves | Bars | Grid) -> str:
    """What is shown."""
    match picture:
        case Curves():
            words = f"{picture.y} over {picture.x}"
        case Bars():
            words = picture.x
        case Grid():
            words = f"{picture.value} by {picture.x} and {picture.y}"
    return words[:1].upper() + words[1:]


def caption(picture: Curves | Bars | Grid) -> str:
    """What the marks mean, n, and where intervals come from."""
    match picture:
        case Curves():
            found = [one for line in picture.lines if not line.theory for one in line.y]
            said = ["Marks: estimates, those of several lines moved apart sideways." if is_moved(picture) else "Marks: estimates."]
            said += ["Dashed: what the formula says."] if any(line.theory for line in picture.lines) else []
            if picture.level:
                said.append(f"Dotted: {amount(picture.level, picture.y_unit)}.")
            elif picture.level is not None:
                said.append("Dotted: zero, no difference.")
        case Bars():
            found = [one for bars in picture.bars.values() for one in bars]
            said = ["Bars: estimates, the largest first."]
        case Grid():
            found = [one for panel in picture.panels.values() for line in panel for one in line]
            said = ["Cells: estimates, coloured by their size."]
    counts = sorted({one.n for one in found if one.n})
    marks = "Brackets" if isinstance(picture, Grid) else "Error bars"
    said += [f"{marks}: 95 % intervals, n = {_counts(counts)}."] if any(isfinite(one.low) for one in found) else ["No intervals."]
    return " ".join(said)


def _counts(counts: list[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "0"


def table(name: str, title: str, reading: Reading, sample: Sample) -> Table:
    """The numbers behind it: an interval in one cell, levels in words."""
    frame = reading.table
    columns = [str(column) for column in frame if str(column) != "unit" and not _is_end(str(column), frame)]
    shown = [column for column in columns if column in sample.points or frame[column].nunique(dropna=False) > 1 or column in ("mean", "n")]
    head = [_HEADS.get(column) or sample.labels.get(column) or column.replace("_", " ") for column in shown]
    rows = [[_text(row, column, sample) for column in shown] for row in frame.head(LONGEST).to_dict("records")]
    more = len(frame) - len(rows)
    note = f"The first {len(rows)} of {len(frame)} rows; all are in figures/{name}.csv." if more > 0 else ""
    return Table(f"{title}: the numbers", head, rows, note=note)


def _is_end(column: str, frame: "pd.DataFrame") -> bool:
    """Whether it is an end of an interval, which stands in the cell of its mean."""
    if column in ("low", "high"):
        return "mean" in frame
    stem = column.removesuffix("_low").removesuffix("_high")
    return stem != column and stem in frame


def _text(row: dict[Any, Any], column: str, sample: Sample) -> str:
    value, unit = row[column], str(row.get("unit", ""))
    if isinstance(value, str):
        return sample.labels.get(value, value.replace("_", " ")) if column not in sample.points else value
    number = float(value)
    if isnan(number):
        return NOTHING
    if column in sample.points:
        return sample.spelt(column, number)
    ends = ("low", "high") if column == "mean" else (f"{column}_low", f"{column}_high")
    if ends[0] in row:
        return phrase(Interval(number, float(row[ends[0]]), float(row[ends[1]]), int(row.get("n", 0))), unit, signed=column != "mean")
    if column.startswith("p_"):
        return "< 0.001" if number < 0.001 else f"{number:.3f}"
    return amount(number)


def findings(readings: dict[str, Reading]) -> Iterator[tuple[str, str]]:
    """Each comparison's name in words, and what it found."""
    for name, reading in readings.items():
        yield in_words(name), " ".join(reading.findings)


def in_words(name: str) -> str:
    """The name of a comparison as a heading: ``bad_debt_by_rule`` as ``Bad debt by rule``."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def names_in_words(names: list[str]) -> str:
    """Names in a sentence."""
    return listed([name.replace("_", " ") for name in names])
