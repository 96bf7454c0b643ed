"""Command line. Data goes to stdout, messages and progress to stderr; everything heavy is imported inside the commands.

``running`` holds the commands that run something, or read what a run left; ``looking`` those that say what there is;
``exits`` says what goes wrong, and with which exit code.
"""

from typing import Annotated

import typer

from l2sim import __version__
from l2sim.cli import looking, running, studying

app = typer.Typer(
    help="A discrete-event simulator of adversarial Layer-2 derivatives markets.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """A discrete-event simulator of adversarial Layer-2 derivatives markets."""


app.command(short_help="Run scenarios; print figures and a report's path.")(running.run)
app.command(short_help="Run a study: many variants on the same luck.")(studying.sweep)
app.command(short_help="Compare two runs, or two points of studies.")(studying.compare)
app.command(short_help="Print scenarios resolved, or their mistakes.")(looking.check)
app.command(short_help="List rooms and kinds, or explain a kind.")(looking.kinds)
app.command(short_help="List presets, or print one with its sources.")(looking.presets)
app.command(short_help="Print the JSON Schema of scenario files.")(looking.schema)
app.command(short_help="Write the reference of all parameters.")(looking.reference)
app.command(short_help="Write the report of a run or a study again.")(running.report)
app.command(short_help="Run a replication again and compare.")(running.replay)
app.command(short_help="Run what is shipped; write one page over it.")(studying.gallery)
