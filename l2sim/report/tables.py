"""Tables: what the page prints in rows and columns, as text."""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from l2sim.report.evidence import Evidence
from l2sim.report.wording import amount, estimate, phrase, verdict
from l2sim.results.intervals import Interval

if TYPE_CHECKING:
    from l2sim.results import Run

LONGEST = 100
"""Characters of a value that are printed before it is cut."""

_ORIGINS = {
    "fitted": ("Fitted to data", "how"),
    "sourced": ("Sourced", "source"),
    "assumed": ("Assumed", "why"),
    "scenario": ("Chosen by this scenario", ""),
}


class Table(NamedTuple):
    """Rows under a head; the first column names the row."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    foot: list[str] | None = None
    """A last row that sums up."""
    words: bool = False
    """Whether the columns are text rather than numbers."""


def compared(effect: Interval, unit: str) -> list[str]:
    """The cell of a paired difference; where it cannot be told from zero, that is said."""
    if not effect.n:
        return ["no pairs"]
    said = verdict(effect)
    note = {"indistinguishable from zero": " (≈ 0)", "the same in every replication": " (same)"}.get(said, "")
    return [phrase(effect, unit, signed=True) + note]


def key_figures(evidence: Evidence) -> Table | None:
    """Every figure that the metrics are quoted by."""
    rows = []
    for name in evidence.key():
        metric = name.partition(".")[0]
        unit, level = evidence.unit(name), evidence.level(name)
        mean, interval = estimate(level, unit)
        row = [f"{metric} · {evidence.label(name)}", mean, interval]
        if evidence.compared:
            effect = evidence.effect(name)
            row += [amount(evidence.without(name).mean, unit), *compared(effect, unit), str(effect.n)]
        else:
            row += [str(level.n)]
        rows.append(row)
    if not rows:
        return None
    head = ["figure", "mean as written", "95 % interval"]
    head += ["mean without", "paired difference", "pairs"] if evidence.compared else ["n"]
    return Table("Key figures: means over replications; (≈ 0): the interval contains zero", head, rows)


def provenances(run: "Run") -> list[Table]:
    """Where values come from: fitted, sourced and assumed ones apart, then those that the scenario itself chose."""
    from l2sim.scenario import Provenance

    kept = run.manifest.get("provenance")
    rows = run.scenario.provenance() if kept is None else [Provenance(**row) for row in kept]
    origins = [*_ORIGINS, *sorted({row.origin for row in rows} - _ORIGINS.keys())]
    found = []
    for origin in origins:
        caption, why = _ORIGINS.get(origin, (origin.capitalize(), "text"))
        head = ["value of", "is", *([why] if why else [])]
        body = [[row.path, shown(row.value), *([row.text] if why else [])] for row in rows if row.origin == origin]
        if body:
            found.append(Table(f"{caption} ({len(body)})", head, body, words=True))
    return found


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
