"""The clock: SimPy's event loop in whole nanoseconds, with fair ties."""

from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappush
from math import inf
from typing import Any

import simpy
from simpy.events import NORMAL, Event


class Clock(simpy.Environment):
    """An environment in which simultaneous wake-ups come in the order of seeded keys instead of that of insertion.

    SimPy orders its queue by (time, priority, number of the event). Here the number of an agent's wake-up carries the
    agent's tie key in front; duties of the protocol (blocks, slots) have key 0 and come first.
    """

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self._shown: int | None = None

    @property
    def now(self) -> int:
        """Nanoseconds since the start."""
        return self._now if self._shown is None else self._shown  # type: ignore[return-value]  # all our times are whole

    @contextmanager
    def at(self, time: int) -> Iterator[None]:
        """Show another time, at which nothing else happens: that of a block of a stretch."""
        before, self._shown = self._shown, time
        try:
            yield
        finally:
            self._shown = before

    def show(self, time: int) -> None:
        """Within ``at``, show another time still."""
        self._shown = time

    def stirs(self) -> float:
        """When something happens next for which anybody waits; alarms that nobody waits for any more do not count."""
        queue = self._queue
        if queue and queue[0][3].callbacks:
            return queue[0][0]
        return min((time for time, _, _, event in queue if event.callbacks), default=inf)

    def advance(self, time: int) -> None:
        """Go on to a time before which nothing happens for which anybody waits."""
        self._now = time

    def wake(self, event: Event, time: int, tie: int = 0, value: Any = None) -> Event:
        """Trigger an event at a time (ns, now or later); among equals the lower tie key goes first."""
        event._ok = True
        event._value = value
        heappush(self._queue, (time, NORMAL, (tie << 48) + next(self._eid), event))
        return event
