"""The page of a run: what happened in it, in its order."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.metrics.time_to_finality import TimeToFinality
from l2sim.report import (
    answer,
    cards,
    cascades,
    censorship,
    consensus,
    costs,
    delays,
    disputes,
    efficiency,
    extraction,
    fee_components,
    finality,
    gains,
    glossary,
    loans,
    network,
    panels,
    proofs,
    saturation,
    side_by_side,
    tables,
    timeline,
    withdrawal_delays,
    withdrawals,
)
from l2sim.report.document import Document, Section, Text
from l2sim.report.evidence import Evidence
from l2sim.results.run import Run

T = TypeVar("T")


def document(run: Run) -> Document:
    """What the report of a run says."""
    evidence = Evidence(run)
    scenario, manifest = run.scenario, run.manifest
    place = place_of(run.path)
    rows = tables.provenance(run)
    chosen = tables.chosen(rows)
    counts = f"--seed {run.seed} --replications {evidence.replications}"
    return Document(
        title=scenario.title or scenario.name.replace("_", " "),
        question=scenario.question,
        introduction=[answer.introduction(evidence)],
        cards=cards.cards(evidence),
        findings=answer.findings(evidence),
        silence="The scenario asks for no metrics, so nothing was measured.",
        key_figures=None if _stands_beside(evidence) else tables.key_figures(evidence),
        sections=list(_sections(evidence)),
        assumptions=tables.assumptions(scenario, rows),
        chosen=f"The scenario itself chooses {chosen} values; they are in its full text with all others." if chosen else "",
        texts=[
            Text("scenario", "The scenario in full", "With every preset and default filled in: what was run.", scenario.yaml()),
        ],
        facts={
            "run": run.path.name,
            "seed": run.seed,
            "replications": evidence.replications,
            "worlds": ", ".join(name.replace("_", " ") for name in run.worlds),
            "scenario digest": manifest["scenario_digest"],
            "revision of the source": manifest["revision"] or "not known",
        },
        made_by=f"l2sim run {place}/scenario.yaml {counts}",
        commands=[
            f"l2sim run scenario.yaml {counts}   # the scenario above; makes run {run.path.name}",
            f"l2sim replay {place}#{next(iter(evidence.written.measured))}   # one replication, compared event for event",
            f"l2sim report {place}   # this page",
        ],
        versions=manifest["versions"],
        digests=tables.digests(run),
        glossary=glossary.entries(scenario),
        data={},
    )


def place_of(folder: Path) -> str:
    """The folder of a run or study as it is named in commands."""
    return f"results/{folder.parent.name}/{folder.name}" if folder.parent.name else folder.name


def _sections(evidence: Evidence) -> Iterator[Section]:
    """The sections with figures; one without anything to show is left out."""
    parts = (
        _side_by_side,
        _timeline,
        _finality,
        _saturation,
        _consensus,
        _disputes,
        _proofs,
        _withdrawals,
        _censorship,
        _cascades,
        _efficiency,
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
    return Section("timeline", "Timeline", list(timeline.pictures(evidence)), [])


def _finality(evidence: Evidence) -> Section:
    rules = {name: rule for name, rule in evidence.metrics("time_to_finality").items() if isinstance(rule, TimeToFinality)}
    pictures = [picture for name, rule in rules.items() if (picture := finality.picture(evidence, name, rule))]
    return Section("finality", "Time to finality", pictures, _there(finality.table(evidence)))


def _saturation(evidence: Evidence) -> Section:
    return Section("saturation", "Blocks filled on purpose", list(saturation.pictures(evidence)), list(saturation.tables(evidence)))


def _consensus(evidence: Evidence) -> Section:
    return Section("consensus", "Consensus of L1", list(consensus.pictures(evidence)), list(consensus.tables(evidence)))


def _disputes(evidence: Evidence) -> Section:
    pictures = [*delays.pictures(evidence), *disputes.pictures(evidence)]
    return Section("disputes", "Assertions and disputes", pictures, [*delays.tables(evidence), *disputes.tables(evidence)])


def _proofs(evidence: Evidence) -> Section:
    return Section("proofs", "Validity proofs", list(proofs.pictures(evidence)), list(proofs.tables(evidence)))


def _withdrawals(evidence: Evidence) -> Section:
    drawn = [*withdrawal_delays.pictures(evidence), *withdrawals.pictures(evidence)]
    return Section("withdrawals", "Withdrawals", drawn, list(withdrawals.tables(evidence)))


def _censorship(evidence: Evidence) -> Section:
    return Section("censorship", "Censorship", list(censorship.pictures(evidence)), list(censorship.tables(evidence)))


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


def _efficiency(evidence: Evidence) -> Section:
    return Section("efficiency", "Capital efficiency", [], list(efficiency.tables(evidence)))


def _gains(evidence: Evidence) -> Section:
    names = evidence.metrics("profit_and_loss")
    pictures = [picture for name in names if (picture := gains.picture(evidence, name))]
    return Section("gains", "Who gained and who lost", pictures, [table for name in names if (table := gains.table(evidence, name))])


def _costs(evidence: Evidence) -> Section:
    names = evidence.metrics("cost_per_transaction")
    pictures = [picture for name in names if (picture := costs.picture(evidence, name))]
    found = [table for name in names if (table := costs.table(evidence, name))]
    for name in evidence.metrics("fee_components"):
        pictures += _there(fee_components.picture(evidence, name))
        found += _there(fee_components.table(evidence, name))
    return Section("costs", "What a transaction costs", pictures, found)


def _network(evidence: Evidence) -> Section:
    return Section("network", "The network", _there(network.picture(evidence)), [])


def _there(thing: T | None) -> list[T]:
    return [] if thing is None else [thing]
