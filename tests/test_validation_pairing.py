"""Common random numbers: paired differences of an attack have at most a fifth of the variance of unpaired ones, where luck is shared.

With and without the outage the price, the positions and the arrivals are the same. What they decide in both worlds, such as traders'
losses, is told apart with far fewer runs. A figure that is always the same without the attack, such as bad debt that is nothing, has no
luck to share: there a difference varies as the attacked world does, and pairing neither helps nor harms.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from l2sim import Scenario, simulate

OUTAGE = Path(__file__).resolve().parent.parent / "scenarios" / "sequencer_outage.yaml"
SHORT = {
    "duration": "50min",
    "prices.eth.shocks.crash": {"at": "5min", "size": "-14 %", "over": "20min"},
    "attacks.outage": {"begins": "10min", "lasts": "20min"},
    "agents.leveraged.size": 2000,
    "agents.leveraged.rate": "20 /h",
    "agents.traders.rate": "0.2 /s",
    "metrics.finality.cool_down": 0,
    "metrics.finality_in_outage": {"warm_up": "10min", "cool_down": "20min"},
}
"""An hour with a tenth of the positions."""

FIFTH = 0.2
LOSSES = ("profit.groups.leveraged.profit", "profit.groups.pool.profit")
"""What the outage takes from leveraged traders, and from the providers of the pool."""
SMALL_LOSSES = ("profit.groups.traders.profit",)
"""What it takes from traders with the pool: their arrivals are the luck of it, so that it takes hours of them."""
NONE_WITHOUT = ("debt.bad_debt", "debt.covered", "delay.arb.dropped")
"""What there is nothing of without the outage."""

Pairs = Mapping[str, tuple[list[float], list[float]]]


@cache
def figures(replications: int, short: bool) -> Pairs:
    """By figure its values with the outage and without, by replication."""
    scenario = Scenario.load(OUTAGE).vary(SHORT if short else {})
    hit, calm = (simulate(one, replications=replications).summary for one in (scenario, scenario.without_attacks()))
    return {str(name): (hit[name].tolist(), calm[name].tolist()) for name in hit if name in calm}


def variance_ratio(hit: list[float], calm: list[float]) -> float:
    """Variance of the mean paired difference over that of the difference between the means of as many independent runs."""
    return float(np.var(np.subtract(hit, calm)) / (np.var(hit) + np.var(calm)))


def check(found: Pairs, losses: tuple[str, ...], record_property: Callable[..., None]) -> None:
    for name in losses:
        ratio = variance_ratio(*found[name])
        record_property(
            "validation", f"{f'variance paired over unpaired, {name}':58} {'<= 0.2':>12} {ratio:12.6g} {len(found[name][0]):26}"
        )
        assert ratio <= FIFTH, name
    for name in NONE_WITHOUT:
        hit, calm = found[name]
        assert not any(calm), name
        assert variance_ratio(hit, calm) == pytest.approx(1.0), name


def test_paired_differences_of_losses_take_a_fifth_of_the_runs(record_property: Callable[..., None]) -> None:
    check(figures(5, True), LOSSES, record_property)


def test_pairs_that_are_mixed_up_are_caught() -> None:
    """With the luck of another replication on the other side the same figures are as far apart as unpaired ones."""
    for name in LOSSES:
        hit, calm = figures(5, True)[name]
        assert variance_ratio(hit, calm[1:] + calm[:1]) > 2.0 * FIFTH, name


@pytest.mark.validate
def test_paired_differences_of_losses_take_a_fifth_of_the_runs_in_full(record_property: Callable[..., None]) -> None:
    check(figures(30, False), LOSSES + SMALL_LOSSES, record_property)
