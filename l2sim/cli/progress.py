"""Progress on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Display

    from l2sim.scenario import Scenario
    from l2sim.simulation import Watcher
    from l2sim.study.running import Swept


@contextmanager
def watching(scenario: "Scenario") -> "Iterator[Watcher | None]":
    """Simulated time, events a second and time left while a scenario runs."""
    if not sys.stderr.isatty():
        yield None
        return
    from l2sim.simulation import Progress
    from l2sim.units import HOUR

    with _display() as display:
        task = display.add_task(scenario.name, total=None, shown="starting")

        def watch(now: Progress) -> None:
            elapsed = display.tasks[0].elapsed or 0.0
            rate = now.events / elapsed if elapsed else 0.0
            shown = f"{now.simulated / HOUR:,.1f} of {now.duration / HOUR:,.1f} h simulated, {rate:,.0f} events/s"
            display.update(task, completed=now.simulated, total=now.duration, shown=shown)

        yield watch


@contextmanager
def counting(name: str) -> "Iterator[Callable[[Swept], None] | None]":
    """Runs done of all, those that failed, and time left while a study runs."""
    if not sys.stderr.isatty():
        yield None
        return
    with _display() as display:
        task = display.add_task(name, total=None, shown="starting")

        def watch(now: "Swept") -> None:
            shown = f"{now.runs:,} of {now.of:,} runs" + (f", {now.failed:,} failed" if now.failed else "")
            display.update(task, completed=now.runs, total=now.of, shown=shown)

        yield watch


def _display() -> "Display":
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    texts = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    return Display(*texts, console=Console(stderr=True), transient=True)
