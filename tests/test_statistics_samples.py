"""Differences, proportions, quantiles, the bootstrap, batches and many comparisons: by hand, at their edges, and what they cover."""

import numpy as np
import pytest
from scipy import stats

from l2sim.statistics.batches import batch_means
from l2sim.statistics.bootstrap import bootstrap
from l2sim.statistics.difference import paired, variance_reduction, welch
from l2sim.statistics.intervals import Floats, Interval
from l2sim.statistics.multiplicity import holm, multiplicity
from l2sim.statistics.proportion import wilson
from l2sim.statistics.quantiles import expected_shortfall, quantile

NAN = np.nan


def array(*values: float) -> Floats:
    return np.array(values, np.float64)


def rng(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(number))


def has_no_ends(found: Interval) -> bool:
    return bool(np.isnan([found.low, found.high]).all())


# ---- differences


def test_paired_differences_are_those_of_a_paired_t_test() -> None:
    a, b = rng(1).standard_normal((2, 12))
    a += 1.0
    known = stats.ttest_rel(a, b).confidence_interval(0.9)
    found = paired(a, b, 0.9)
    assert found == pytest.approx((a.mean() - b.mean(), known.low, known.high, 12), rel=1e-12)


def test_half_a_pair_is_left_out_and_counted_out() -> None:
    a, b = array(1, 2, NAN, 4, 6), array(0, NAN, 1, 1, 2)
    assert paired(a, b).n == 3
    assert paired(a, b).mean == pytest.approx((1 + 3 + 4) / 3)
    assert variance_reduction(a, b) == variance_reduction(array(1, 4, 6), array(0, 1, 2))
    assert has_no_ends(paired(array(1, NAN), array(0, 2)))
    assert paired(array(NAN), array(1)).n == 0


@pytest.mark.parametrize("rule", [paired, variance_reduction])
def test_pairs_need_partners(rule) -> None:
    with pytest.raises(ValueError, match="not 3 and 1 observations"):
        rule(array(1, 2, 3), array(1))


def test_welch_is_the_test_of_welch() -> None:
    a, b = 3.0 * rng(2).standard_normal(7) + 5.0, rng(3).standard_normal(20)
    known = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = welch(np.append(a, NAN), b)
    assert found == pytest.approx((a.mean() - b.mean(), known.low, known.high, 27), rel=1e-12)


def test_welch_at_its_edges() -> None:
    assert has_no_ends(welch(array(1), array(1, 2)))
    assert welch(array(4), array(1, 2)).mean == 2.5
    assert np.isnan(welch(array(NAN), array(1, 2)).mean)
    assert welch(array(5, 5), array(3, 3, 3)) == Interval(2.0, 2.0, 2.0, 5)
    one_varies = welch(array(5, 5), array(1, 2, 3))
    assert one_varies[1:3] == pytest.approx(stats.t(2, 3.0, np.sqrt(1 / 3)).interval(0.95))


def test_what_pairing_gains() -> None:
    a = rng(4).standard_exponential(50)
    assert variance_reduction(1.25 * a, a) == pytest.approx((1.25**2 + 1) / 0.25**2)
    assert variance_reduction(-a, a) == pytest.approx(0.5)
    assert variance_reduction(array(1, 2, 3) + 7.0, array(1, 2, 3)) == np.inf
    assert np.isnan(variance_reduction(array(1, 1), array(2, 2)))
    assert np.isnan(variance_reduction(array(1, NAN), array(2, 2)))


# ---- proportions


@pytest.mark.parametrize(("k", "n", "confidence"), [(0, 8, 0.95), (8, 8, 0.95), (3, 100, 0.9), (1, 1, 0.99), (499, 1000, 0.95)])
def test_wilsons_interval_is_the_known_one(k: int, n: int, confidence: float) -> None:
    known = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    found = wilson(k, n, confidence)
    assert found == pytest.approx((k / n, known.low, known.high, n), abs=1e-12)
    assert 0.0 <= found.low < found.high <= 1.0


def test_nothing_tried_and_impossible_shares() -> None:
    assert has_no_ends(wilson(0, 0))
    for k, n in [(-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match=f"{k} of {n} is not a share"):
            wilson(k, n)


# ---- quantiles and what lies beyond


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [8, 100, 1000])
def test_the_interval_of_a_quantile_covers_what_it_says_whatever_the_law(n: int, q: float) -> None:
    """Of 1, 2, …, n the ends are the ranks themselves; the number below the true quantile is binomial. One rank further in is too few."""
    found = quantile(np.arange(1.0, n + 1), q)
    low, high = (0 if np.isnan(found.low) else found.low), (n + 1 if np.isnan(found.high) else found.high)
    below = stats.binom(n, q)
    assert below.cdf(high - 1) - below.cdf(low - 1) >= 0.95
    assert below.cdf(low - 1) <= 0.025
    assert below.sf(high - 1) <= 0.025
    assert np.isnan(found.low) == (below.cdf(0) > 0.025)
    assert below.cdf(low) > 0.025
    assert below.sf(high - 2) > 0.025


def test_a_quantile_by_hand() -> None:
    values = np.append(rng(5).permutation(np.arange(101.0)), NAN)
    found = quantile(values, 0.9)
    assert (found.mean, found.n) == (90.0, 101)
    assert np.isnan(quantile(np.arange(71.0), 0.95).high)
    assert quantile(np.arange(72.0), 0.95).high == 71.0
    assert has_no_ends(quantile(array(3), 0.5))
    assert quantile(array(3), 0.5).mean == 3.0
    assert quantile(array(NAN), 0.5).n == 0


def test_expected_shortfall_by_hand() -> None:
    """The mean of the largest five of a hundred; of 20 at 0.88, the largest two and 0.4 of the third, over 2.4."""
    values = rng(6).permutation(np.arange(1.0, 101.0))
    assert expected_shortfall(values, 0.95).mean == pytest.approx(98.0)
    assert expected_shortfall(np.arange(1.0, 21.0), 0.88).mean == pytest.approx((20 + 19 + 0.4 * 18) / 2.4)
    assert expected_shortfall(np.append(values, NAN), 0.95) == expected_shortfall(values, 0.95)


def test_expected_shortfall_of_few_and_of_ties() -> None:
    few = expected_shortfall(np.arange(10.0), 0.95)
    assert few.mean == pytest.approx(9.0)
    assert has_no_ends(few)
    assert expected_shortfall(array(NAN), 0.95).n == 0
    # 8 of 10 losses are zero, so the quantile at 0.5 is zero as well, and most of what lies beyond it.
    assert expected_shortfall(array(0, 0, 0, 0, 0, 0, 0, 0, 5, 10), 0.5).mean == pytest.approx(3.0)


@pytest.mark.parametrize("rule", [quantile, expected_shortfall])
@pytest.mark.parametrize("q", [0.0, 1.0, 95.0])
def test_a_quantile_is_at_a_share(rule, q: float) -> None:
    with pytest.raises(ValueError, match=r"write 0\.95 for 95 %"):
        rule(array(1, 2), q)


# ---- the bootstrap


def test_a_bootstrap_interval_is_the_same_whenever_it_is_made() -> None:
    values = rng(7).standard_exponential(30)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = bootstrap(values)
    bootstrap(values[:9], np.median)
    assert bootstrap(np.append(values, NAN)) == first
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert first.low < first.mean < first.high
    assert first.n == 30


def test_a_bootstrap_interval_leans_where_the_law_does() -> None:
    """On exponential data the upper side is the longer one; on many normal observations it is ± 1.96 standard errors."""
    values = rng(8).standard_exponential(40)
    found = bootstrap(values)
    assert found.high - found.mean > 1.1 * (found.mean - found.low)
    many = bootstrap(rng(9).standard_normal(2000), resamples=999)
    assert many.high - many.low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.1)


def test_the_bootstrap_at_its_edges() -> None:
    assert bootstrap(array(NAN)).n == 0
    assert bootstrap(array(3)) == pytest.approx(Interval(3.0, NAN, NAN, 1), nan_ok=True)
    assert bootstrap(array(3, 3, 3)) == Interval(3.0, 3.0, 3.0, 3)
    for statistic in (np.median, np.max, lambda values: float(values[0] > 2)):  # where the correction has nothing to go by
        found = bootstrap(array(1, 2, 3, 3, 3, 10), statistic, resamples=499)
        assert found.low <= found.mean <= found.high


# ---- batches


def test_batch_means_by_hand() -> None:
    """Of 43 observations the first three fill no batch; the means of four batches of ten are 1, 2, 3, 4."""
    series = np.concatenate([[100.0, 100.0, 100.0], np.repeat([1.0, 2.0, 3.0, 4.0], 10)])
    found = batch_means(series, 4)
    assert found.n == 4
    assert found[:3] == pytest.approx((2.5, 2.5 - 2.05427, 2.5 + 2.05427), abs=1e-4)
    assert batch_means(np.append(series, NAN), 4) == found


def test_a_run_that_is_too_short_has_no_interval() -> None:
    for series in (np.arange(99.0), array(NAN), array()):
        assert has_no_ends(batch_means(series))
    assert batch_means(np.arange(99.0)).mean == 49.0
    with pytest.raises(ValueError, match="at least two batches, not 1"):
        batch_means(np.arange(99.0), 1)


# ---- many comparisons


def test_twenty_intervals_miss_once() -> None:
    found = multiplicity(20)
    assert found.expected_misses == pytest.approx(1.0)
    assert found.any_miss == pytest.approx(1.0 - 0.95**20)
    assert found.bonferroni == pytest.approx(0.9975)
    assert found.sidak**20 == pytest.approx(0.95)
    assert found.sidak < found.bonferroni
    assert multiplicity(1)[2:] == pytest.approx((0.05, 0.05, 0.95, 0.95))
    assert multiplicity(0)[2:] == pytest.approx((0.0, 0.0, 0.95, 0.95))
    with pytest.raises(ValueError, match="-1 intervals"):
        multiplicity(-1)


def test_intervals_at_the_level_of_sidak_hold_together() -> None:
    """Of 1000 families of ten independent intervals, at 95 % four in ten families hold, at the adjusted level 95 % of them."""
    level = multiplicity(10).sidak
    z = np.abs(rng(10).standard_normal((1000, 10)))
    naive, adjusted = ((z <= stats.norm.ppf((1 + c) / 2)).all(axis=1).mean() for c in (0.95, level))
    assert naive == pytest.approx(1.0 - multiplicity(10).any_miss, abs=4 * np.sqrt(0.24 / 1000))
    assert adjusted == pytest.approx(0.95, abs=4 * np.sqrt(0.0475 / 1000))


def test_holm_by_hand() -> None:
    """0.01, 0.02, 0.03, 0.04 of four: 0.04, 0.06, 0.06, 0.06; a test that was not made counts for nothing."""
    assert holm(array(0.03, 0.01, NAN, 0.04, 0.02)) == pytest.approx(array(0.06, 0.04, NAN, 0.06, 0.06), nan_ok=True)
    assert holm(array(0.6, 0.7)) == pytest.approx(array(1.0, 1.0))
    assert len(holm(array())) == 0
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm(array(wrong))


def test_holm_finds_something_false_in_one_family_of_twenty_at_most() -> None:
    p = rng(11).random((2000, 8))
    found = np.array([(holm(family) < 0.05).any() for family in p])
    assert found.mean() <= 0.05 + 4 * np.sqrt(0.0475 / 2000)
    assert found.mean() >= 0.035
    assert (p < 0.05).any(axis=1).mean() > 0.3
