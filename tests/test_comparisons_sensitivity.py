"""Sensitivity: each method on samples whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from test_comparisons_kinds import GRACE, RULES, debt, grid, luck, read, sampled, wait

from l2sim.comparisons import Bars, Sample
from l2sim.designs import Design
from l2sim.statistics.sensitivity import sobol


def ishigami(point: pd.Series, rng: np.random.Generator) -> float:
    x = np.pi * (2.0 * point.to_numpy() - 1.0)
    return float(np.sin(x[0]) + 7.0 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0]))


@pytest.fixture(scope="module")
def two() -> Sample:
    return sampled(grid(grace=GRACE, rule=RULES), {"loss.debt": debt, "loss.wait": wait}, calm=7.0)


@pytest.mark.parametrize("layout", ["matrix after matrix", "row after row"])
def test_saltelli_points_give_sobol_indices(layout: str) -> None:
    from scipy.stats.qmc import Sobol

    n = 256
    both = Sobol(6, rng=luck(3)).random(n)
    a, b = both[:, :3], both[:, 3:]
    matrices = [a, b, *(np.where(np.arange(3) == i, b, a) for i in range(3))]
    rows = np.concatenate(matrices) if layout == "matrix after matrix" else np.stack(matrices, axis=1).reshape(-1, 3)
    points = pd.DataFrame(rows, columns=["one", "two", "three"]).rename_axis("point")
    found = read(sampled(points, {"loss.debt": ishigami}, replications=1), kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert found.picture.labels == ["one", "two", "three"]
    y = [np.array([ishigami(pd.Series(row), luck(0)) for row in matrix]) for matrix in matrices]
    exact = sobol(y[0], y[1], np.array(y[2:]))
    assert [bar.mean for bar in found.picture.bars["first order"]] == pytest.approx([bar.mean for bar in exact.first])
    assert [bar.mean for bar in found.picture.bars["total"]] == pytest.approx([bar.mean for bar in exact.total])
    assert [bar.mean for bar in found.picture.bars["total"]] == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.15)
    assert "Sobol indices: one makes" in found.findings[0]


def test_morris_trajectories_give_elementary_effects() -> None:
    moves, rng = [], luck(4)
    for _ in range(6):
        x = rng.integers(0, 2, 3) / 3.0
        moves.append(x.copy())
        for i in rng.permutation(3):
            x[i] += 2.0 / 3.0
            moves.append(x.copy())
    points = pd.DataFrame(moves, columns=["one", "two", "three"]).rename_axis("point")
    sample = sampled(points, {"loss.debt": lambda p, rng: 3.0 * p["one"] - 2.0 * p["two"]}, replications=2)
    with pytest.raises(ValueError, match="'levels' is 6, and the design moves factors on 4 places: leave 'levels' out"):
        read(sample._replace(places=4), kind="sensitivity", figure="loss.debt", levels=6)
    assert "elementary effects" in read(sample, kind="sensitivity", figure="loss.debt", levels=4).findings[0]
    assert "rank correlation" in read(sample, kind="sensitivity", figure="loss.debt").findings[0]
    found = read(sample._replace(places=4), kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert [bar.mean for bar in found.picture.bars["μ*"]] == pytest.approx([3.0, 2.0, 0.0], abs=1e-9)
    assert found.table.loc[found.table["measure"] == "σ", "mean"].tolist() == pytest.approx([0.0] * 3, abs=1e-9)
    assert list(found.picture.bars) == ["μ*"]


@pytest.mark.parametrize("levels", [2, 4, 6, 8])
def test_elementary_effects_know_the_step_of_their_design(levels: int) -> None:
    """Over its whole range a factor moves a linear figure by its slope, whatever the grid; a fixed step is wrong by up to a half."""
    design = Design.model_validate(
        {"kind": "morris", "size": 6, "levels": levels, "factors": {name: {"from": 0, "to": 1} for name in ("a.x", "a.y")}}
    )
    points = pd.DataFrame([point.levels for point in design.points(luck(levels))]).rename_axis("point")
    sample = sampled(points, {"loss.debt": lambda p, rng: 3.0 * p["a.x"] - 2.0 * p["a.y"]}, replications=2)
    found = read(sample._replace(places=design.places()), kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert [bar.mean for bar in found.picture.bars["μ*"]] == pytest.approx([3.0, 2.0], abs=1e-5)


def test_one_at_a_time_gives_differences_from_the_first_point() -> None:
    points = pd.DataFrame({"grace": [1800.0, 0.0, 3600.0, 1800.0], "rule": ["partial", "partial", "partial", "full"]}).rename_axis("point")
    found = read(sampled(points, {"loss.debt": debt}), kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert set(found.picture.labels) == {"grace period", "liquidation rule"}
    means = found.table.set_index(["factor", "measure"])["mean"]
    assert means["grace", "lowest level"] == pytest.approx(50.0)
    assert means["grace", "highest level"] == pytest.approx(-50.0)
    assert means["rule", "highest level"] == pytest.approx(50.0)


def test_a_full_grid_gives_main_effects(two: Sample) -> None:
    found = read(two, kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert found.picture.labels == ["grace period", "liquidation rule"]
    assert [bar.mean for bar in found.picture.bars["main effect"]] == pytest.approx([-100.0, 50.0])
    assert found.picture.x_unit == "USD"


def test_a_level_in_the_middle_counts(two: Sample) -> None:
    """Names have no order, and a figure need not rise with a number: the ends alone would say that nothing moves it."""
    for levels in (["early", "middle", "late"], ["a", "b", "c"], [1.0, 2.0, 3.0]):
        sample = sampled(grid(grace=levels, rule=RULES), {"loss.debt": lambda p, rng, levels=levels: 100.0 * (p["grace"] == levels[1])})
        found = read(sample, kind="sensitivity", figure="loss.debt")
        assert isinstance(found.picture, Bars)
        assert [abs(bar.mean) for bar in found.picture.bars["main effect"]] == [100.0, 0.0]
        assert f"grace period from {sample.spelt('grace', levels[0])} to {sample.spelt('grace', levels[1])} by +100" in found.findings[0]


def test_other_designs_give_rank_correlations() -> None:
    rng = luck(9)
    points = pd.DataFrame({"grace": rng.random(40) * 3600.0, "size": rng.random(40), "name": rng.permutation(list("abcd") * 10)})
    sample = sampled(points.rename_axis("point"), {"loss.debt": lambda p, rng: -(float(p["grace"]) ** 3)}, replications=1)
    found = read(sample, kind="sensitivity", figure="loss.debt")
    bars = found.table.set_index("factor")
    assert bars.loc["grace", "mean"] == pytest.approx(-1.0)
    assert abs(bars.loc["size", "mean"]) < 0.5
    assert bars.loc["size", "low"] < bars.loc["size", "mean"] < bars.loc["size", "high"]
    assert "name" in found.findings[1]
    assert "size" in found.findings[0]


# ---- loss versus rebalancing
