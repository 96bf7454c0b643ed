"""Prices in a run: outside paths drawn once over a calendar that no agent can change, and the index after impact."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from math import exp, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from l2sim.prices import Price, Recording
from l2sim.streams import Streams
from l2sim.units import MINUTE, SECONDS_A_YEAR
from l2sim.world.clock import Clock

HALF_LIFE_MINUTES = 30.0


class LivePrices:
    """The outside price of every asset at any time up to now.

    The calendar is the union of the chains' nominal block times (an outage skips blocks, but moves none), so that worlds
    with and without an attack see the same path. Between its instants the last price holds.
    """

    def __init__(
        self,
        prices: Mapping[str, Price],
        calendar: npt.NDArray[np.int64],
        streams: Streams,
        data: Mapping[str, Recording],
        clock: Clock,
    ) -> None:
        self.parts = dict(sorted(prices.items()))
        self.factor: Callable[[str], float] = lambda name: 1.0
        self.factors: Callable[[str, npt.NDArray[np.int64]], Any] = lambda name, times: 1.0
        self._calendar = calendar
        self._arrays: dict[str, npt.NDArray[np.float64]] = {}
        self._clock = clock
        self._times: list[int] = calendar.tolist()
        self._position = 0
        self._indices: dict[str, float] = {}
        self._indexed = -1
        self._paths: dict[str, list[float]] = {}
        self._volatility: dict[str, list[float]] = {}
        for name, price in self.parts.items():
            family = streams.generator(f"prices/family/{price.family}") if price.family else None
            path = price.drawn(streams.generator(f"prices/{name}"), calendar, family=family, data=data)
            if not (np.isfinite(path).all() and (path > 0).all()):
                raise ValueError(f"the path of price '{name}' is not positive and finite everywhere")
            self._paths[name] = path.tolist()

    def _at(self, now: int) -> int:
        times, position = self._times, self._position
        if position + 1 < len(times) and times[position + 1] <= now:
            self._position = position = position + 1  # mostly it is the next one
        if times[position] > now or (position + 1 < len(times) and times[position + 1] <= now):
            self._position = position = bisect_right(times, now) - 1
        return position

    def path(self, name: str) -> float:
        """The outside price now, without the impact of trades in the run (USD)."""
        return self._paths[name][self._at(self._clock.now)]

    def index(self, name: str) -> float:
        """The outside price now, impact included (USD)."""
        now = self._clock.now
        if now != self._indexed:
            self._indices.clear()
            self._indexed = now
        index = self._indices.get(name)
        if index is None:
            index = self._indices[name] = self._paths[name][self._at(now)] * self.factor(name)
        return index

    def indices(self, name: str, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The index at several times to come, should nobody trade outside before; shape as given."""
        if name not in self._arrays:
            self._arrays[name] = np.array(self._paths[name])
        path = self._arrays[name][self._calendar.searchsorted(times, side="right") - 1]
        indices: npt.NDArray[np.float64] = path * self.factors(name, times)
        return indices

    def moved(self, name: str) -> None:
        """Somebody traded outside: the index is another."""
        self._indices.pop(name, None)

    def volatility(self, name: str) -> float:
        """Volatility per sqrt(year) as seen up to the last full minute."""
        smoothed = self._volatility.get(name)
        if smoothed is None:  # made when first asked for: long runs of many prices, of which nobody asks, are spared it
            minutes = np.arange(0, self._times[-1] + MINUTE, MINUTE)
            closes = np.array(self._paths[name])[np.searchsorted(self._times, minutes, side="right") - 1]
            smoothed = self._volatility[name] = _smoothed_volatility(closes)
        return smoothed[self._clock.now // MINUTE]

    def agitation(self, reference: float) -> float:
        """How far the most volatile price exceeds the reference volatility, relative; 0 in calm times."""
        if not self.parts or not reference:
            return 0.0
        return max(0.0, max(self.volatility(name) for name in self.parts) / reference - 1.0)


def _smoothed_volatility(closes: npt.NDArray[np.float64]) -> list[float]:
    """Exponentially weighted root mean square of one-minute returns, per sqrt(year); entry i uses closes up to minute i."""
    decay = exp(-log(2.0) / HALF_LIFE_MINUTES)
    minutes_a_year = SECONDS_A_YEAR / 60.0
    squares = np.diff(np.log(closes)) ** 2
    weight = total = 0.0
    smoothed = [0.0]
    for square in squares.tolist():
        total = decay * total + square
        weight = decay * weight + 1.0
        smoothed.append(sqrt(total / weight * minutes_a_year))
    return smoothed
