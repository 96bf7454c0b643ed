"""Looking: commands that run nothing and say what there is, or what is wrong with a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from l2sim.cli.exits import exits, refuse
from l2sim.cli.layout import columns, wrapped
from l2sim.cli.options import Files, Settings

if TYPE_CHECKING:
    from l2sim.part import Part
    from l2sim.scenario import Scenario


def check(files: Files, set: Settings = None) -> None:  # noqa: A002
    """Print scenarios or studies resolved, defaults filled in; or all their mistakes, with line and column."""
    with exits():
        studies = [file for file in files if _is_study(file)]
        pages = [scenario.yaml() for scenario in loaded([file for file in files if file not in studies], set)]
        for file in studies:
            from l2sim.study import Study

            study = Study.load(file, set=set or ())
            study.check()
            pages.append(study.yaml())
        typer.echo("---\n".join(pages), nl=False)


def _is_study(file: Path) -> bool:
    """Whether a file names a scenario instead of being one; a file that cannot be read is for others to complain about."""
    from l2sim.scenario.mistakes import ScenarioError
    from l2sim.scenario.nodes import read

    try:
        return "scenario" in read(file).value
    except ScenarioError:
        return False


def kinds(
    room: Annotated[str | None, typer.Argument(help="agents, markets, …", show_default=False)] = None,
    kind: Annotated[str | None, typer.Argument(help="A kind in that room.", show_default=False)] = None,
) -> None:
    """List the rooms and their kinds, or explain the parameters of one kind."""
    with exits():
        from l2sim.part import ROOM_NAMES, did_you_mean
        from l2sim.part import room as find
        from l2sim.scenario.schema import summary

        if room is not None and room not in ROOM_NAMES:
            refuse(f"there is no room '{room}'{did_you_mean(room, ROOM_NAMES)}")
        if room is None or kind is None:
            for name in ROOM_NAMES if room is None else (room,):
                typer.echo(f"{name}: {summary(find(name))}")
                typer.echo(columns([(known, summary(part)) for known, part in find(name).kinds().items()]))
            return
        known = find(room).kinds()
        if kind not in known:
            refuse(f"there is no kind '{kind}' in {room}{did_you_mean(kind, known)}")
        typer.echo(_page(known[kind]))


def presets(name: Annotated[str | None, typer.Argument(help="One preset.", show_default=False)] = None) -> None:
    """List the presets, or print one: every value, sourced or assumed, and why."""
    with exits():
        from l2sim import presets as pages
        from l2sim.scenario.provenance import preset

        if name is None:
            typer.echo(columns([(known, preset(known).about) for known in pages.names()]))
            return
        page = preset(name)
        typer.echo(wrapped(page.about) + "\n")
        typer.echo(columns([(f"{row.path}: {row.value}", f"{row.origin}: {row.text}") for row in page.rows()]))


def schema(
    of: Annotated[str, typer.Argument(metavar="[scenario|study]", help="Of which files.", show_default=False)] = "scenario",
) -> None:
    """Print the JSON Schema of scenario files, or of study files, for editors."""
    with exits():
        import json

        if of == "scenario":
            from l2sim.scenario.schema import schema as made
        elif of == "study":
            from l2sim.study.schema import schema as made
        else:
            refuse(f"there is no schema of '{of}'; known are: scenario, study")
        typer.echo(json.dumps(made(), indent=1, ensure_ascii=False))


def reference(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the pages go.")] = Path("docs/reference"),
) -> None:
    """Write the reference, a page for each room with every kind and parameter, and print the paths."""
    with exits():
        from l2sim.cli.reference import pages
        from l2sim.results.folder import write_file, writing

        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            for name, text in pages().items():
                write_file(out / name, text.encode())
                typer.echo(str(out / name))


def loaded(files: list[Path], settings: list[str] | None) -> "list[Scenario]":
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


def _page(part: "type[Part]") -> str:
    """All about one kind: what it is, its parameters, and the actions of a market."""
    from inspect import cleandoc

    from l2sim.scenario.schema import parameters

    lines = [f"kind: {part.kind}", "", cleandoc(part.__doc__ or ""), ""]
    lines.append(
        columns([(f"{one.name}: {one.default}" if one.default else f"{one.name} (required)", one.text) for one in parameters(part)])
    )
    transitions = getattr(part, "transitions", {})
    if transitions:
        rows = [(f"{state}, {event}:", after) for (state, event), after in transitions.items()]
        lines += ["", "state, what happens: next state", columns(rows)]
    actions = getattr(part, "actions", None)
    if actions:
        lines += ["", "actions: " + ", ".join(f"{action}({', '.join(fields)})" for action, fields in actions.items())]
    return "\n".join(lines)
