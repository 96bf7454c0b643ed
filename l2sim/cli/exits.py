"""Exits: what goes wrong becomes a message on stderr and the exit code that belongs to it.

Exit codes: 0 done, 1 the run failed, 2 the input was wrong, 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer, main_thread
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from l2sim.study import Findings

FAILED, WRONG, INTERRUPTED = 1, 2, 130


@contextmanager
def exits(kept: str = "replications") -> Iterator[None]:
    """Turn what goes wrong into a message and an exit code; ``kept`` says what an interruption does not lose."""
    try:
        with _heard():
            yield
    except (typer.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, Exception) as error:
        if _interrupted(error):
            typer.echo(f"interrupted; {kept} that were finished are kept", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if os.environ.get("L2SIM_TRACEBACK"):
            raise
        typer.echo(told(error), err=True)
        raise typer.Exit(code(error)) from None


@contextmanager
def _heard() -> Iterator[None]:
    """Let Ctrl-C be told again that came where nothing can be raised, as in a callback of an import: Python drops it there."""
    before = sys.unraisablehook

    def hear(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt) and hasattr(signal, "pthread_kill"):
            Timer(0.01, signal.pthread_kill, (main_thread().ident, signal.SIGINT)).start()
        else:
            before(lost)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error; compiled code that it stops may raise another one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def code(error: BaseException) -> int:
    """The exit code of an error: whether the input was wrong, or the run failed."""
    from l2sim.results import RunNotFound
    from l2sim.scenario.mistakes import ScenarioError
    from l2sim.study.cluster import ClusterError

    return WRONG if isinstance(error, ScenarioError | RunNotFound | ClusterError) else FAILED


def told(error: BaseException) -> str:
    """The text of an error that was meant for people; for any other also what it is and where it came from."""
    if type(error).__module__.startswith("l2sim."):
        return str(error)
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"failed: {type(error).__name__}: {error} ({where}; L2SIM_TRACEBACK=1 shows how it came there)"


def refuse(message: str) -> NoReturn:
    """Say what is wrong with the command, and leave."""
    typer.echo(message, err=True)
    raise typer.Exit(WRONG)


def answered(found: "Findings") -> None:
    """See to it that every comparison has an answer; one that asks for what was not measured is a mistake in the study."""
    try:
        found.readings  # noqa: B018  (made once, and kept)
    except ValueError as error:
        refuse(f"{error}\nthe runs are kept: mend the study, and start it again")


@contextmanager
def understood(place: Path) -> Iterator[None]:
    """Where the description in a folder of results cannot be read and another version made it, say so: that is the reason."""
    from l2sim import __version__
    from l2sim.scenario.mistakes import ScenarioError

    try:
        yield
    except ScenarioError as error:
        made = _version(place)
        if made in ("", __version__):
            raise
        refuse(f"'{place}' was made by l2sim {made}, and this is {__version__}: read it with that version, or run it again\n{error}")


def _version(place: Path) -> str:
    """Which version made what is in a folder; nothing where that is not known."""
    import json

    try:
        return str(json.loads((place / "manifest.json").read_text("utf-8"))["versions"]["l2sim"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
