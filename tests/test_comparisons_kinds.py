"""Comparisons: each kind on samples whose answer is known."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lvr import BP, FIXED, POISSON, SIGMA, VALUE, poisson_arbitrage, pools, step
from pydantic import ValidationError

from l2sim.comparisons import Bars, Comparison, Curves, Grid, Reading, Sample
from l2sim.comparisons.lvr import expected, fixed_times, random_times
from l2sim.statistics.difference import paired, welch
from l2sim.statistics.intervals import interval
from l2sim.statistics.proportion import wilson
from l2sim.statistics.sensitivity import sobol

GRACE = [0.0, 1800.0, 3600.0]
RULES = ["partial", "full"]
UNITS = {"loss.debt": "USD", "loss.wait": "s", "grace": "s", "rule": ""}
LABELS = {"loss.debt": "bad debt", "grace": "grace period", "rule": "liquidation rule"}


def luck(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def sampled(
    points: pd.DataFrame,
    figures: Mapping[str, Callable[[pd.Series, np.random.Generator], float]],
    *,
    replications: int = 20,
    pairs: bool = True,
    resolved: Callable[[int], Mapping[str, Any]] = lambda point: {},
    calm: float = 0.0,
) -> Sample:
    """A sample of made-up figures; a replication's luck is the same at every point where there are pairs."""
    index = pd.MultiIndex.from_product([points.index, range(replications)], names=["point", "replication"])
    rows = [
        [made(points.loc[point], luck(replication, 0 if pairs else 1 + point)) for made in figures.values()] for point, replication in index
    ]
    written = pd.DataFrame(rows, index=index, columns=list(figures), dtype=float)
    worlds = {"as_written": written, "without_attacks": written - calm}
    return Sample(points, worlds, UNITS, LABELS, resolved, pairs)


def grid(**levels: Sequence[Any]) -> pd.DataFrame:
    frame = pd.DataFrame(list(product(*levels.values())), columns=list(levels))
    return frame.rename_axis("point")


def debt(point: pd.Series, rng: np.random.Generator) -> float:
    """Falls by 100 USD an hour of grace, 50 USD higher under full liquidation."""
    return 1000.0 - point["grace"] / 36.0 + 50.0 * (point["rule"] == "full") + 30.0 * rng.standard_normal() + 0.1 * rng.random()


def wait(point: pd.Series, rng: np.random.Generator) -> float:
    return float(rng.exponential(10.0)) + point["grace"]


@pytest.fixture(scope="module")
def two() -> Sample:
    return sampled(grid(grace=GRACE, rule=RULES), {"loss.debt": debt, "loss.wait": wait}, calm=7.0)


def read(sample: Sample, **fields: Any) -> Reading:
    return Comparison.model_validate(fields).read(sample)


def cell(sample: Sample, figure: str, world: str = "as_written", **levels: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    frame = sample.points
    for name, level in levels.items():
        frame = frame[frame[name] == level]
    (point,) = frame.index
    return sample.worlds[world].loc[point, figure].to_numpy()


# ---- curves


def test_a_curve_has_a_line_for_each_level_of_the_other_factor(two: Sample) -> None:
    found = read(two, kind="curves", figures=["loss.debt"], over="grace")
    assert isinstance(found.picture, Curves)
    assert [line.label for line in found.picture.lines] == ["liquidation rule partial", "liquidation rule full"]
    assert list(found.picture.lines[0].x) == GRACE
    assert found.picture.lines[1].y[2] == pytest.approx(interval(cell(two, "loss.debt", grace=3600.0, rule="full")))
    assert found.table.columns.tolist() == ["figure", "world", "rule", "grace", "mean", "low", "high", "n", "unit"]
    assert found.intervals == 6 + 2
    assert found.picture.level is None
    assert "grace period 1\u202fh" in found.findings[0]
    assert "\u2212100" in found.findings[0]


def test_a_curve_of_differences_is_paired_with_the_same_luck_alone(two: Sample) -> None:
    fields = {"kind": "curves", "figures": ["loss.debt"], "over": "grace", "baseline": {"rule": "partial"}}
    for sample, rule in ((two, paired), (sampled(two.points, {"loss.debt": debt}, pairs=False), welch)):
        found = read(sample, **fields)
        assert isinstance(found.picture, Curves)
        (line,) = found.picture.lines
        here, there = (cell(sample, "loss.debt", grace=1800.0, rule=name) for name in ("full", "partial"))
        assert line.y[1] == pytest.approx(rule(here, there))
        assert found.picture.level == 0.0
    assert line.y[1].high - line.y[1].low > 10.0


def test_a_curve_of_differences_between_worlds_is_always_paired() -> None:
    sample = sampled(grid(grace=GRACE, rule=["full"]), {"loss.debt": debt}, pairs=False, calm=7.0)
    found = read(sample, kind="curves", figures=["loss.debt"], over="grace", where={"rule": "full"}, difference_to="without_attacks")
    assert found.table["mean"].tolist() == pytest.approx([7.0] * 3)
    assert (found.table["high"] - found.table["low"]).max() < 1e-6
    assert "clear of zero at 3 of 3" in found.findings[0] or "the same" in found.findings[0]


def test_a_curve_pools_factors_by_replication(two: Sample) -> None:
    found = read(two, kind="curves", figures=["loss.debt"], over="grace", by=[])
    means = [(cell(two, "loss.debt", grace=g, rule="partial") + cell(two, "loss.debt", grace=g, rule="full")) / 2 for g in GRACE]
    assert found.table["mean"].tolist() == pytest.approx([one.mean() for one in means])
    assert found.table["n"].tolist() == [20] * 3


def test_a_level_can_be_written_with_its_unit(two: Sample) -> None:
    found = read(two, kind="curves", figures=["loss.debt"], over="rule", where={"grace": "30min"})
    assert found.table["rule"].tolist() == RULES
    assert found.table["mean"].iloc[0] == pytest.approx(cell(two, "loss.debt", grace=1800.0, rule="partial").mean())


def test_what_was_never_observed_is_said(two: Sample) -> None:
    empty = two._replace(worlds={"as_written": two.worlds["as_written"] * np.nan})
    found = read(empty, kind="curves", figures=["loss.debt"], over="grace")
    assert all("never observed" in text for text in found.findings)
    assert found.table["n"].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"figures": ["loss.det"]}, "no figure 'loss.det'; did you mean 'loss.debt'"),
        ({"over": "grac"}, "no factor 'grac'; did you mean 'grace'"),
        ({"worlds": ["as_writen"]}, "no world 'as_writen'; did you mean 'as_written'"),
        ({"where": {"rule": "ful"}}, "no level 'ful'; did you mean 'full'"),
        ({"where": {"rule": "full"}, "baseline": {"grace": "2h"}}, "factor 'grace' has no level '2h'"),
        ({"figures": ["loss.debt", "loss.wait"]}, "different units"),
    ],
)
def test_what_is_not_there_is_named_with_the_nearest(two: Sample, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(two, **{"kind": "curves", "figures": ["loss.debt"], "over": "grace"} | fields)


def test_two_kinds_of_difference_are_refused() -> None:
    with pytest.raises(ValidationError, match="two differences"):
        Comparison.model_validate({"kind": "curves", "figures": ["a"], "over": "b", "difference_to": "w", "baseline": {"b": 1}})


# ---- ranking


def test_the_best_level_is_named_with_how_far_the_others_are_behind(two: Sample) -> None:
    found = read(two, kind="ranking", figure="loss.debt", factor="grace", where={"rule": "full"})
    assert found.table["grace"].tolist() == GRACE[::-1]
    assert found.table["behind"].tolist()[1:] == pytest.approx([50.0, 100.0], abs=0.2)
    assert (found.table["p_adjusted"].dropna() < 1e-6).all()
    assert found.findings[0].startswith("Least bad debt at grace period 1\u202fh")
    assert "not told apart" not in found.findings[0]
    largest = read(two, kind="ranking", figure="loss.debt", factor="grace", best="largest", by=["rule"])
    assert largest.table["grace"].tolist() == GRACE * 2
    assert len(largest.findings) == 2


def test_levels_that_are_alike_are_not_told_apart() -> None:
    noise = sampled(grid(rule=["a", "b", "c"]), {"loss.debt": lambda point, rng: float(rng.standard_normal())}, pairs=False)
    found = read(noise, kind="ranking", figure="loss.debt", factor="rule")
    assert "not told apart from it" in found.findings[0]
    assert (found.table["p_adjusted"].dropna() > 0.05).all()


def test_many_rankings_are_counted_first() -> None:
    """Of three places, two have their least at 1 and one at 2."""
    least = {"a": 1.0, "b": 1.0, "c": 2.0}
    three = sampled(
        grid(grace=[0.0, 1.0, 2.0], place=list(least)), {"loss.debt": lambda point, rng: abs(point["grace"] - least[point["place"]])}
    )
    found = read(three, kind="ranking", figure="loss.debt", factor="grace", by=["place"])
    assert len(found.findings) == 1 + 3
    assert re.fullmatch(r"Of 3 combinations of place, least bad debt is at grace period 1\D* in 2 and 2\D* in 1\.", found.findings[0]), (
        found.findings
    )


def test_p_values_are_those_of_scipy(two: Sample) -> None:
    from scipy.stats import ttest_ind, ttest_rel

    one, other = (two.values("as_written", "loss.wait", [point]) for point in (0, 2))
    wild = other * luck(5).random(len(other))
    assert two.p_value(one, wild) == pytest.approx(ttest_rel(one, wild).pvalue)
    assert two._replace(paired=False).p_value(one, wild) == pytest.approx(ttest_ind(one, wild, equal_var=False).pvalue)
    assert two.p_value(one, one) == 1.0


# ---- at risk and frontier


def test_value_at_risk_and_expected_shortfall_of_an_exponential_loss() -> None:
    sample = sampled(grid(grace=[0.0]), {"loss.wait": wait}, replications=4000)
    found = read(sample, kind="at_risk", figure="loss.wait", over="grace")
    value, shortfall = found.table["mean"] / 10.0
    assert value == pytest.approx(2.995732, abs=4 * 0.069)
    assert shortfall == pytest.approx(3.995732, abs=4 * 0.1)
    assert found.table["measure"].tolist() == ["value at risk", "expected shortfall"]
    assert "in the worst 5 % of runs" in found.findings[0]
    few = read(sampled(grid(grace=[0.0]), {"loss.wait": wait}), kind="at_risk", figure="loss.wait", over="grace")
    assert "20 runs are too few" in few.findings[0]


def excess(point: pd.Series, rng: np.random.Generator) -> float:
    """Beyond 1 USD with a probability of a hundredth a minute of grace."""
    return 2.0 * (rng.random() < point["grace"] / 6000.0)


def test_the_frontier_is_the_last_level_before_it_is_too_likely() -> None:
    levels = [0.0, 60.0, 300.0, 1200.0, 3000.0]
    sample = sampled(grid(grace=levels), {"loss.debt": excess}, replications=500)
    fields = {"kind": "frontier", "figure": "loss.debt", "more_than": "1 USD", "probability": 0.1, "over": "grace"}
    found = read(sample, **fields)
    counts = [int((sample.values("as_written", "loss.debt", [point]) > 1.0).sum()) for point in range(5)]
    assert counts[2] < 50 < counts[3]
    assert found.table["exceeded"].tolist() == counts
    assert found.table["high"].tolist() == pytest.approx([wilson(count, 500).high for count in counts])
    assert (
        "The largest grace period up to which bad debt exceeds 1\u202fUSD with a probability below 10\u202f% is 5\u202fmin"
        in found.findings[0]
    )
    assert "confidence that holds there too" in found.findings[0]
    assert isinstance(found.picture, Curves)
    assert found.picture.level == 0.1
    short = read(sample._replace(points=sample.points[:3]), **fields)
    assert "the levels end there" in short.findings[0]
    none = read(sample, **fields | {"more_than": "-1 USD"})
    assert "There is no grace period among those tried" in none.findings[0]
    other = read(sample, **fields | {"side": "smallest", "more_than": "1 USD", "probability": 0.9})
    assert "The smallest grace period" in other.findings[0]


def test_a_frontier_says_how_many_replications_certainty_takes() -> None:
    sample = sampled(grid(grace=[0.0, 60.0]), {"loss.debt": lambda point, rng: 0.0})
    found = read(sample, kind="frontier", figure="loss.debt", over="grace", probability=0.05)
    assert "73 replications without any excess would be the least, and there are 20" in found.findings[0]
    assert wilson(0, 73).high < 0.05 < wilson(0, 72).high
    with pytest.raises(ValueError, match="needs numbers"):
        read(sampled(grid(rule=RULES), {"loss.debt": lambda point, rng: 0.0}), kind="frontier", figure="loss.debt", over="rule")


# ---- heat map


def test_a_heat_map_has_a_panel_for_each_level_of_a_third_factor() -> None:
    points = grid(grace=GRACE, rule=RULES, size=[1.0, 2.0])
    sample = sampled(points, {"loss.debt": lambda point, rng: debt(point, rng) * point["size"]}, calm=5.0)
    found = read(sample, kind="heat_map", figure="loss.debt", x="grace", y="rule")
    assert isinstance(found.picture, Grid)
    assert list(found.picture.panels) == ["size 1", "size 2"]
    assert found.picture.columns == GRACE
    assert found.picture.panels["size 2"][1][2] == pytest.approx(interval(cell(sample, "loss.debt", grace=3600.0, rule="full", size=2.0)))
    assert len(found.table) == found.intervals == 12
    pooled = read(sample, kind="heat_map", figure="loss.debt", x="grace", y="rule", where={"size": 1}, difference_to="without_attacks")
    assert pooled.table["mean"].tolist() == pytest.approx([5.0] * 6)


# ---- sensitivity


def ishigami(point: pd.Series, rng: np.random.Generator) -> float:
    x = np.pi * (2.0 * point.to_numpy() - 1.0)
    return float(np.sin(x[0]) + 7.0 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0]))


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
    found = read(sample, kind="sensitivity", figure="loss.debt")
    assert isinstance(found.picture, Bars)
    assert [bar.mean for bar in found.picture.bars["μ*"]] == pytest.approx([3.0, 2.0, 0.0], abs=1e-9)
    assert found.table.loc[found.table["measure"] == "σ", "mean"].tolist() == pytest.approx([0.0] * 3, abs=1e-9)
    assert list(found.picture.bars) == ["μ*"]


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


def test_theory_is_that_of_the_literature() -> None:
    for (block_time, bp), listed in POISSON.items():
        assert random_times(bp * BP, step(block_time)) == pytest.approx(poisson_arbitrage(bp * BP, block_time), rel=1e-12)
        assert random_times(bp * BP, step(block_time)) == pytest.approx(listed[1], rel=5e-6)
    for (block_time, bp), listed in FIXED.items():
        assert fixed_times(bp * BP, step(block_time)) == pytest.approx(listed[1], rel=1e-5)
    assert fixed_times(1e-9, step(12.0)) == pytest.approx(1.0, abs=1e-4)
    assert fixed_times(0.0, step(12.0)) == 1.0


def test_theory_is_computed_from_the_resolved_scenario() -> None:
    resolved = pools(5 * BP, 12.0, 7200, "fixed", 2).resolved()
    theory, without_fee = expected(resolved, "pool_0")
    assert without_fee == pytest.approx(-VALUE * np.exp(-5 * BP / 4) * np.expm1(-(SIGMA**2) / 8.0), rel=1e-6)  # it opens off the price
    assert theory / without_fee == pytest.approx(FIXED[12.0, 5][1], rel=1e-5)
    with pytest.raises(ValueError, match="did you mean 'pool_"):
        expected(resolved, "pol_0")
    with pytest.raises(ValueError, match="geometric Brownian"):
        expected(resolved | {"prices": {name: {"kind": "replay"} for name in resolved["prices"]}}, "pool_0")


def test_measured_losses_are_compared_with_theory() -> None:
    times = [2.0, 12.0]
    resolved = [pools(5 * BP, time, round(86_400 / time), "fixed", 1).resolved() for time in times]
    exact = [expected(one, "pool_0")[0] for one in resolved]
    points = grid(time=times)

    def off(point: pd.Series, rng: np.random.Generator) -> float:
        return exact[times.index(point["time"])] + 10.0 + float(rng.standard_normal())

    sample = sampled(points, {"loss.debt": off}, resolved=resolved.__getitem__)
    found = read(sample, kind="lvr", figure="loss.debt", pool="pool_0", over="time")
    assert isinstance(found.picture, Curves)
    assert [line.theory for line in found.picture.lines] == [False, True]
    assert [place.mean for place in found.picture.lines[1].y] == pytest.approx(exact)
    values = sample.values("as_written", "loss.debt", [0])
    assert found.table["z"].iloc[0] == pytest.approx((values.mean() - exact[0]) / (values.std() / np.sqrt(20)))
    assert found.table["share_in_theory"].tolist() == pytest.approx([FIXED[2.0, 5][1], FIXED[12.0, 5][1]], rel=1e-4)
    assert "by more than two at 2 of 2 points" in found.findings[-1]
