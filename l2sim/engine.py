"""Engine: one piece of work done for many tasks, in this process, on several cores or on a cluster, with the same answers.

Short tasks travel in batches of about a second, so that sending them costs little. A process that dies (the system ends the
largest when memory runs out) takes its tasks with it: they are tried again, and one that is lost each time is given back as a
``WorkerLost`` instead of an answer. None of this changes an answer: it depends on the work and the task alone.
"""

import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Thread
from time import perf_counter, sleep
from typing import Any, NamedTuple, TypeVar

BATCH = 1.0
"""How long a batch of tasks should take (s)."""

TRIES = 4
"""How often a task is begun whose worker dies: once, and three times more."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class WorkerLost(Exception):
    """The process that worked on a task died, however often it was tried."""


class Lost(NamedTuple):
    """What a backend that survives the loss of a worker gives in place of the answers to a batch."""

    reason: str
    batch: Sequence[Any]
    """Its tasks."""


def each(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, jobs: int = 1, backend: Any = None
) -> Iterator[tuple[Task, Answer | WorkerLost]]:
    """Each task with its answer, as soon as it is done; in which order is not said.

    Args:
        work: what is done; a plain function of a task, or a ``partial`` of one. What it raises ends everything.
        tasks: plain, different from one another; neighbours go into one batch.
        jobs: on how many cores of this machine; 1 is a plain loop in this process, -1 all cores.
        backend: a backend of joblib that leads to a cluster; then ``jobs`` says nothing.

    Raises:
        WorkerLost: the work itself cannot be sent, such as parts made in a way that no other process understands.
    """
    workers = backend.effective_n_jobs(-1) if backend is not None else min(cores(jobs), len(tasks))
    if backend is None and workers < 2:
        for task in tasks:
            yield task, work(task)
        return
    from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

    waiting = deque(tasks)
    losses: dict[Task, int] = {}
    while waiting or losses:
        # What was lost goes first and by itself; what was lost twice, one task at a time: the next loss is then its own doing.
        fewest = min(losses.values(), default=0)
        queue = deque(task for task, lost in losses.items() if lost == fewest) if losses else waiting
        crew = _Crew(work, queue, workers, backend, cautious=fewest)
        try:
            with closing(crew.answers()) as answers:
                for done in answers:
                    if not isinstance(done, Lost):
                        for task, answer in done:
                            losses.pop(task, None)
                            yield task, answer
                    elif len(done.batch) > 1 or fewest < 2:  # it may have been beside the one that kills workers
                        losses |= dict.fromkeys(done.batch, 1 if len(done.batch) > 1 else 2)
                    else:
                        losses.pop(done.batch[0], None)
                        yield done.batch[0], WorkerLost(done.reason)
        except TerminatedWorkerError:
            for task in crew.begun:
                losses[task] = losses.get(task, 0) + 1
        except BrokenProcessPool as error:
            raise WorkerLost(f"the work cannot be sent to other processes ({error.__cause__ or error}); try jobs=1") from error
        for task in [task for task, lost in losses.items() if lost >= TRIES]:
            del losses[task]
            yield task, WorkerLost(f"the worker process died, {TRIES} times, most likely for want of memory; try fewer jobs")


def cores(jobs: int) -> int:
    """How many processes that many jobs are on this machine.

    Raises:
        ValueError: none.
    """
    if jobs == 0:
        raise ValueError("jobs must be 1 or more, or -1 for all cores")
    if jobs == 1:
        return 1
    from joblib import effective_n_jobs

    return int(effective_n_jobs(jobs))


class _Crew:
    """Workers that go through a queue once, until it is empty or one of them dies."""

    def __init__(self, work: Callable[[Any], Any], queue: deque[Any], workers: int, backend: Any, cautious: int) -> None:
        self.begun: set[Any] = set()
        self._work = work
        self._queue = queue
        self._workers = workers
        self._backend = backend
        self._cautious = cautious
        self._size = 1

    def answers(self) -> Generator[Lost | list[tuple[Any, Any]]]:
        """What comes of each batch, as soon as it is done."""
        from joblib import Parallel

        ahead = {0: 2 * self._workers, 1: self._workers}.get(self._cautious, 1)
        if self._backend is not None:
            engine = {"backend": self._backend, "n_jobs": -1}
        else:
            engine = {"backend": "loky", "n_jobs": self._workers, "initializer": _end_with, "initargs": (os.getpid(),)}
        parallel = Parallel(**engine, batch_size=1, pre_dispatch=ahead, return_as="generator_unordered")
        with _uninterrupted():
            done = parallel(self._batches())
        try:
            for answer in done:
                if isinstance(answer, Lost):
                    self.begun.difference_update(answer.batch)
                    yield answer
                    continue
                pairs, seconds = answer
                self.begun.difference_update([task for task, _ in pairs])
                self._paced(len(pairs), seconds)
                yield pairs
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the tasks that an interruption cancels
                done.close()

    def _batches(self) -> Iterator[Any]:
        """Batches for joblib, which takes one whenever a worker is free, so that each has the size that is right by then."""
        from joblib import delayed

        while self._queue:
            share = -(-len(self._queue) // (2 * self._workers))  # towards the end smaller ones, so that all end together
            batch = tuple(self._queue.popleft() for _ in range(min(self._size, share)))
            self.begun.update(batch)
            yield delayed(_batch)(self._work, batch)

    def _paced(self, tasks: int, seconds: float) -> None:
        """Let batches grow to what a second holds, at most twofold at once: the first ones pay for what workers load."""
        if not self._cautious:
            self._size = max(1, min(2 * self._size, int(BATCH * tasks / max(seconds, 1e-9))))


def _batch(work: Callable[[Task], Answer], tasks: Sequence[Task]) -> tuple[list[tuple[Task, Answer]], float]:
    began = perf_counter()
    return [(task, work(task)) for task in tasks], perf_counter() - began


def _end_with(parent: int) -> None:
    """Let a worker end when the process that began it is gone, however that was killed; it would wait for ever for more work."""

    def watch() -> None:
        while os.getppid() == parent:
            sleep(1.0)
        os._exit(1)

    Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes begun here do not hear Ctrl-C: it is the parent's to stop them, in silence."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
