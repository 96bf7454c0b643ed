import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from l2sim.prices import Price, Recording
from l2sim.prices.geometric_brownian import GeometricBrownian
from l2sim.prices.jump_diffusion import JumpDiffusion
from l2sim.prices.path import Path
from l2sim.prices.replay import Replay
from l2sim.units import DAY, HOUR, MINUTE, SECOND, YEAR

RNG = np.random.default_rng
COARSE = np.array([0, 30 * DAY], np.int64)
FINE = np.unique(np.concatenate((COARSE, RNG(0).integers(0, 30 * DAY, 40))))
LAWS = [
    GeometricBrownian(start="3000 USD", volatility="90 %", drift="50 %"),
    JumpDiffusion(start="3000 USD", volatility="120 %", drift="50 %", intensity="0.5 /d", jump_mean="-4 %", jump_deviation="6 %"),
]


def ends(law: Price, times, n: int, seed: int = 1) -> np.ndarray:
    """The last price of ``n`` paths over ``times``, from one stream after another."""
    rng = RNG(seed)
    return np.array([law.path(rng, times)[-1] for _ in range(n)])


def variance(law: GeometricBrownian, years: float) -> float:
    """Variance of the logarithm of the price."""
    if isinstance(law, JumpDiffusion):
        jumps = law.intensity * YEAR / SECOND * years
        return law.volatility**2 * years + jumps * (law.jump_mean**2 + law.jump_deviation**2)
    return law.volatility**2 * years


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)
@pytest.mark.parametrize("times", [COARSE, FINE], ids=["one step", "many uneven steps"])
def test_mean_and_variance_do_not_depend_on_the_steps(law, times):
    # Forgetting the correction of the drift by volatility^2/2, or the compensation of the jumps, misses by more than 8 SE.
    years, n = 30 / 365, 12_000
    prices = ends(law, times, n)
    expected = 3000 * math.exp(law.drift * years)
    assert abs(prices.mean() - expected) < 4 * prices.std() / math.sqrt(n)
    squares = (np.log(prices) - np.log(prices).mean()) ** 2
    assert abs(squares.mean() - variance(law, years)) < 4 * squares.std() / math.sqrt(n)


@pytest.mark.parametrize(("law", "mistake"), [(LAWS[0], 0.9**2 / 2), (LAWS[1], 1.2**2 / 2), (LAWS[1], 0.5 * 365 * 0.0375)])
def test_the_martingale_check_would_notice(law, mistake):
    years, n = 30 / 365, 12_000
    prices = ends(law, COARSE, n)
    assert abs(prices.mean() * math.exp(mistake * years) - 3000 * math.exp(law.drift * years)) > 4 * prices.std() / math.sqrt(n)


def test_steps_of_a_diffusion_are_normal_and_independent():
    law = GeometricBrownian(start="1 USD", volatility="90 %")
    times = np.cumsum(RNG(3).integers(1, HOUR, 5000))
    times[0] = 0
    years = np.diff(times) / YEAR
    steps = (np.diff(np.log(law.path(RNG(4), times))) + law.volatility**2 / 2 * years) / (law.volatility * np.sqrt(years))
    assert stats.kstest(steps, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1]) < 4 / math.sqrt(len(steps))


def test_jumps_come_as_often_and_as_large_as_they_should():
    law = JumpDiffusion(start="1 USD", volatility=0, intensity="3 /d", jump_mean="-10 %", jump_deviation="1 %")
    times = np.arange(0, 200 * DAY, MINUTE)
    steps = np.diff(np.log(law.path(RNG(5), times)))
    compensation = 3 / 1440 * math.expm1(-0.1 + 0.01**2 / 2)
    jumps = steps[np.abs(steps + compensation) > 1e-9] + compensation
    assert abs(len(jumps) - 600) < 4 * math.sqrt(600)
    assert abs(jumps.mean() + 0.1) < 4 * 0.02 / math.sqrt(len(jumps))
    assert 0.007 < jumps[jumps > -0.15].std() < 0.013


def test_without_jumps_it_is_the_diffusion():
    fields = {"start": "3000 USD", "volatility": "90 %", "drift": "-20 %"}
    jumps = JumpDiffusion(**fields, intensity=0).path(RNG(6), FINE)
    assert jumps.tolist() == GeometricBrownian(**fields).path(RNG(6), FINE).tolist()


@pytest.mark.parametrize("kind", [GeometricBrownian, JumpDiffusion])
@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (0.8, 0.5), (0.6, 0.0)])
def test_a_family_correlates_with_the_product_of_its_loadings(kind, first, second):
    times, years = np.arange(0, 20_001 * MINUTE, MINUTE), MINUTE / YEAR
    quiet = {"intensity": 0} if kind is JumpDiffusion else {}
    steps = []
    for seed, loading in ((1, first), (2, second)):
        law = kind(start="1 USD", volatility="80 %", family="crypto", loading=loading, **quiet)
        steps.append(np.diff(np.log(law.path(RNG(seed), times, family=RNG(9)))))
    assert abs(np.corrcoef(*steps)[0, 1] - first * second) < 4 * (1 - (first * second) ** 2) / math.sqrt(20_000) + 1e-12
    for own in steps:
        assert own.std() == pytest.approx(0.8 * math.sqrt(years), rel=4 / math.sqrt(2 * 20_000))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)
def test_luck_pairs_across_parameters_and_families(law):
    # The same normal numbers serve a member without its family, and another volatility.
    calmer = law.model_copy(update={"volatility": law.volatility / 2, "drift": 0.0})
    loose = law.model_copy(update={"family": "crypto", "loading": 0.0})
    assert loose.path(RNG(7), FINE, family=RNG(8)).tolist() == law.path(RNG(7), FINE).tolist()
    one, two = (np.diff(np.log(each.path(RNG(7), FINE))) for each in (law, calmer))
    assert np.corrcoef(one, two)[0, 1] > 0.7


# ---- shocks and steps, which every kind has


def flat(**fields) -> Path:
    return Path(points={0: "100 USD"}, **fields)


def test_a_shock_moves_the_logarithm_evenly():
    law = flat(shocks={"crash": {"at": "60s", "size": "-19 %", "over": "20s"}})
    times = np.array([0, 59, 60, 65, 70, 80, 1000]) * SECOND
    np.testing.assert_allclose(law.drawn(RNG(0), times), [100, 100, 100, 100 * 0.81**0.25, 90, 81, 81], rtol=1e-12)


def test_a_shock_over_nothing_is_a_jump_at_its_time():
    law = flat(shocks={"jump": {"at": "60s", "size": "50 %"}, "back": {"at": "90s", "size": "-50 %"}})
    times = np.array([0, 60 * SECOND - 1, 60 * SECOND, 60 * SECOND + 1, 90 * SECOND - 1, 90 * SECOND])
    np.testing.assert_allclose(law.drawn(RNG(0), times), [100, 100, 150, 150, 150, 75], rtol=1e-12)
    assert flat(shocks={"jump": {"at": 0, "size": "50 %"}}).drawn(RNG(0), np.array([0, 1])).tolist() == [150, 150]


def test_shocks_sit_on_top_of_the_same_luck():
    calm = LAWS[0].drawn(RNG(1), FINE)
    shocked = LAWS[0].model_copy(update={"shocks": flat(shocks={"a": {"at": "10 d", "size": "-10 %"}}).shocks}).drawn(RNG(1), FINE)
    np.testing.assert_allclose(shocked / calm, np.where(FINE >= 10 * DAY, 0.9, 1.0), rtol=1e-12)


def test_a_step_holds_the_price_between_the_points_of_its_grid():
    times = np.array([0, 5, 9, 10, 11, 29, 30, 31]) * SECOND
    drawn = LAWS[0].model_copy(update={"step": 10 * SECOND}).drawn(RNG(2), times)
    grid = LAWS[0].path(RNG(2), np.arange(4) * 10 * SECOND)
    assert drawn.tolist() == grid[[0, 0, 0, 1, 1, 2, 3, 3]].tolist()


# ---- replay and path

RECORDED = {
    "day": Recording(
        np.arange(5) * 60 * SECOND,
        {"close": np.array([2000.0, 2100, 1900, 1950, 2200]), "gap": np.array([1.0, np.nan, 1, 1, 1])},
    )
}


def replay(**fields) -> Replay:
    return Replay(**{"data": "day", "column": "close", "impact": "clean", **fields})


def test_a_replay_holds_the_last_row():
    times = np.array([0, 59, 60, 119, 240, 300]) * SECOND
    assert replay().drawn(RNG(0), times, data=RECORDED).tolist() == [2000, 2000, 2100, 2100, 2200, 2200]
    scaled = replay(start="1000 USD").drawn(RNG(0), times, data=RECORDED)
    assert scaled.tolist() == [1000, 1000, 1050, 1050, 1100, 1100]


def test_a_replay_on_a_step_needs_no_more_than_the_run():
    times = np.array([0, 300]) * SECOND
    assert replay(step="70s").drawn(RNG(0), times, data=RECORDED).tolist() == [2000, 2200]


def test_a_replay_may_begin_in_the_middle_of_a_recording():
    shifted = {"day": RECORDED["day"]._replace(times=RECORDED["day"].times - 90 * SECOND)}
    assert replay().drawn(RNG(0), np.array([0, 30]) * SECOND, data=shifted).tolist() == [2100, 1900]


@pytest.mark.parametrize(
    ("fields", "shift", "words"),
    [
        ({"data": "dya"}, 0, "there is no data 'dya'; did you mean 'day'"),
        ({"column": "clse"}, 0, "data 'day' has no column 'clse'; did you mean 'close'"),
        ({"column": "gap"}, 0, "data 'day', column 'gap', row 2: nan is not a price"),
        ({}, 1, "data 'day' begins after the run does"),
        ({}, -60, "data 'day' is too short: it ends after 240 s, the run after 300 s"),
    ],
)
def test_a_replay_that_cannot_be(fields, shift, words):
    moved = {"day": RECORDED["day"]._replace(times=RECORDED["day"].times + shift * SECOND)}
    with pytest.raises(ValueError, match=words):
        replay(**fields).drawn(RNG(0), np.array([0, 300]) * SECOND, data=moved)


def test_whether_a_price_contains_impact():
    assert replay(impact="contains_impact").contains_impact
    assert not any(law.contains_impact for law in (replay(), flat(), *LAWS))


def test_a_path_goes_through_its_points():
    points = {"2h": "2500 USD", 0: "3000 USD", "1h": "2000 USD"}
    times = np.array([0, 30, 60, 90, 120, 999]) * MINUTE
    assert Path(points=points).drawn(RNG(0), times).tolist() == [3000, 2500, 2000, 2250, 2500, 2500]
    assert Path(points=points, interpolate="hold").drawn(RNG(0), times).tolist() == [3000, 3000, 2000, 2000, 2500, 2500]


@pytest.mark.parametrize("law", [*LAWS, replay(start="5 USD"), Path(points={0: "1 USD", "90s": "2 USD"})], ids=lambda law: law.kind)
def test_prices_come_back_from_json(law):
    adapter = TypeAdapter(Price)
    assert adapter.validate_json(law.model_dump_json()) == law


PATH = {"kind": "path", "points": {0: "1 USD"}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "geometric_brownian", "start": "0 USD", "volatility": "9 %"}, "must be more than 0, but is 0 USD"),
        ({"kind": "geometric_brownian", "start": "3000 USD", "volatility": "-9 %"}, "must be 0 or more, but is -9 %"),
        ({"kind": "geometric_brownian", "volatility": "9 %"}, "start"),
        ({"kind": "replay", "data": "day", "column": "close"}, "impact"),
        ({**PATH, "points": {"1h": "1 USD"}}, "the point at time 0 is missing"),
        ({**PATH, "points": {0: "1 USD", "60s": "2 USD", "1min": "3 USD"}}, "two points are at the same time"),
        ({**PATH, "points": {0: "-1 USD"}}, "must be more than 0, but is -1 USD"),
        ({**PATH, "points": {0: 3000}}, "3000 has no unit"),
        ({**PATH, "points": [3000]}, "valid dictionary"),
        ({**PATH, "shocks": {"end": {"at": "1s", "size": "-100 %"}}}, "must be more than -100 %"),
        ({**PATH, "loading": 1.5}, "must be between 0 and 1"),
        ({**PATH, "step": "0s"}, "must be more than 0"),
    ],
)
def test_refuses(fields, words):
    with pytest.raises(ValidationError, match=words):
        Price.model_validate(fields)
