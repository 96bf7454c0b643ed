"""Studying: commands about many runs: a study, a comparison, the gallery."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2sim.cli.exits import FAILED, answered, exits, refuse, understood
from l2sim.cli.layout import grid, wrapped
from l2sim.cli.options import Jobs, Out, Pdf, Settings
from l2sim.cli.progress import counting

if TYPE_CHECKING:
    from l2sim.results import Run
    from l2sim.results.comparison import Comparison
    from l2sim.study import Findings

MOST = 40
"""Rows of a table that are printed; files have all of them."""


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A study, or a scenario with --vary.", show_default=False)],
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="PATH=A,B,C", help="What varies, such as agents.keepers.count=1,3; may be repeated: a grid."),
    ] = None,
    set: Settings = None,  # noqa: A002
    replications: Annotated[int | None, typer.Option(help="Replications at each point.", min=1, show_default="the study's")] = None,
    seed: Annotated[int | None, typer.Option(help="Which luck.", min=0, show_default="the study's")] = None,
    independent: Annotated[bool, typer.Option("--independent", help="Luck of its own for each point, not the same for all.")] = False,
    jobs: Jobs = None,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://10.0.0.5:8786.")] = None,
    part: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts of the runs, for job arrays.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run again what failed.")] = False,
    out: Out = Path("results"),
    pdf: Pdf = False,
) -> None:
    """Run every point of a study on the same luck; print what was found and the path of the report."""
    with exits("runs"):
        share = _share(part)
        if cluster is not None and jobs is not None:
            refuse("--jobs is for this machine and --cluster for others: give one of them")
        from l2sim.report import write_report
        from l2sim.study import Study
        from l2sim.study import sweep as swept
        from l2sim.study.running import PartDone

        given: dict[str, Any] = {"replications": replications, "seed": seed, "independent": independent or None}
        study = Study.load(file, set=set or (), vary=vary or (), **given)
        try:
            with counting(study.name) as watcher:
                found = swept(study, jobs=-1 if jobs is None else jobs, cluster=cluster, part=share, out=out, progress=watcher, retry=retry)
        except PartDone as done:
            typer.echo(str(done), err=True)
            return
        failed = _failed(found)
        answered(found)
        typer.echo(_told(found))
        typer.echo(f"report  {write_report(found, pdf=pdf)}")
        if failed:
            typer.echo(failed, err=True)


def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or STUDY@POINT.", show_default=False)],
    other: Annotated[str, typer.Argument(metavar="RUN", help="What it is compared with.", show_default=False)],
    pdf: Pdf = False,
) -> None:
    """Compare two runs, or two points of studies, figure by figure; paired where they share their luck."""
    with exits():
        from l2sim.report import write_report
        from l2sim.results.comparison import compare as compared

        found = compared(_place(one), _place(other))
        typer.echo(_differences(found))
        typer.echo(f"report  {write_report(found, pdf=pdf)}")


def gallery(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of scenario files.")] = Path("scenarios"),
    replications: Annotated[int, typer.Option(help="Replications of each scenario.", min=1)] = 4,
    jobs: Jobs = None,
    out: Out = Path("results"),
) -> None:
    """Run every scenario of a folder, write their reports and one page over all of them, and print its path."""
    with exits():
        from l2sim.report.gallery import write_gallery

        typer.echo(write_gallery(out, replications=replications, jobs=-1 if jobs is None else jobs, scenarios=folder))


def _share(text: str | None) -> tuple[int, int] | None:
    """``3/8`` as numbers."""
    if text is None:
        return None
    which, _, parts = text.partition("/")
    if not which.isdecimal() or not parts.isdecimal() or not 1 <= int(which) <= int(parts):
        refuse(f"--part {text}: write I/N with I from 1 to N, such as --part 3/8")
    return int(which), int(parts)


def _failed(found: "Findings") -> str:
    """What is said of runs that failed; where all did, the command fails for that reason."""
    failures = found.failures
    if failures.empty:
        return ""
    runs, first = len(failures) + _runs(found), failures.iloc[0]
    said = (
        f"{len(failures)} of {runs} runs failed, the first of them run {first['run']}: {first['type']}: {first['message']}\n"
        f"tracebacks are in {found.path / 'runs'}; --retry runs them again"
    )
    if len(failures) == runs:
        typer.echo(said, err=True)
        raise typer.Exit(FAILED)
    return said


def _runs(found: "Findings") -> int:
    return max(len(found.frame(world)) for world in found.worlds)


def _told(found: "Findings") -> str:
    """What a study says: the answers to its comparisons, or where it has none its key figures at every point."""
    from l2sim.report import readings

    study = found.study
    luck = "luck of its own at every point" if study.independent else "the same luck at every point"
    lines = [study.title or study.name, f"{len(found.points)} points, {_runs(found)} runs, seed {study.seed}, {luck}", ""]
    if short := readings.short(found):
        lines[-1:] = [wrapped(short), ""]
    for name, reading in found.readings.items():
        title = readings.in_words(name)
        lines += [title, *(wrapped(sentence) for sentence in reading.findings)]
        table = readings.table(name, title, reading, found.sample)
        lines += ["", grid([table.head, *table.rows[:MOST]]), ""] if table.rows else [""]
    return "\n".join(lines if found.readings else [*lines, _points(found), ""])


def _points(found: "Findings") -> str:
    """The key figures as written, a row for each point, figure by figure."""
    from l2sim.results.run import is_key

    summary, sample = found.summary, found.sample
    factors = [str(name) for name in found.points]
    heads = [sample.labels.get(name, name) for name in factors]
    rows = [["figure", "point", *heads, "mean", "n"]]
    for row in summary[summary["world"] == found.worlds[0]].sort_values("figure", kind="stable").to_dict("records"):
        if is_key(str(row["figure"]), found.study.base):
            levels = [sample.spelt(name, row[name]) for name in factors]
            rows.append([str(row["figure"]), str(row["point"]), *levels, _spelt(row), str(row["n"])])
    more = f"\n… {len(rows) - 1 - MOST} more rows in {found.path / 'summary.csv'}" if len(rows) - 1 > MOST else ""
    return grid(rows[: MOST + 1]) + more


def _spelt(row: Mapping[Hashable, Any], *, signed: bool = False) -> str:
    """A mean with its interval, in words."""
    from l2sim.statistics.intervals import Interval
    from l2sim.wording import phrase

    return phrase(Interval(row["mean"], row["low"], row["high"], row["n"]), row["unit"], signed=signed)


def _place(text: str) -> "Run":
    """The run that a text names: its folder, or ``STUDY@POINT``."""
    folder, mark, point = text.rpartition("@")
    if mark and not point.isdecimal():
        refuse(f"write RUN or STUDY@POINT, such as results/grace_period/0123456789abcdef@3, not '{text}'")
    if mark:
        from l2sim.study import Findings

        with understood(Path(folder)):
            return Findings.load(folder).run(int(point))
    if (Path(text) / "study.yaml").is_file():
        refuse(f"'{text}' is a study: name two of its points, such as {text}@0 and {text}@1")
    from l2sim.results import Run

    with understood(Path(text)):
        return Run.load(text)


def _differences(found: "Comparison") -> str:
    """What two runs have in common, and their key figures in every world that both have."""
    from l2sim.results.run import is_key
    from l2sim.wording import amount

    table = found.table
    rows = [["", "world", "first", "second", "difference", "n"]]
    for row in table[[is_key(figure, found.one.scenario) for figure in table["figure"]]].to_dict("records"):
        means = [amount(row[name], row["unit"]) for name in ("one", "other")]
        rows.append([str(row["figure"]), str(row["world"]), *means, _spelt(row, signed=True), str(row["n"])])
    return "\n".join([*(wrapped(sentence) for sentence in found.findings), "", grid(rows), ""])
