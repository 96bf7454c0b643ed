"""A crowd that trades with a pool."""

from itertools import count
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import MarketName
from l2sim.streams import arrivals, mix
from l2sim.transactions import ANY_FEE, NEVER
from l2sim.units import ETH, HOUR, MINUTE, Duration, Fraction, Frequency, NotNegative, Positive, Quantity, Share, Usd, Volatility, Wei
from l2sim.world.seat import Seat

CHUNK = HOUR
"""Candidates are drawn for this long at a time."""


class Candidates(NamedTuple):
    """Trades that may come about, as columns in the order of time."""

    times: npt.NDArray[np.int64]
    """When (ns)."""
    keep: npt.NDArray[np.float64]
    """Uniform numbers that decide which come about."""
    who: npt.NDArray[np.int64]
    """Member of the crowd, from 0."""
    buys: npt.NDArray[np.bool_]
    """Whether it buys the base asset."""
    notional: npt.NDArray[np.float64]
    """US dollars."""
    tip: npt.NDArray[np.int64]
    """Wei per gas."""

    def at(self, rows: "npt.NDArray[np.int64] | slice") -> "Candidates":
        """Some of them."""
        return Candidates(*(column[rows] for column in self))


def keep(times: npt.NDArray[np.int64], u: npt.NDArray[np.float64], base: float, share: float, memory: int, heat: float) -> tuple[list[int], float]:
    """Thin candidates to a process that excites itself (Hawkes 1971, thinned after Ogata 1981).

    The intensity relative to the candidates' is ``base`` plus a heat that each accepted trade raises by ``share`` and that
    decays to 1/e in ``memory`` ns; ``heat`` is that at the first instant of ``times``. Returns the indices kept and the
    heat right after the last instant.
    """
    kept: list[int] = []
    last = int(times[0]) if len(times) else 0
    for i, (time, luck) in enumerate(zip(times.tolist(), u.tolist(), strict=True)):
        heat *= float(np.exp((last - time) / memory))
        last = time
        if luck < base + heat:
            kept.append(i)
            heat += share
    return kept, heat
