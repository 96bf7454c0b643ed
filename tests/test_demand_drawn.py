"""Demands whose luck is drawn slot by slot: a Poisson count, and one of some given fractions."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2sim.demand.discrete import Discrete
from l2sim.demand.poisson import Poisson
from l2sim.units import GWEI

TARGET, LIMIT = 30_000_000, 60_000_000


@pytest.mark.parametrize(("fee", "mean"), [(GWEI, 20.0), (2 * GWEI, 10.0), (4 * GWEI, 5.0)])
def test_poisson_counts_have_their_mean_and_variance(fee: int, mean: float) -> None:
    demand, n = Poisson(count=20), 40_000
    counts = np.array([demand.amount(u, fee, TARGET, LIMIT) for u in demand.draw(np.random.default_rng(1), n).tolist()]) * 20 / TARGET
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / n) + 1e-3  # the cap of 40 cuts off next to nothing
    assert counts.var() == pytest.approx(mean, rel=0.05)
    assert np.allclose(counts, np.rint(counts))


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**15), st.integers(1, 10**6), st.floats(0, 300))
@example(luck=math.nextafter(1.0, 0.0), fee=3, more=2, elasticity=0.0078125)  # sums that reach 1 after rounding, and some that do not
def test_a_higher_fee_never_lets_more_through(luck: float, fee: int, more: int, elasticity: float) -> None:
    demand = Poisson(elasticity=elasticity)
    assert 0 <= demand.amount(luck, fee + more, TARGET, LIMIT) <= demand.amount(luck, fee, TARGET, LIMIT) <= LIMIT


def test_discrete_fractions_come_by_their_weights() -> None:
    demand, n = Discrete(fractions=(0, 0.5, 1), weights=(1, 2, 5)), 40_000
    luck = demand.draw(np.random.default_rng(1), n)
    for fraction, share in ((0.0, 1 / 8), (0.5, 2 / 8), (1.0, 5 / 8)):
        assert abs((luck == fraction).mean() - share) < 4 * math.sqrt(share * (1 - share) / n)
    assert [demand.amount(x, 10**20, TARGET, LIMIT) for x in (0.0, 0.5, 1.0)] == [0, TARGET, LIMIT]
    assert abs((Discrete(fractions=(0, 1)).draw(np.random.default_rng(2), n)).mean() - 0.5) < 4 * 0.5 / math.sqrt(n)


def test_weights_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValidationError, match="there are 2 fractions but 3 weights: give one for each"):
        Discrete(fractions=(0, 1), weights=(1, 2, 3))
