"""What the day of ``day.yaml`` draws, from the streams that l2sim draws it from, for those who live it without l2sim's world."""

from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from l2sim.agents.crowd_of_borrowers.loans import drawn as drawn_loans
from l2sim.agents.crowd_of_traders import Candidates
from l2sim.scenario import Scenario
from l2sim.streams import Streams

SEED = 1
CHUNK = 4096
"""Slots whose fate is drawn together."""


class Me:
    """What an agent needs of its seat to draw."""

    def __init__(self, scenario: Scenario, name: str) -> None:
        self.ends = scenario.duration
        self._streams, self._name = Streams(SEED), name

    def rng(self, purpose: str, index: int = 0) -> Any:
        return self._streams.generator(f"agents/{self._name}/0/{purpose}", index)


class Path(NamedTuple):
    """The price outside."""

    times: Any
    """Instants of all blocks and slots, the start and the end (ns)."""
    prices: Any
    """From each of them on (USD)."""

    def at(self, times: Any) -> Any:
        """The prices at some times."""
        return self.prices[np.searchsorted(self.times, times, side="right") - 1]


def instants(scenario: Scenario) -> Any:
    """The times of the rollup's blocks (ns)."""
    step = scenario.chains["op"].sequencer.block_time
    return np.arange(step, scenario.duration + 1, step)


def path(scenario: Scenario) -> Path:
    slot, end = scenario.chains["l1"].slot, scenario.duration
    times = np.unique(np.concatenate([[0, end], instants(scenario), np.arange(slot, end + 1, slot)]))
    return Path(times, scenario.prices["eth"].drawn(Streams(SEED).generator("prices/eth"), times))


def trades(scenario: Scenario) -> Iterator[Candidates]:
    """The trades of one hour after the other."""
    yield from scenario.agents["traders"]._chunks(Me(scenario, "traders"))


class Slots(NamedTuple):
    """L1's luck, slot by slot from 0."""

    gas: Any
    blobs: Any
    missed: Any
    """Whether there is no block."""
    began: int
    """Unix time of slot 0 (s)."""


def slots(scenario: Scenario) -> Slots:
    l1, streams = scenario.chains["l1"], Streams(SEED)
    n = scenario.duration // l1.slot + 2
    gas = l1.gas_demand.draw(streams.generator("chains/l1/gas_demand"), n)
    blobs = l1.blob_demand.draw(streams.generator("chains/l1/blob_demand"), n)
    chunks = [streams.generator("chains/l1/missed", chunk).random(CHUNK) for chunk in range(-(-n // CHUNK))]
    missed = np.concatenate(chunks)[:n] < l1.missed
    return Slots(gas, blobs, missed, int(datetime.fromisoformat(l1.begins).timestamp()))


def delay(scenario: Scenario) -> int:
    """What a message takes within a region (ns): all agents sit in the sequencer's, and L1's proposers too."""
    assert scenario.network.within.kind == "constant"
    return int(scenario.network.within.delay)


def tie(name: str) -> int:
    """The key of the ties of what a reflex wants."""
    return Streams(SEED).key(f"seats/{name}") ^ 0xFA1


def loans(scenario: Scenario, price: float) -> tuple[Any, Any]:
    """Ether that each borrower has supplied, and US dollars that it owes."""
    terms = scenario.markets["loans"]
    view = SimpleNamespace(terms=terms, assets=tuple(terms.reserves), price=lambda name: price if name == "eth" else 1.0)
    me: Any = Me(scenario, "borrowers")
    me.view = lambda market: view
    found = drawn_loans(scenario.agents["borrowers"], me)
    return found.collateral["eth"], found.debt["usd"]
