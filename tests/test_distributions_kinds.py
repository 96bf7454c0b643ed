from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from scipy import stats

from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.distributions.empirical import Empirical
from l2sim.distributions.exponential import Exponential
from l2sim.distributions.lognormal import Lognormal
from l2sim.distributions.uniform import Uniform
from l2sim.units import SECOND

CONTINUOUS = [
    (Uniform(low="2 s", high="5 s"), stats.uniform(2 * SECOND, 3 * SECOND)),
    (Exponential(mean="2 s"), stats.expon(scale=2 * SECOND)),
    (Lognormal(median=8, sigma=0.5), stats.lognorm(0.5, scale=8)),
]
STEPPED = Empirical(values=(10, 2, 5, 7), weights=(1, 3, 0, 4))
ALL = [Constant(value="3 USD"), STEPPED, Empirical(values=("2 s", "1 s", "6 s")), *[law for law, _ in CONTINUOUS]]


@pytest.mark.parametrize(("law", "known"), CONTINUOUS, ids=lambda law: getattr(law, "kind", ""))
def test_the_law_is_the_textbook_one(law, known):
    u = np.linspace(0.001, 0.999, 999)
    np.testing.assert_allclose(law.quantile(u), known.ppf(u), rtol=1e-12)
    assert law.expectation() == pytest.approx(known.mean(), rel=1e-12)
    assert stats.kstest(law.draw(np.random.default_rng(1), 20_000), known.cdf).pvalue > 1e-4


@pytest.mark.parametrize("law", ALL, ids=lambda law: law.kind)
def test_the_mean_of_draws_is_the_expectation(law):
    draws = law.draw(np.random.default_rng(2), 40_000)
    assert draws.dtype == np.float64
    assert abs(draws.mean() - law.expectation()) <= 4 * draws.std() / np.sqrt(len(draws))


@pytest.mark.parametrize("law", ALL, ids=lambda law: law.kind)
def test_quantiles_rise_and_draws_invert_them(law):
    u = np.sort(np.random.default_rng(3).random(500))
    assert (np.diff(law.quantile(u)) >= 0).all()
    drawn, inverted = law.draw(np.random.default_rng(4), 50), law.quantile(np.random.default_rng(4).random(50))
    assert drawn.tolist() == inverted.tolist()
    assert law.quantile(np.full((2, 3), 0.5)).shape == (2, 3)


class Silent:
    """A generator whose luck is as low as it can be."""

    def random(self, n):
        return np.zeros(n)


@pytest.mark.parametrize("law", ALL, ids=lambda law: law.kind)
def test_the_lowest_luck_is_finite_and_positive(law):
    found = law.draw(Silent(), 1)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_an_empirical_law_is_a_step_function():
    # Shares in the order of size: 2 up to 3/8, 7 up to 7/8, 10 up to 1; 5 weighs nothing.
    assert STEPPED.quantile(np.array([1e-9, 0.375, 0.3751, 0.875, 0.8751, 1 - 1e-16])).tolist() == [2, 2, 7, 7, 10, 10]
    assert STEPPED.expectation() == pytest.approx((10 + 3 * 2 + 4 * 7) / 8)
    assert Empirical(values=("2 s",)).quantile(np.array([0.3])).tolist() == [2e9]


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 10)), min_size=1, max_size=9), st.floats(1e-9, 1 - 1e-9))
def test_an_empirical_law_never_gives_what_weighs_nothing(points, u):
    values, weights = zip(*points, strict=True)
    if sum(weights) <= 0:
        return
    found = Empirical(values=values, weights=weights).quantile(np.array([u]))[0]
    assert found in {value for value, weight in points if weight > 0}


class Page(BaseModel):
    wait: Annotated[Distribution, In("duration")]


def test_a_bare_value_is_a_constant():
    page = Page.model_validate({"wait": "2 s"})
    assert page.wait == Constant(value="2 s")
    assert Page.model_validate(page.model_dump(mode="json")) == page
    assert Page.model_validate({"wait": 0}).wait.expectation() == 0


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ("3 USD", "'value' of this distribution must be given in units of duration, not of usd"),
        ({"kind": "uniform", "low": 0, "high": "3 USD"}, "'high' of this distribution must be given in units of duration"),
        ({"kind": "empirical", "values": ["1 s", "3 USD"]}, "the values must all be given in the same kind of unit"),
        ("-3 s", "this distribution must not give negative numbers"),
        ({"kind": "uniform", "low": "-1 s", "high": "3 s"}, "this distribution must not give negative numbers"),
        ({"kind": "empirical", "values": ["1 s"], "weights": [1, 2]}, "there are 1 values but 2 weights"),
        ({"kind": "empirical", "values": ["1 s"], "weights": [0]}, "the weights must not all be 0"),
        ({"kind": "empirical", "values": ["1 s"], "weights": [-1]}, "must be 0 or more, but is -1"),
        ({"kind": "empirical", "values": []}, "at least 1 item"),
        ({"kind": "uniform", "low": "2 s", "high": "1 s"}, "'low' must not be above 'high'"),
        ({"kind": "exponential", "mean": "0 s"}, "must be more than 0, but is 0 s"),
        ({"kind": "lognormal", "median": "-1 s"}, "must be more than 0, but is -1 s"),
        ({"kind": "lognormal", "median": "1 s", "sigma": -1}, "must be 0 or more, but is -1"),
        ({"kind": "lognormall", "median": "1 s"}, "did you mean 'lognormal'"),
    ],
)
def test_refuses(law, words):
    with pytest.raises(ValidationError, match=words):
        Page.model_validate({"wait": law})
