"""The page: everything in its order, in one file that opens anywhere, byte for byte the same when written again."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.metrics.time_to_finality import TimeToFinality
from l2sim.report import (
    answer,
    cascades,
    costs,
    disputes,
    extraction,
    finality,
    gains,
    glossary,
    loans,
    network,
    panels,
    side_by_side,
    tables,
    timeline,
    withdrawals,
)
from l2sim.report.evidence import Evidence
from l2sim.report.figures import Picture
from l2sim.report.tables import Table
from l2sim.results.folder import write_file, writing
from l2sim.results.run import Run

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T")

FILE = "report.html"
FIGURES = "figures"
_HERE = Path(__file__).parent


class Section(NamedTuple):
    """A heading with what is under it."""

    anchor: str
    title: str
    pictures: list[Picture]
    tables: list[Table]
    note: str = ""


def write_report(run: Run | str | Path) -> Path:
    """Write ``report.html`` and the data of its figures, ``figures/*.csv``, into the folder of a run; the path of the page.

    Raises:
        RunNotFound: there is no run in that folder.
        OutputError: the folder cannot be written.
    """
    if not isinstance(run, Run):
        run = Run.load(run)
    evidence = Evidence(run)
    sections = list(_sections(evidence))
    page = _environment().get_template("page.html.jinja").render(_context(evidence, sections))
    pictures = [picture for section in sections for picture in section.pictures]
    with writing(run.path):
        folder = run.path / FIGURES
        folder.mkdir(exist_ok=True)
        for picture in pictures:
            write_file(folder / f"{picture.name}.csv", picture.data.to_csv(index=False, lineterminator="\n").encode())
        for file in folder.glob("*.csv"):
            if file.stem not in {picture.name for picture in pictures}:
                file.unlink()
        write_file(run.path / FILE, page.encode())
    return run.path / FILE


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _context(evidence: Evidence, sections: list[Section]) -> dict[str, Any]:
    run, scenario = evidence.run, evidence.scenario
    manifest = run.manifest
    return {
        "title": scenario.title or scenario.name.replace("_", " "),
        "question": scenario.question,
        "introduction": answer.introduction(evidence),
        "cards": answer.cards(evidence),
        "findings": answer.findings(evidence),
        "key_figures": None if _stands_beside(evidence) else tables.key_figures(evidence),
        "sections": sections,
        "provenance": tables.provenances(run),
        "chosen": tables.chosen(run),
        "assumptions": tables.mapping("What this scenario takes for granted", ["about", "it is assumed"], scenario.assumptions),
        "scenario": scenario.yaml(),
        "facts": {
            "run": run.path.name,
            "seed": run.seed,
            "replications": evidence.replications,
            "worlds": ", ".join(name.replace("_", " ") for name in run.worlds),
            "scenario digest": manifest["scenario_digest"],
            "revision of the source": manifest["revision"] or "not known",
        },
        "versions": manifest["versions"],
        "digests": tables.digests(run),
        "place": f"results/{run.path.parent.name}/{run.path.name}" if run.path.parent.name else run.path.name,
        "first": next(iter(evidence.written.measured)),
        "glossary": glossary.entries(scenario),
    }


def _sections(evidence: Evidence) -> Iterator[Section]:
    """The sections with figures; one without anything to show is left out."""
    parts = (
        _side_by_side,
        _timeline,
        _finality,
        _disputes,
        _withdrawals,
        _cascades,
        _loans,
        _gains,
        _extraction,
        _costs,
        _network,
    )
    for section in (part(evidence) for part in parts):
        if section.pictures or section.tables:
            yield section


def _side_by_side(evidence: Evidence) -> Section:
    found = side_by_side.tables(evidence)
    found += _there(tables.key_figures(evidence)) if _stands_beside(evidence) else []
    return Section("side-by-side", "Side by side", _there(panels.picture(evidence)), found)


def _stands_beside(evidence: Evidence) -> bool:
    """Whether the table of key figures comes after the chains side by side, which say most of it more clearly."""
    return not evidence.compared and side_by_side.headline(evidence) is not None


def _timeline(evidence: Evidence) -> Section:
    return Section("timeline", "Timeline", _there(timeline.picture(evidence)), [])


def _finality(evidence: Evidence) -> Section:
    rules = {name: rule for name, rule in evidence.metrics("time_to_finality").items() if isinstance(rule, TimeToFinality)}
    pictures = [picture for name, rule in rules.items() if (picture := finality.picture(evidence, name, rule))]
    return Section("finality", "Time to finality", pictures, _there(finality.table(evidence)))


def _disputes(evidence: Evidence) -> Section:
    return Section("disputes", "Assertions and disputes", list(disputes.pictures(evidence)), list(disputes.tables(evidence)))


def _withdrawals(evidence: Evidence) -> Section:
    return Section("withdrawals", "Withdrawals", list(withdrawals.pictures(evidence)), list(withdrawals.tables(evidence)))


def _loans(evidence: Evidence) -> Section:
    return Section("loans", "Loans", list(loans.pictures(evidence)), list(loans.tables(evidence)))


def _extraction(evidence: Evidence) -> Section:
    title = "What trading costs and who takes it"
    return Section("extraction", title, list(extraction.pictures(evidence)), list(extraction.tables(evidence)))


def _cascades(evidence: Evidence) -> Section:
    pictures, found = [], []
    for name, metric in evidence.metrics("liquidation_cascade").items():
        if isinstance(metric, LiquidationCascade) and (picture := cascades.picture(evidence, name, metric)):
            pictures.append(picture)
            found.append(cascades.table(evidence, name))
    return Section("liquidations", "Liquidations", pictures, [*found, *(_there(cascades.multipliers(evidence)) if found else [])])


def _gains(evidence: Evidence) -> Section:
    names = evidence.metrics("profit_and_loss")
    pictures = [picture for name in names if (picture := gains.picture(evidence, name))]
    return Section("gains", "Who gained and who lost", pictures, [table for name in names if (table := gains.table(evidence, name))])


def _costs(evidence: Evidence) -> Section:
    names = evidence.metrics("cost_per_transaction")
    pictures = [picture for name in names if (picture := costs.picture(evidence, name))]
    return Section("costs", "What a transaction costs", pictures, [table for name in names if (table := costs.table(evidence, name))])


def _network(evidence: Evidence) -> Section:
    return Section("network", "The network", _there(network.picture(evidence)), [])


def _there(thing: T | None) -> list[T]:
    return [] if thing is None else [thing]
