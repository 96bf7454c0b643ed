"""Sensitivity: shapes, gaps and edges; the values of known functions are held against theory in test_validation_statistics."""

import sys

import numpy as np
import pytest
from scipy.stats import qmc, sobol_indices

from l2sim.statistics.intervals import Floats
from l2sim.statistics.sensitivity import morris, sobol

NAN = np.nan


def product(x: Floats) -> Floats:
    """Two factors that work together, a weak one, and one that does nothing."""
    return (1.0 + x[..., 0]) * (1.0 + 2.0 * x[..., 1]) + 0.3 * x[..., 2]


def rows(n: int, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """The figure at the rows of Saltelli's design of four factors."""
    points = qmc.Sobol(8, rng=np.random.default_rng(seed)).random(n)
    a, b = points[:, :4], points[:, 4:]
    return product(a), product(b), product(np.stack([np.where(np.arange(4) == i, b, a) for i in range(4)]))


def test_indices_are_those_of_scipy_with_an_interval_around_them() -> None:
    a, b, ab = rows(128)
    found = sobol(a, b, ab, resamples=199)
    known = sobol_indices(func={"f_A": a[None], "f_B": b[None], "f_AB": ab[:, None]}, n=128)
    assert [index.mean for index in found.first] == pytest.approx(known.first_order)
    assert [index.mean for index in found.total] == pytest.approx(known.total_order)
    for index in (*found.first, *found.total):
        assert index.n == 128
        assert index.low <= index.mean <= index.high
    assert found.total[3][:3] == (0.0, 0.0, 0.0)
    assert found.total[0].low > 0.1
    assert sobol(a, b, list(ab), resamples=199) == found


def test_intervals_hold_the_truth_at_least_as_often_as_they_say() -> None:
    large = sobol(*rows(1 << 14, 99), resamples=9)
    hits = []
    for seed in range(60):
        found = sobol(*rows(64, seed), resamples=199)
        hits.append([[i.low <= truth.mean <= i.high for i, truth in zip(*pair, strict=True)] for pair in zip(found, large, strict=True)])
    assert np.mean(hits, axis=0)[:, :3].min() >= 0.95 - 4 * np.sqrt(0.0475 / 60)


def test_intervals_narrow_with_the_root_of_the_rows() -> None:
    few, many = (sobol(*rows(n), resamples=299).total[0] for n in (64, 1024))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4.0, rel=0.35)


def test_incomplete_rows_are_left_out() -> None:
    a, b, ab = rows(64)
    whole = sobol(a[:32], b[:32], ab[:, :32], resamples=99)
    a = np.append(a, NAN)[np.r_[64, 0:64]]
    b = np.append(b, 0.0)[np.r_[64, 0:64]]
    ab = np.append(ab, np.zeros((4, 1)), axis=1)[:, np.r_[64, 0:64]]
    ab[2, 50] = NAN
    assert sobol(a, b, ab, resamples=99) == whole


def test_one_factor_explains_everything() -> None:
    a, b = np.random.default_rng(1).random((2, 256))
    found = sobol(a, b, b[None], resamples=99)
    assert (len(found.first), len(found.total)) == (1, 1)
    assert found.first[0].mean == pytest.approx(1.0, abs=0.15)
    assert found.total[0].mean == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("n", [0, 1, 8])
def test_nothing_is_said_of_a_figure_that_is_the_same_everywhere(n: int) -> None:
    found = sobol(np.full(n, 7.0), np.full(n, 7.0), np.full((3, n), 7.0))
    assert np.isnan([index[:3] for index in (*found.first, *found.total)]).all()
    assert found.first[0].n == n


def test_shapes_must_fit() -> None:
    for a, b, ab in [((4,), (4,), (3, 5)), ((4,), (5,), (3, 4)), ((4,), (4,), (4,)), ((4, 1), (4, 1), (3, 4))]:
        with pytest.raises(ValueError, match="needs shapes"):
            sobol(np.zeros(a), np.zeros(b), np.zeros(ab))


# ---- elementary effects

STEP = 2.0 / 3.0


def trajectory(start: Floats, order: tuple[int, ...]) -> Floats:
    points = [start]
    for factor in order:
        points.append(points[-1].copy())
        points[-1][factor] += STEP if points[-1][factor] < 0.5 else -STEP
    return np.array(points)


def test_elementary_effects_by_hand() -> None:
    """Of y = x0 x1: the effect of one is the value of the other; with starts at 0, 1/3 and 1, worked out on paper."""
    x = np.concatenate(
        [trajectory(np.array([0.0, 1 / 3]), (0, 1)), trajectory(np.array([1.0, 1.0]), (1, 0)), trajectory(np.zeros(2), (1, 0))]
    )
    found = morris(x, x[:, 0] * x[:, 1])
    effects = np.array([[1 / 3, 1 / 3, 2 / 3], [2 / 3, 1.0, 0.0]])
    for i, known in enumerate(effects):
        assert found.mu[i].mean == pytest.approx(known.mean())
        assert found.mu_star[i].mean == pytest.approx(np.abs(known).mean())
        assert found.sigma[i] == pytest.approx(known.std(ddof=1))
        half = 4.302653 * known.std(ddof=1) / np.sqrt(3)  # t(2, 0.975), any table
        assert found.mu[i].high - found.mu[i].mean == pytest.approx(half, rel=1e-6)
        assert found.mu[i].n == 3


def test_signs_cancel_in_the_mean_but_not_in_the_sizes() -> None:
    """Of y = (x - 1/2)²: effects -1/3 from 0, 1/3 from 1/3."""
    x = np.concatenate([trajectory(np.array([start]), (0,)) for start in (0.0, 1 / 3, 0.0, 1 / 3)])
    found = morris(x, (x[:, 0] - 0.5) ** 2)
    assert found.mu[0].mean == pytest.approx(0.0, abs=1e-12)
    assert found.mu_star[0][:3] == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-7)
    assert found.mu[0].low < -0.3


def test_trajectories_with_a_gap_are_left_out() -> None:
    x = np.concatenate([trajectory(np.full(2, start), (0, 1)) for start in (0.0, 1.0, 1 / 3)])
    y = x[:, 0] + x[:, 1] ** 2
    whole = morris(x[3:], y[3:])
    y[1] = NAN
    assert morris(x, y) == whole
    alone = morris(x[6:], y[6:])
    assert alone.mu[0].mean == pytest.approx(1.0)
    assert alone.mu[0].n == 1
    assert np.isnan([*alone.mu[0][1:3], *alone.mu_star[0][1:3], *alone.sigma]).all()
    assert np.isnan(morris(x, np.full(9, NAN)).mu_star[0].mean)
    with pytest.raises(ValueError, match="2 factors need trajectories of 3 points; there are 8 points"):
        morris(x[:8], y[:8])


def test_without_salib_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib.analyze", None)
    x = trajectory(np.zeros(2), (0, 1))
    with pytest.raises(ModuleNotFoundError, match=r"l2sim\[search\]"):
        morris(x, x[:, 0])
