"""Running: commands that run something, and those that read what a run left behind."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from l2sim.cli.exits import FAILED, answered, exits, refuse, understood
from l2sim.cli.layout import between, grid, number
from l2sim.cli.looking import loaded
from l2sim.cli.options import Files, Jobs, Out, Pdf, Settings
from l2sim.cli.progress import watching

if TYPE_CHECKING:
    from l2sim.results import Run


def run(
    files: Files,
    seed: Annotated[int, typer.Option(help="Which luck: the same seed gives the same results.", min=0)] = 1,
    replications: Annotated[int, typer.Option(help="How many independent runs, for the intervals.", min=1)] = 8,
    jobs: Jobs = None,
    set: Settings = None,  # noqa: A002
    out: Out = Path("results"),
) -> None:
    """Run scenarios and the same worlds without their attacks; print key figures and the path of the report."""
    with exits():
        scenarios = loaded(files, set)
        from l2sim.report import write_report
        from l2sim.simulation import experiment

        for position, scenario in enumerate(scenarios):
            with watching(scenario) as watcher:
                found = experiment(
                    scenario, seed=seed, replications=replications, jobs=-1 if jobs is None else jobs, out=out, progress=watcher
                )
            typer.echo(("\n" if position else "") + _figures(found))
            typer.echo(f"report  {write_report(found.path)}")


def report(
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="Folder of a run or a study, results/<name>/<id>.")], pdf: Pdf = False
) -> None:
    """Write the report of a run or a study again and print its path."""
    with exits(), understood(place):
        from l2sim.report import write_report

        if not (place / "study.yaml").is_file():
            typer.echo(write_report(place, pdf=pdf))
            return
        from l2sim.study import Findings

        found = Findings.load(place)
        answered(found)
        typer.echo(write_report(found, pdf=pdf))


def replay(
    run: Annotated[str, typer.Argument(metavar="PLACE#NUMBER", help="Folder of a run and a replication, or of a study and a run.")],
) -> None:
    """Run one replication of a kept run, or one run of a study, again and compare what happened, event for event."""
    with exits():
        folder, mark, which = run.rpartition("#")
        if not mark or not which.isdecimal():
            refuse(f"write RUN#REPLICATION, such as results/sequencer_outage/0123456789abcdef#0, or STUDY#RUN, not '{run}'")
        if (Path(folder) / "study.yaml").is_file():
            from l2sim.study.running import replay as again
        else:
            from l2sim.simulation import replay as again  # type: ignore[assignment]
        with understood(Path(folder)):
            answer = again(folder, int(which))
        typer.echo(str(answer))
        if not answer.same:
            raise typer.Exit(FAILED)


def _figures(found: "Run") -> str:
    """The key figures of a run as text: mean, interval, and what the attacks make of it."""
    table = found.key_figures()
    rows = [("", "mean", "95 % interval", *(("without attacks", "difference", "95 % interval") if "without" in table else ()))]
    for figure, row in table.iterrows():
        cells = [f"{figure}{f' ({row.unit})' if row.unit else ''}", number(row["mean"]), between(row.low, row.high)]
        if "without" in table:
            cells += [number(row.without), number(row.difference), between(row.difference_low, row.difference_high)]
        rows.append(tuple(cells))
    rows += [
        (f"{figure} / without impact", f"{number(row['mean'])} ×", between(row.low, row.high), *[""] * (len(rows[0]) - 3))
        for figure, row in found.multiplier().iterrows()
    ]
    head = f"{found.scenario.title or found.path.parent.name}\n{found.replications} replications, seed {found.seed}\n"
    return "\n".join([head, grid(rows), ""])
