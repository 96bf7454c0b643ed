"""Intervals: what Student's t gives by hand, and that it covers what it says."""

import numpy as np
import pandas as pd
import pytest

from l2sim.statistics.intervals import interval, ratio, table


def test_an_interval_by_hand() -> None:
    """1, 2, 3, 4: mean 2.5, s = 1.2910, t(3, 0.975) = 3.18245 (any table), so ± 2.05427."""
    found = interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.n == 4
    assert (found.mean, found.low, found.high) == pytest.approx((2.5, 2.5 - 2.05427, 2.5 + 2.05427), abs=1e-4)


def test_what_was_not_observed_is_left_out_and_counted_out() -> None:
    found = interval(np.array([1.0, np.nan, 3.0]))
    assert (found.mean, found.n) == (2.0, 2)
    one = interval(np.array([np.nan, 3.0]))
    assert (one.mean, one.n) == (3.0, 1)
    assert np.isnan([one.low, one.high]).all()
    none = interval(np.array([np.nan]))
    assert none.n == 0
    assert np.isnan([none.mean, none.low, none.high]).all()


def coverage(samples: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", truth: float) -> float:
    found = [interval(sample) for sample in samples]
    return float(np.mean([each.low <= truth <= each.high for each in found]))


def test_coverage_on_normal_and_on_skewed_data() -> None:
    """95 % on normal data (z in place of t covers 91.8 %), 90.06 % on exponential data with n = 10; four standard errors."""
    rng = np.random.Generator(np.random.Philox(12))
    n = 10_000
    assert coverage(rng.standard_normal((n, 10)), 0.0) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / n))
    assert coverage(rng.standard_exponential((n, 10)), 1.0) == pytest.approx(0.9006, abs=0.012)


def test_a_ratio_is_a_geometric_mean_over_the_pairs_that_have_one() -> None:
    found = ratio(np.array([2.0, 8.0, 0.0, 5.0, np.nan]), np.array([1.0, 1.0, 1.0, 0.0, 1.0]))
    assert found.n == 2
    assert found.mean == pytest.approx(4.0)
    assert found.low * found.high == pytest.approx(16.0)
    assert found.low < 1.0 < found.high
    assert ratio(np.zeros(3), np.zeros(3)).n == 0


def test_a_table_has_a_row_for_each_figure() -> None:
    samples = pd.DataFrame({"wait.mean": [1.0, 3.0], "debt.total": [np.nan, np.nan]})
    answer = table(samples, {"wait.mean": "s"})
    assert list(answer.columns) == ["mean", "low", "high", "n", "unit"]
    assert answer.loc["wait.mean", "unit"] == "s"
    assert answer["n"].tolist() == [2, 0]
