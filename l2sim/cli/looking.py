"""Command line. Data goes to stdout, messages and progress to stderr; everything heavy is imported inside the commands.

Exit codes: 0 done, 1 the run failed, 2 the input was wrong, 130 interrupted.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from l2sim import __version__

if TYPE_CHECKING:
    from l2sim.part import Part
    from l2sim.results import Run
    from l2sim.scenario import Scenario
    from l2sim.simulation import Watcher

FAILED, WRONG, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="A discrete-event simulator of adversarial Layer-2 derivatives markets.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Scenario files.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value, such as agents.keepers.count=5; may be repeated.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """A discrete-event simulator of adversarial Layer-2 derivatives markets."""


@app.command(short_help="Run scenarios; print figures and a report's path.")
def run(
    files: Files,
    seed: Annotated[int, typer.Option(help="Which luck: the same seed gives the same results.", min=0)] = 1,
    replications: Annotated[int, typer.Option(help="How many independent runs, for the intervals.", min=1)] = 8,
    jobs: Annotated[int | None, typer.Option(help="How many cores to use.", min=1, show_default="all")] = None,
    set: Settings = None,  # noqa: A002
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results"),
) -> None:
    """Run scenarios and the same worlds without their attacks; print key figures and the path of the report."""
    with _exits():
        scenarios = _loaded(files, set)
        from l2sim.report import write_report
        from l2sim.simulation import experiment

        for number, scenario in enumerate(scenarios):
            with _watching(scenario) as watcher:
                found = experiment(
                    scenario, seed=seed, replications=replications, jobs=-1 if jobs is None else jobs, out=out, progress=watcher
                )
            typer.echo(("\n" if number else "") + _figures(found))
            typer.echo(f"report  {write_report(found.path)}")


@app.command(short_help="Print scenarios resolved, or their mistakes.")
def check(files: Files, set: Settings = None) -> None:  # noqa: A002
    """Print scenarios resolved, presets and defaults filled in; or all their mistakes, with line and column."""
    with _exits():
        scenarios = _loaded(files, set)
        typer.echo("---\n".join(scenario.yaml() for scenario in scenarios), nl=False)


@app.command(short_help="List rooms and kinds, or explain a kind.")
def kinds(
    room: Annotated[str | None, typer.Argument(help="agents, markets, …", show_default=False)] = None,
    kind: Annotated[str | None, typer.Argument(help="A kind in that room.", show_default=False)] = None,
) -> None:
    """List the rooms and their kinds, or explain the parameters of one kind."""
    with _exits():
        from l2sim.part import ROOM_NAMES, did_you_mean
        from l2sim.part import room as find
        from l2sim.scenario.schema import summary

        if room is not None and room not in ROOM_NAMES:
            _refuse(f"there is no room '{room}'{did_you_mean(room, ROOM_NAMES)}")
        if room is None or kind is None:
            for name in ROOM_NAMES if room is None else (room,):
                typer.echo(f"{name}: {summary(find(name))}")
                typer.echo(_columns([(known, summary(part)) for known, part in find(name).kinds().items()]))
            return
        known = find(room).kinds()
        if kind not in known:
            _refuse(f"there is no kind '{kind}' in {room}{did_you_mean(kind, known)}")
        typer.echo(_page(known[kind]))


@app.command(short_help="List presets, or print one with its sources.")
def presets(name: Annotated[str | None, typer.Argument(help="One preset.", show_default=False)] = None) -> None:
    """List the presets, or print one: every value, sourced or assumed, and why."""
    with _exits():
        from l2sim import presets as pages
        from l2sim.scenario.provenance import preset

        if name is None:
            typer.echo(_columns([(known, preset(known).about) for known in pages.names()]))
            return
        page = preset(name)
        typer.echo(_wrapped(page.about) + "\n")
        typer.echo(_columns([(f"{row.path}: {row.value}", f"{row.origin}: {row.text}") for row in page.rows()]))


@app.command(short_help="Print the JSON Schema of scenario files.")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    with _exits():
        import json

        from l2sim.scenario.schema import schema as made

        typer.echo(json.dumps(made(), indent=1, ensure_ascii=False))


@app.command(short_help="Write the report of a run again.")
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, results/<scenario>/<run id>.")]) -> None:
    """Write the report of a run again and print its path."""
    with _exits():
        from l2sim.report import write_report

        typer.echo(write_report(run))


@app.command(short_help="Run a replication again and compare.")
def replay(run: Annotated[str, typer.Argument(metavar="RUN#REPLICATION", help="Folder of a run and the number of a replication.")]) -> None:
    """Run one replication of a kept run again and compare what happened, event for event."""
    with _exits():
        folder, mark, number = run.rpartition("#")
        if not mark or not number.isdecimal():
            _refuse(f"write RUN#REPLICATION, such as results/sequencer_outage/0123456789abcdef#0, not '{run}'")
        from l2sim.simulation import replay as again

        answer = again(folder, int(number))
        typer.echo(str(answer))
        if not answer.same:
            raise typer.Exit(FAILED)


# ---- what goes wrong


@contextmanager
def _exits() -> Iterator[None]:
    """Turn what goes wrong into a message on stderr and the exit code that belongs to it."""
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        typer.echo("interrupted; replications that were finished are kept", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("L2SIM_TRACEBACK"):
            raise
        typer.echo(_told(error), err=True)
        raise typer.Exit(_code(error)) from None


def _code(error: Exception) -> int:
    from l2sim.scenario.mistakes import ScenarioError

    if isinstance(error, ScenarioError):
        return WRONG
    from l2sim.results import RunNotFound

    return WRONG if isinstance(error, RunNotFound) else FAILED


def _told(error: Exception) -> str:
    """The text of an error that was meant for people; for any other also what it is and where it came from."""
    if type(error).__module__.startswith("l2sim."):
        return str(error)
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"failed: {type(error).__name__}: {error} ({where}; L2SIM_TRACEBACK=1 shows how it came there)"


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(WRONG)


def _loaded(files: list[Path], settings: list[str] | None) -> "list[Scenario]":
    """The scenarios in files, with their recordings read once, or the mistakes in all of them."""
    from l2sim.scenario import Mistake, Scenario, ScenarioError

    scenarios: list[Scenario] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            scenario = Scenario.load(file, settings or ())
            scenario.recordings()
        except ScenarioError as error:
            mistakes += error.mistakes
        else:
            scenarios.append(scenario)
    if mistakes:
        raise ScenarioError(mistakes)
    return scenarios


# ---- what is shown


@contextmanager
def _watching(scenario: "Scenario") -> "Iterator[Watcher | None]":
    """Progress on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    from l2sim.simulation import Progress
    from l2sim.units import HOUR

    texts = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Display(*texts, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(scenario.name, total=None, shown="starting")

        def watch(now: Progress) -> None:
            elapsed = display.tasks[0].elapsed or 0.0
            rate = now.events / elapsed if elapsed else 0.0
            shown = f"{now.simulated / HOUR:,.1f} of {now.duration / HOUR:,.1f} h simulated, {rate:,.0f} events/s"
            display.update(task, completed=now.simulated, total=now.duration, shown=shown)

        yield watch


def _figures(found: "Run") -> str:
    """The key figures of a run as text: mean, interval, and what the attacks make of it."""
    table = found.key_figures()
    rows = [("", "mean", "95 % interval", *(("without attacks", "difference", "95 % interval") if "without" in table else ()))]
    for figure, row in table.iterrows():
        cells = [f"{figure}{f' ({row.unit})' if row.unit else ''}", _number(row["mean"]), _between(row.low, row.high)]
        if "without" in table:
            cells += [_number(row.without), _number(row.difference), _between(row.difference_low, row.difference_high)]
        rows.append(tuple(cells))
    rows += [
        (f"{figure} / without impact", f"{_number(row['mean'])} ×", _between(row.low, row.high), *[""] * (len(rows[0]) - 3))
        for figure, row in found.multiplier().iterrows()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    head = f"{found.scenario.title or found.path.parent.name}\n{found.replications} replications, seed {found.seed}\n"
    return "\n".join([head, *(line.rstrip() for line in lines), ""])


def _number(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _between(low: float, high: float) -> str:
    return "–" if low != low else f"{_number(low)} to {_number(high)}"


def _page(part: "type[Part]") -> str:
    """All about one kind: what it is, its parameters, and the actions of a market."""
    from inspect import cleandoc

    from l2sim.scenario.schema import parameters

    lines = [f"kind: {part.kind}", "", cleandoc(part.__doc__ or ""), ""]
    lines.append(
        _columns([(f"{one.name}: {one.default}" if one.default else f"{one.name} (required)", one.text) for one in parameters(part)])
    )
    actions = getattr(part, "actions", None)
    if actions:
        lines += ["", "actions: " + ", ".join(f"{action}({', '.join(fields)})" for action, fields in actions.items())]
    return "\n".join(lines)


def _width() -> int:
    import shutil

    return max(60, min(140, shutil.get_terminal_size((120, 24)).columns))


def _wrapped(text: str) -> str:
    import textwrap

    return textwrap.fill(" ".join(text.split()), _width())


def _columns(rows: list[tuple[str, str]]) -> str:
    """Terms and their explanations in two columns; a long term has a line of its own."""
    import textwrap

    left = min(max((len(term) for term, _ in rows), default=0), 36)
    lines = []
    for term, text in rows:
        wrapped = textwrap.wrap(" ".join(text.split()), _width() - left - 4) or [""]
        first = [] if len(term) <= left else [f"  {term}"]
        lead = "" if first else term
        lines += first + [f"  {(lead if i == 0 else ''):<{left}}  {line}".rstrip() for i, line in enumerate(wrapped)]
    return "\n".join(lines)
