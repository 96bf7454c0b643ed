"""How long an unhurried transaction waits for its block: E[B^2] / (2 E[B]) for blocks B apart, the inspection paradox."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, run

from l2sim.agents.sequencer import Sequencer
from l2sim.events import TransactionIncluded
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.units import SECOND
from l2sim.world.inbox import Inbox


class Blocks(NamedTuple):
    """A block schedule: what a file is set to, the mean wait and what a mistake would make of it."""

    file: str
    settings: tuple[str, ...]
    expected: float
    mistakes: Mapping[str, float]


def fixed(interval: float) -> Blocks:
    settings = (f"chains.arb.sequencer.block_time={interval!r} s",)
    mistakes = {"in the block after": 1.5 * interval, "as for Poisson blocks": interval}
    return Blocks("waits_on_a_rollup", settings, interval / 2.0, mistakes)


def poisson(interval: float) -> Blocks:
    settings = (f"chains.arb.sequencer={{block_time: {interval!r} s, blocks: poisson}}",)
    mistakes = {"half a mean interval": interval / 2.0, "in the block after": 2.0 * interval}
    return Blocks("waits_on_a_rollup", settings, interval, mistakes)


def slots(length: float, missed: float) -> Blocks:
    """Blocks are a geometric number of slots apart: E[G^2] / E[G] = (1 + missed) / (1 - missed)."""
    settings = (f"chains.l1.slot={length!r} s", f"chains.l1.missed={missed!r}")
    expected = length / 2.0 * (1.0 + missed) / (1.0 - missed)
    mistakes = {"missed slots forgotten": length / 2.0, "half a mean interval": length / 2.0 / (1.0 - missed)}
    return Blocks("waits_on_l1", settings, expected, mistakes)


LISTED = {
    "fixed 2 s": fixed(2.0),
    "Poisson 2 s": poisson(2.0),
    "12 s slots, 5 % missed": slots(12.0, 0.05),
}
OTHERS = {
    "fixed 250 ms": fixed(0.25),
    "Poisson 12 s": poisson(12.0),
    "12 s slots, 20 % missed": slots(12.0, 0.2),
}


def waits(blocks: Blocks, n: int, *settings: str) -> npt.NDArray[np.float64]:
    """The waits (s) of about ``n`` transactions in order of submission; the metric must say the same of them."""
    path = SCENARIOS / f"{blocks.file}.yaml"
    rate = Scenario.load(path).agents["traders"].rate  # type: ignore[attr-defined]
    scenario = Scenario.load(path, (*blocks.settings, f"duration={n / rate:.0f} s", *settings))
    log: Log = run(scenario, SEED)
    included, submitted = log.select(TransactionIncluded, "time", "submitted")
    delays = (included - submitted) / SECOND
    measured = scenario.metrics["delay"].measure(log)
    assert float(measured["mean"].iloc[0]) == pytest.approx(delays.mean(), rel=1e-12)
    assert float(measured["included"].iloc[0]) == len(delays)
    return delays[np.argsort(submitted, kind="stable")]


def check(name: str, blocks: Blocks, n: int) -> str:
    return agree(f"5.2 mean wait, {name} (s)", Estimate.of_run(waits(blocks, n)), blocks.expected, blocks.mistakes)


@pytest.mark.parametrize(("name", "n"), [("fixed 2 s", 10_000), ("Poisson 2 s", 20_000), ("12 s slots, 5 % missed", 60_000)])
def test_mean_waits(name: str, n: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check(name, LISTED[name], n))


@pytest.mark.validate
@pytest.mark.parametrize("name", [*LISTED, *OTHERS])
def test_mean_waits_in_full(name: str, record_property: Callable[..., None]) -> None:
    """So many transactions that rollups' blocks are made by compiled code."""
    record_property("validation", check(name, (LISTED | OTHERS)[name], 300_000))


def test_the_wait_for_fixed_blocks_is_uniform() -> None:
    delays = waits(LISTED["fixed 2 s"], 7_200)
    assert 0.0 < delays.min() < 0.01
    assert 1.99 < delays.max() <= 2.0
    agree("5.2 mean squared wait, fixed 2 s", Estimate.of_run(delays**2), 4.0 / 3.0, {"always the mean": 1.0, "exponential": 2.0})


def test_the_wait_for_poisson_blocks_is_exponential() -> None:
    delays = waits(LISTED["Poisson 2 s"], 40_000)
    for seconds in (0.5, 2.0, 4.0):
        beyond = Estimate.of_run((delays > seconds).astype(np.float64))
        agree(f"5.2 P(wait > {seconds} s), Poisson 2 s", beyond, float(np.exp(-seconds / 2.0)), {"uniform": max(0.0, 1.0 - seconds / 2.0)})


# ---- listed mistakes, injected


def test_a_block_that_takes_only_what_came_before_its_build_began_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a block of two seconds' build leaves out what arrives meanwhile, which adds a block to every wait."""
    arrivals = Inbox.arrivals
    monkeypatch.setattr(Inbox, "arrivals", lambda inbox, now: arrivals(inbox, now - 2 * SECOND))
    with pytest.raises(DisagreementError):
        check("fixed 2 s", LISTED["fixed 2 s"], 7_200)
    assert waits(LISTED["fixed 2 s"], 7_200).mean() == pytest.approx(3.0, rel=0.02)


def test_fixed_blocks_under_the_name_of_poisson_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: half the mean interval, 1 s instead of 2 s."""

    def instants(sequencer: Sequencer, rng: np.random.Generator, duration: int) -> list[int]:
        return list(range(sequencer.block_time, duration + 1, sequencer.block_time))

    monkeypatch.setattr(Sequencer, "instants", instants)
    with pytest.raises(DisagreementError):
        check("Poisson 2 s", LISTED["Poisson 2 s"], 7_200)
    check("fixed 2 s", LISTED["fixed 2 s"], 7_200)


def test_a_chain_without_missed_slots_is_caught() -> None:
    """The mistake: 6 s instead of 6.63 s."""
    blocks = LISTED["12 s slots, 5 % missed"]
    with pytest.raises(DisagreementError):
        check("no slot missed", blocks._replace(settings=("chains.l1.missed=0",)), 60_000)
