"""Queueing: how long transactions wait for execution and for room in a block, and how many of them there are at a time."""

from math import sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.events import BlockSealed, TransactionServed
from l2sim.metrics import Metric, chains
from l2sim.units import SECOND, Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Queueing(Metric):
    """A chain's sequencer as a server with a queue, per chain: waits, numbers in the system, and what blocks leave behind.

    Where the sequencer has an ``execution_speed``: the mean time from a transaction's arrival until its execution begins
    (``wait``) and until it ends (``system``), the time average of the number that has arrived and is not executed (``number``), and
    the share of time in which it executes (``busy_share``), over the transactions that were executed. Everywhere:
    ``left_behind``, the mean number of transactions that still wait when a block has been made; empty blocks that the log leaves out
    left nothing behind.

    ``…_error`` is the standard error of a mean, from the means of equal batches of the run one after the other, because
    neighbours are alike (Law 2015, Simulation Modeling and Analysis, section 9.5.3). It needs batches much longer than a busy period.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    needs: ClassVar[tuple[str, ...]] = ("TransactionServed",)
    units: ClassVar[dict[str, str]] = {"wait_mean": "s", "wait_error": "s", "system_mean": "s", "system_error": "s"}
    key: ClassVar[tuple[str, ...]] = ("wait_mean", "system_mean", "number_mean", "left_behind")

    warm_up: Duration = 0
    """Leave out what arrived (or was made, for blocks) in this first part of the run, which begins with an empty queue."""
    batches: Annotated[int, Field(ge=2)] = 30
    """How many batches the standard errors are made of."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame.from_dict({chain: self._of(chain, log) for chain in chains(log)}, orient="index", dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        arrives, begins, ends = log.select(TransactionServed, "arrives", "begins", "ends", chain=chain)
        order = np.argsort(arrives, kind="stable")
        order = order[arrives[order] >= self.warm_up]
        wait, system = (begins - arrives)[order] / SECOND, (ends - arrives)[order] / SECOND
        # What came after the last of those that are executed is not in the log.
        edges = np.linspace(self.warm_up, arrives.max(initial=self.warm_up), self.batches + 1)
        numbers, left = time_averages(arrives, ends, edges), self._left_behind(chain, log)
        return {
            "served": float(len(order)),
            "wait_mean": _mean(wait),
            "wait_error": self._error(wait),
            "system_mean": _mean(system),
            "system_error": self._error(system),
            "number_mean": _mean(numbers),
            "number_error": self._error(numbers),
            "busy_share": _mean(time_averages(begins, ends, edges)),
            "left_behind": _mean(left),
            "left_behind_error": self._error(left),
        }

    def _error(self, values: Floats) -> float:
        """The standard error of the mean of values in order of time, by the means of equal batches."""
        size = len(values) // self.batches
        means = values[: size * self.batches].reshape(self.batches, size).mean(axis=1) if size else values[:0]
        return float(means.std(ddof=1)) / sqrt(self.batches) if size else np.nan

    def _left_behind(self, chain: str, log: "Log") -> Floats:
        """What each block left behind, from the first in the log after the warm-up to the last."""
        made, number, pending = log.select(BlockSealed, "time", "number", "pending", chain=chain)
        counted = made >= self.warm_up
        number, pending = number[counted], pending[counted]
        left = np.zeros(int(number[-1] - number[0]) + 1 if len(number) else 0)
        left[number - number[0] if len(number) else number] = pending
        return left


def time_averages(begins: Times, ends: Times, edges: Floats) -> Floats:
    """The time averages, between neighbouring edges (ns), of how many of the intervals ``begins`` to ``ends`` hold the present.

    The number steps up at each beginning and down at each end; its integral is straight in between. Empty where the edges coincide.
    """
    if not edges[-1] > edges[0]:
        return np.zeros(0)
    times = np.concatenate([begins, ends])
    steps = np.repeat([1, -1], [len(begins), len(ends)])
    order = np.argsort(times, kind="stable")
    times, number = times[order], np.cumsum(steps[order])
    area = np.concatenate([[0.0], np.cumsum(number[:-1] * np.diff(times).astype(np.float64))])
    averages: Floats = np.diff(np.interp(edges, times, area)) / np.diff(edges)
    return averages


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else np.nan
