import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from l2sim.demand.bursty import Bursty, poisson_quantile
from l2sim.demand.elastic import Elastic
from l2sim.demand.given import Given
from l2sim.fees.eip1559 import next_base_fee
from l2sim.units import GWEI

TARGET, LIMIT = 30_000_000, 60_000_000


def test_given_fractions_repeat_whatever_the_fee():
    demand = Given(fractions=(1, 0, "25 %"))
    luck = demand.draw(np.random.default_rng(0), 7)
    assert luck.tolist() == [1, 0, 0.25, 1, 0, 0.25, 1]
    assert [demand.amount(x, fee, TARGET, LIMIT) for x, fee in zip(luck, (0, 1, 10**18), strict=False)] == [LIMIT, 0, LIMIT // 4]


def test_given_demand_drives_the_base_fee_exactly():
    # One hundred blocks, full and empty by turns, from 1 gwei.
    demand, fee = Given(fractions=(1, 0)), GWEI
    for luck in demand.draw(np.random.default_rng(0), 100):
        fee = next_base_fee(fee, LIMIT, demand.amount(luck, fee, TARGET, LIMIT))
    assert fee == 455_018_209


def test_elastic_demand_has_its_mean_at_the_reference_and_its_elasticity_elsewhere():
    demand = Elastic(mean=0.8, reference="2 gwei", elasticity=1.5, noise=0)
    assert demand.draw(np.random.default_rng(0), 3).tolist() == [1, 1, 1]
    assert demand.amount(1.0, 2 * GWEI, TARGET, LIMIT) == 24_000_000
    assert demand.amount(1.0, 8 * GWEI, TARGET, LIMIT) == 24_000_000 // 8
    assert demand.amount(2.0, 8 * GWEI, TARGET, LIMIT) == 24_000_000 // 4
    assert demand.amount(1.0, GWEI, TARGET, LIMIT) == LIMIT
    assert Elastic(elasticity=0).amount(1.0, 0, TARGET, LIMIT) == TARGET


@given(st.floats(1e-6, 1e6), st.integers(0, 10**30), st.floats(0, 400))
def test_elastic_demand_stays_within_the_limit(luck, fee, elasticity):
    assert 0 <= Elastic(elasticity=elasticity).amount(luck, fee, TARGET, LIMIT) <= LIMIT


@pytest.mark.parametrize("autocorrelation", [0.0, 0.9])
def test_luck_has_mean_one_and_is_autocorrelated(autocorrelation):
    noise, n, replications = 0.3, 1000, 100
    demand = Elastic(noise=noise, autocorrelation=autocorrelation)
    luck = np.array([demand.draw(np.random.default_rng(i), n) for i in range(replications)])
    means = luck.mean(axis=1)
    assert abs(means.mean() - 1) < 4 * means.std(ddof=1) / math.sqrt(replications)
    level = (np.log(luck) + noise**2 / 2) / noise
    assert stats.kstest(level[:, 0], "norm").pvalue > 1e-4
    assert stats.kstest(level[:, -1], "norm").pvalue > 1e-4
    found = (level[:, 1:] * level[:, :-1]).mean(axis=1)
    assert abs(found.mean() - autocorrelation) < 4 * found.std(ddof=1) / math.sqrt(replications)


def test_bursty_demand_is_poisson_in_a_calm_and_in_a_burst():
    demand = Bursty(calm=0.5, burst=2.0, elasticity=0)
    u = (np.arange(20_000) + 0.5) / 20_000
    for state, mean in ((0, 3.0), (1, 12.0)):
        counts = np.array([demand.amount(state + x, GWEI, 6, 1000) for x in u.tolist()])
        assert counts.mean() == pytest.approx(mean, rel=1e-3)
        assert counts.var() == pytest.approx(mean, rel=1e-2)


def test_bursty_demand_switches_with_the_given_lengths():
    demand = Bursty(calm_slots=40, burst_slots=10)
    bursting = np.array([np.floor(demand.draw(np.random.default_rng(i), 1000)) for i in range(100)])
    assert set(np.unique(bursting)) == {0.0, 1.0}
    shares = bursting.mean(axis=1)
    assert abs(shares.mean() - 0.2) < 4 * shares.std(ddof=1) / 10
    assert abs(bursting[:, 0].mean() - 0.2) < 4 * 0.4 / 10
    ends = (bursting[:, :-1] == 1) & (bursting[:, 1:] == 0)
    slots = (bursting[:, :-1] == 1).sum()
    assert abs(ends.sum() / slots - 0.1) < 4 * math.sqrt(0.09 / slots)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 1), st.integers(0, 10**20), st.integers(0, 10**20), st.floats(0, 50))
def test_a_higher_fee_never_lets_more_blobs_through(u, state, fee, other, elasticity):
    demand = Bursty(elasticity=elasticity)
    luck = min(state + u, math.nextafter(state + 1, 0))
    most, least = (demand.amount(luck, x, 14, 21) for x in sorted((fee, other)))
    assert 0 <= least <= most <= 21


@given(st.floats(0, 1 - 1e-12), st.floats(0, 60))
def test_poisson_quantile(u, mean):
    found = poisson_quantile(u, mean, 10**6)
    assert stats.poisson.cdf(found, mean) > u - 1e-12
    assert found == 0 or stats.poisson.cdf(found - 1, mean) <= u + 1e-12
