"""The engine: the same answers on any number of cores, batches that grow, workers that die."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from l2sim import engine
from l2sim.engine import TRIES, Lost, WorkerLost, each


def squared(task: int) -> int:
    return task * task


def failing(task: int) -> int:
    if task == 3:
        raise ZeroDivisionError("nothing to divide by")
    return task


def deadly(folder: Path, task: int) -> int:
    """Kills its process for task 5 always, for task 9 once; keeps count of how often each was begun."""
    begun = folder / str(task)
    begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
    if task == 5 or (task == 9 and begun.read_text() == "x"):
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def paused(seconds: float, task: int) -> tuple[int, float]:
    time.sleep(seconds)
    return os.getpid(), time.monotonic()


@pytest.mark.parametrize("jobs", [1, 2, -1])
def test_every_task_has_its_answer_once(jobs: int) -> None:
    found = list(each(squared, range(50), jobs=jobs))
    assert sorted(found) == [(task, task * task) for task in range(50)]


def test_no_task_and_one_task() -> None:
    assert list(each(squared, [], jobs=2)) == []
    assert list(each(squared, [7], jobs=2)) == [(7, 49)]


def test_no_cores_are_refused() -> None:
    with pytest.raises(ValueError, match="jobs must be 1 or more, or -1"):
        list(each(squared, range(3), jobs=0))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_work_raises_ends_everything(jobs: int) -> None:
    with pytest.raises(ZeroDivisionError, match="nothing to divide by"):
        list(each(failing, range(20), jobs=jobs))


def test_answers_come_before_all_is_done() -> None:
    answers = each(partial(paused, 0.001), range(10_000), jobs=2)
    process, _ = next(answers)[1]
    assert process != os.getpid()
    answers.close()  # type: ignore[attr-defined]


def test_batches_grow_with_what_a_second_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    batches = engine._Crew._batches

    def watched(crew: Any) -> Iterator[Any]:
        for batch in batches(crew):
            sizes.append(len(batch[1][1]))
            yield batch

    monkeypatch.setattr(engine._Crew, "_batches", watched)
    assert len(list(each(squared, range(2000), jobs=2))) == 2000
    assert sizes[0] == 1
    assert max(sizes) > 16
    assert sizes[-1] == 1  # so that all cores end together
    sizes.clear()
    monkeypatch.setattr(engine, "BATCH", 0.0)
    assert len(list(each(squared, range(40), jobs=2))) == 40
    assert set(sizes) == {1}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed as on POSIX")
def test_what_a_dead_worker_had_is_done_again(tmp_path: Path) -> None:
    found = dict(each(partial(deadly, tmp_path), range(24), jobs=2))
    lost = found.pop(5)
    assert isinstance(lost, WorkerLost)
    assert "the worker process died" in str(lost)
    assert found == {task: task for task in range(24) if task != 5}
    begun = {int(path.name): len(path.read_text()) for path in tmp_path.iterdir()}
    assert begun[5] == TRIES
    assert 2 <= begun[9] < TRIES
    assert max(count for task, count in begun.items() if task != 5) < TRIES


class Survivor:
    """Stands for a cluster that gives up a batch and goes on: here whatever holds task 7."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def effective_n_jobs(self, _: int) -> int:
        return 2


def test_what_a_cluster_gave_up_is_tried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Survivor()

    def answers(crew: Any) -> Iterator[Any]:
        while crew._queue:
            size = 1 if crew._cautious else 4
            batch = [crew._queue.popleft() for _ in range(min(size, len(crew._queue)))]
            cluster.batches.append(batch)
            yield Lost("gone", batch) if 7 in batch else [(task, crew._work(task)) for task in batch]

    monkeypatch.setattr(engine._Crew, "answers", answers)
    found = dict(each(squared, range(10), backend=cluster))
    assert isinstance(found.pop(7), WorkerLost)
    assert found == {task: task * task for task in range(10) if task != 7}
    # First in small batches beside each other, where the next loss may still be another's doing; then quite alone.
    assert cluster.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [4], [5], [6], [7], [7]]
