"""Tables: what the page prints in rows and columns, as text."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.report.evidence import Evidence
from l2sim.statistics.intervals import Interval
from l2sim.wording import phrase, verdict

if TYPE_CHECKING:
    from l2sim.results import Run
    from l2sim.scenario import Provenance, Scenario

LONGEST = 100
"""Characters of a value that are printed before it is cut."""

_ORIGINS = {
    "fitted": ("Fitted to data", "how"),
    "sourced": ("Sourced", "source"),
    "assumed": ("Assumed", "why"),
    "default": ("Left at their defaults, which are assumptions too", "what it is"),
}
_DEFAULT = "default: "
_ABOUT = ("title", "question", "answer", "assumptions")


class Table(NamedTuple):
    """Rows under a head; the first column names the row. A row of one cell is a heading."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    foot: list[str] | None = None
    """A last row that sums up."""
    note: str = ""
    """What is said below the caption."""
    words: bool = False
    """Whether the columns are text rather than numbers."""


def difference(evidence: Evidence, figure: str) -> str:
    """The cell of a paired difference; where it cannot be told from zero, that is said."""
    effect = evidence.effect(figure)
    if not effect.n:
        return "no pairs"
    pairs = f" ({effect.n} pairs)" if effect.n < evidence.replications else ""
    return evidence.compared_in_words(figure)[2] + doubt(effect) + pairs


def apart(effect: Interval, unit: str, like: float | None = None) -> str:
    """The cell of a difference of a figure in that unit, in the unit that suits ``like``."""
    if not effect.n:
        return "no pairs"
    return phrase(effect, "%-points" if unit == "%" else unit, signed=True, like=like) + doubt(effect)


def doubt(effect: Interval) -> str:
    """What a cell says where a difference cannot be told from zero, or is none."""
    return {"indistinguishable from zero": " (0 inside)", "the same in every replication": " (same)"}.get(verdict(effect), "")


def row_of(evidence: Evidence, figure: str, name: str, *, signed: bool = False) -> list[str]:
    """A figure's row: its interval as written, and what the attacks made of it."""
    unit, level = evidence.unit(figure), evidence.level(figure)
    if not evidence.compared:
        return [name, phrase(level, unit, signed=signed)]
    like = max((abs(found.mean) for found in (level, evidence.without(figure)) if found.n), default=0.0)
    return [
        name,
        phrase(level, unit, signed=signed, like=like or None),
        evidence.compared_in_words(figure, signed=signed)[1],
        difference(evidence, figure),
    ]


def rows_of(evidence: Evidence, subject: str, figures: Iterable[str]) -> list[list[str]]:
    """Rows of the figures of a subject, ``metric.subject``, that are not zero throughout; they are not called by the subject's name."""
    names = [f"{subject}.{figure}" for figure in figures]
    about = f"{subject.partition('.')[2]}: "
    return [row_of(evidence, name, evidence.label(name).removeprefix(about)) for name in names if not evidence.is_nothing(name)]


def rows_by_subject(evidence: Evidence, kind: str, figures: Iterable[str]) -> Iterator[tuple[str, str, list[list[str]]]]:
    """Each metric of a kind and each of its subjects by name, with the rows of the figures, where there are any."""
    for name in evidence.metrics(kind):
        for subject in evidence.subjects(name):
            rows = rows_of(evidence, f"{name}.{subject}", figures)
            if rows:
                yield name, subject, rows


def head_of(evidence: Evidence, *rest: str) -> list[str]:
    """The head over such rows."""
    return ["", "as written", *(["without attack", "paired difference"] if evidence.compared else []), *rest]


def key_figures(evidence: Evidence) -> Table | None:
    """The figures that the metrics are quoted by, metric by metric; those of the money are in a table of their own."""
    rows: list[list[str]] = []
    for name, metric in evidence.scenario.metrics.items():
        figures = [figure for figure in evidence.key() if figure.partition(".")[0] == name and not evidence.is_nothing(figure)]
        if figures and metric.kind != "profit_and_loss":
            rows.append([name if metric.kind == name else f"{name}: {metric.kind.replace('_', ' ')}"])
            rows += [row_of(evidence, figure, evidence.label(figure)) for figure in figures]
    if not rows:
        return None
    note = "(0 inside): the interval contains zero. " if evidence.compared and evidence.replications > 1 else ""
    return Table(f"Key figures: {evidence.how}", head_of(evidence), rows, note=f"{note}Figures that are zero throughout are left out.")


def assumptions(scenario: "Scenario", rows: "Sequence[Provenance]") -> list[Table]:
    """What a scenario takes for granted, and where its values come from."""
    granted = mapping("What this scenario takes for granted", ["about", "it is assumed"], scenario.assumptions)
    return [*([granted] if granted else []), *provenances(rows)]


def provenances(rows: "Sequence[Provenance]") -> list[Table]:
    """Where values come from: fitted, sourced and assumed ones apart."""
    origins = [*_ORIGINS, *sorted({_origin(row) for row in rows} - {*_ORIGINS, "scenario"})]
    found = []
    for origin in origins:
        caption, why = _ORIGINS.get(origin, (origin.capitalize(), "text"))
        body = [[row.path, shown(row.value), row.text.removeprefix(_DEFAULT)] for row in rows if _origin(row) == origin]
        if body:
            found.append(Table(f"{caption} ({len(body)})", ["value of", "is", why], body, words=True))
    return found


def _origin(row: "Provenance") -> str:
    return "default" if row.origin == "assumed" and row.text.startswith(_DEFAULT) else row.origin


def chosen(rows: "Sequence[Provenance]") -> int:
    """How many values the scenario chose itself."""
    return sum(row.origin == "scenario" and row.path.partition(".")[0] not in _ABOUT for row in rows)


def provenance(run: "Run") -> "list[Provenance]":
    """Where every value of a run's scenario comes from, as it was when it ran."""
    from l2sim.scenario import Provenance as Row

    kept = run.manifest.get("provenance")
    return run.scenario.provenance() if kept is None else [Row(**row) for row in kept]


def digests(run: "Run") -> Table:
    """What happened, by world and replication."""
    numbers = list(next(iter(run.worlds.values())).measured)
    rows = [[str(number), *(results.digests[number][:16] for results in run.worlds.values())] for number in numbers]
    head = ["replication", *(name.replace("_", " ") for name in run.worlds)]
    foot = ["all", *(results.digest[:16] for results in run.worlds.values())]
    return Table("Digests of the logs, first 16 digits", head, rows, foot)


def mapping(caption: str, head: list[str], rows: dict[str, Any]) -> Table | None:
    """Names and texts."""
    return Table(caption, head, [[name, str(text)] for name, text in rows.items()], words=True) if rows else None


def shown(value: Any) -> str:
    """A value as it would be written, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
