"""Designs: which points they lay out, in which order, and what they refuse."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from l2sim.designs import Design, Point
from l2sim.designs.morris import Morris
from l2sim.designs.random import Range
from l2sim.designs.sobol import Sobol
from l2sim.part import room
from l2sim.statistics.sensitivity import morris, sobol
from l2sim.units import DURATION

LASTS, COUNT = "attacks.outage.lasts", "agents.keepers.count"
RANGES = {LASTS: {"from": "5 min", "to": "2 h"}, COUNT: {"from": 1, "to": 9, "whole": True}, "fee": {"from": 0, "to": "50 bps"}}


def chance(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def design(kind: str, **fields: Any) -> Design:
    return Design.model_validate({"kind": kind, **fields})


def points(kind: str, **fields: Any) -> list[Point]:
    return design(kind, **fields).points(chance())


def refused(kind: str, **fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        design(kind, **fields)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


# ---- grid


def test_a_grid_is_every_combination_and_the_last_factor_changes_fastest() -> None:
    found = points("grid", factors={LASTS: ["30min", "1h"], COUNT: [1, 2, 4]})
    assert [tuple(point.levels.values()) for point in found] == [(s, n) for s in (1800.0, 3600.0) for n in (1.0, 2.0, 4.0)]
    assert found[1] == Point({LASTS: 1800.0, COUNT: 2.0}, {COUNT: 2, LASTS: "30min"})


@pytest.mark.parametrize(
    ("written", "levels", "unit"),
    [
        (["30min", "1h"], [1800.0, 3600.0], "s"),
        ([0, "90s"], [0.0, 90.0], "s"),
        ([1, 2.5], [1.0, 2.5], ""),
        (["5 bps", 0.01, "3 %"], [0.0005, 0.01, 0.03], "%"),
        (["30 gwei"], [3e-8], "ETH"),
        (["2 kUSD"], [2000.0], "USD"),
        (["3 /min"], [0.05], "1/s"),
        (["1 Mgas/s"], [1e6], "gas/s"),
        (["none", "30min"], ["none", "30min"], None),
        ([True, False, None], ["true", "false", "none"], None),
        ([{"kind": "random"}, {"preset": "ethereum"}], ["random", "ethereum"], None),
        ({"short": "30min", "long": "1h"}, ["short", "long"], None),
    ],
)
def test_levels(written: Any, levels: list[float | str], unit: str | None) -> None:
    made = design("grid", factors={"a.b": written})
    found = made.points(chance())
    assert [point.levels["a.b"] for point in found] == (levels if unit is None else pytest.approx(levels))
    assert [point.settings["a.b"] for point in found] == (list(written.values()) if isinstance(written, dict) else written)
    assert made.units() == ({} if unit is None else {"a.b": unit})


def test_a_name_that_is_no_path_sets_several_values_together() -> None:
    start = {"calm": {"prices.eth.volatility": "60 %", "duration": "1h"}, "wild": {"prices.eth.volatility": "200 %"}, "as_it_is": {}}
    found = points("grid", factors={"start": start})
    assert [(point.levels["start"], dict(point.settings)) for point in found] == list(start.items())


def test_a_path_is_set_before_what_leads_further_into_it() -> None:
    (found,) = points("grid", factors={"chains.arb.ordering.size": [2], "chains.arb.ordering": [{"kind": "random"}]})
    assert list(found.settings) == ["chains.arb.ordering", "chains.arb.ordering.size"]


@pytest.mark.parametrize(
    ("factors", "where", "message"),
    [
        ({}, "factors", "there is nothing to vary"),
        ({"a.b": []}, "factors.a.b", "has no levels"),
        ({"a.b": {}}, "factors.a.b", "has no levels"),
        ({"a.b": 3}, "factors.a.b", "must be a list of values"),
        ({"a.b": [1, "2 s"]}, "factors.a.b", "the levels 1, 2 s have different units"),
        ({"a.b": ["1h", "30s", "60min"]}, "factors.a.b", "has two equal levels, 1h and 60min"),
        ({"a.b": {"x": 1, "y": 1}}, "factors.a.b", "has two equal levels, x and y"),
        ({"a.b": [{"c": 1}]}, "factors.a.b", "needs a name"),
        ({"start": {"calm": 3}}, "factors.start", "level 'calm' must be a mapping of paths to values"),
        ({"a..b": [1]}, "factors.a..b", "no empty steps"),
        ({"x": {"u": {"a.b": 1}, "v": {}}, "a.b": [2, 3]}, "factors.a.b", "sets 'a.b', which factor 'x' sets too"),
    ],
)
def test_a_grid_refuses(factors: dict[str, Any], where: str, message: str) -> None:
    ((found, text),) = refused("grid", factors=factors)
    assert found == where
    assert message in text


def test_all_that_is_wrong_with_factors_is_told_at_once() -> None:
    assert len(refused("grid", factors={"a.b": [], "c.d": 1, "e.f": [2]})) == 2


# ---- cases


def test_cases_with_names_are_one_factor() -> None:
    found = points("cases", cases={"few": {COUNT: 1}, "slow": {LASTS: "2h", COUNT: 3}})
    assert found == [Point({"case": "few"}, {COUNT: 1}), Point({"case": "slow"}, {COUNT: 3, LASTS: "2h"})]


def test_cases_in_a_list_have_their_paths_as_factors() -> None:
    made = design("cases", cases=[{COUNT: 1, LASTS: "1h"}, {COUNT: 1, LASTS: "2h"}])
    assert [point.levels for point in made.points(chance())] == [{COUNT: 1.0, LASTS: 3600.0}, {COUNT: 1.0, LASTS: 7200.0}]
    assert made.units() == {COUNT: "", LASTS: "s"}


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "there are no cases"),
        ({}, "there are no cases"),
        ([{COUNT: 1}, {LASTS: "1h"}], "cases of a list set the same paths"),
        ([{COUNT: 1, LASTS: "1h"}, {COUNT: 1, LASTS: "60min"}], "cases 1 and 2 are equal"),
        ([3], "case 1 must be a mapping"),
        ({"a": {COUNT: 1}, "b": {COUNT: 1}}, "two equal levels, a and b"),
    ],
)
def test_cases_refuse(cases: Any, message: str) -> None:
    assert message in refused("cases", cases=cases)[0][1]


# ---- ranges


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol", "morris"])
def test_sampled_levels_are_what_is_set_and_within_their_ranges(kind: str) -> None:
    made = design(kind, factors={**RANGES, "a.rule": {"all": 1, "half": 0.5}}, size=32)
    found = made.points(chance())
    assert made.units() == {LASTS: "s", COUNT: "", "fee": "%"}
    assert {point.levels["a.rule"] for point in found} == {"all", "half"}
    for point in found:
        assert DURATION.read(point.settings[LASTS]) / 1e9 == point.levels[LASTS]
        assert 300.0 <= point.levels[LASTS] <= 7200.0
        assert point.settings[COUNT] == point.levels[COUNT]
        assert type(point.settings[COUNT]) is int
        assert 1 <= point.settings[COUNT] <= 9
        assert 0.0 <= point.levels["fee"] <= 0.005
    assert found == made.points(chance())
    assert found != made.points(chance(2))


def test_scales_of_a_range() -> None:
    even = np.linspace(0.0, 1.0, 2001)
    log = [level.value for level in Range.model_validate({"from": "1 s", "to": "100 s", "scale": "log"}).taken("x", even)]
    assert log[0] == 1.0
    assert log[1000] == pytest.approx(10.0, rel=1e-5)
    assert log[-1] == 100.0
    whole = [level.value for level in Range.model_validate({"from": 1, "to": 4, "whole": True}).taken("x", even)]
    assert [whole.count(n) / len(whole) for n in (1, 2, 3, 4)] == pytest.approx([0.25] * 4, abs=0.01)
    both = [level.value for level in Range.model_validate({"from": 1, "to": 100, "whole": True, "scale": "log"}).taken("x", even)]
    assert (both[0], both[1000], both[-1]) == (1.0, 7.0, 100.0)  # sqrt(0.5 x 100.5) is the middle
    assert set(both[:800]) == set(map(float, range(1, 1 + len(set(both[:800])))))


@pytest.mark.parametrize(
    ("written", "where", "message"),
    [
        ({"from": 3, "to": 1}, "", "upside down"),
        ({"from": "1h", "to": "60min"}, "", "no width"),
        ({"from": 1, "to": "2 s"}, "", "different units"),
        ({"from": 0, "to": 2, "scale": "log"}, "", "needs more than 0"),
        ({"from": 1, "to": 2.5, "whole": True}, "", "for whole numbers"),
        ({"from": "1h", "to": "2h", "whole": True}, "", "without a unit"),
        ({"from": "early", "to": 2}, ".from", "must be a number or a quantity"),
        ({"from": 1}, ".to", "required"),
        ({"from": 1, "to": 2, "scal": "log"}, ".scal", "not permitted"),
        ([], "", "has no levels"),
    ],
)
def test_a_range_refuses(written: Any, where: str, message: str) -> None:
    ((found, text),) = refused("random", factors={"x": written}, size=4)
    assert found == f"factors.x{where}"
    assert message in text


# ---- samples


def test_a_latin_hypercube_is_in_every_slice_once() -> None:
    places = room("designs").find("latin_hypercube").model_validate({"factors": RANGES, "size": 50}).coordinates(chance())  # type: ignore[attr-defined]
    for column in places.T:
        assert sorted((column * 50).astype(int)) == list(range(50))
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.4


def test_a_sobol_sequence_is_even_and_needs_a_power_of_two() -> None:
    made = design("sobol", factors=RANGES, size=64, layout="sequence")
    assert isinstance(made, Sobol)
    places = made.coordinates(chance())
    assert places.shape == (64, 3)
    for column in places.T:
        assert sorted((column * 64).astype(int)) == list(range(64))
    assert "power of two, such as 64 or 128, not 100" in refused("sobol", factors=RANGES, size=100)[0][1]
    with pytest.raises(ValueError, match="layout: saltelli"):
        made.blocks()


def test_saltellis_layout_gives_the_indices_of_a_known_function() -> None:
    """y = x1 + 2 x2 + x1 x3 of centred uniform factors has the variances 1/12, 4/12, 0 and, of both together, 1/144."""
    made = design("sobol", factors={name: {"from": -0.5, "to": 0.5} for name in ("x.1", "x.2", "x.3")}, size=1024)
    assert isinstance(made, Sobol)
    found = made.points(chance())
    x = np.array([list(point.levels.values()) for point in found], float)
    a, b, ab = made.blocks()
    assert len(found) == 1024 * 5
    assert [*a, *b, *(i for block in ab.values() for i in block)] == list(range(len(found)))
    for column, block in enumerate(ab.values()):
        assert (x[block, column] == x[b, column]).all()
        assert (np.delete(x[block], column, 1) == np.delete(x[a], column, 1)).all()
    y = x[:, 0] + 2 * x[:, 1] + x[:, 0] * x[:, 2]
    indices = sobol(y[a], y[b], np.array([y[block] for block in ab.values()]), resamples=99)
    whole = 1 / 12 + 4 / 12 + 1 / 144
    assert [one.mean for one in indices.first] == pytest.approx([1 / 12 / whole, 4 / 12 / whole, 0.0], abs=0.02)
    assert [one.mean for one in indices.total] == pytest.approx([(1 / 12 + 1 / 144) / whole, 4 / 12 / whole, 1 / 144 / whole], abs=0.02)


def test_on_morriss_trajectories_one_factor_moves_at_a_time() -> None:
    made = design("morris", factors={**RANGES, "a.rule": ["x", "y", "z"]}, size=20)
    assert isinstance(made, Morris)
    places, found = made.coordinates(chance()), made.points(chance())
    assert places.min() == 0.0
    assert places.max() == 1.0
    for trajectory in made.trajectories():
        steps = np.diff(places[trajectory], axis=0)
        assert (np.count_nonzero(steps, axis=1) == 1).all()
        assert (np.count_nonzero(steps, axis=0) == 1).all()
        assert np.abs(steps).sum() == pytest.approx(4 * 2 / 3)
        for one, other in pairwise(trajectory):
            assert sum(found[one].levels[name] != found[other].levels[name] for name in found[one].levels) == 1
    assert len(found) == 100


def test_morriss_trajectories_give_the_slopes_of_a_plane() -> None:
    pytest.importorskip("SALib")
    made = design("morris", factors={name: {"from": 0, "to": 1} for name in ("x.1", "x.2")}, size=8, levels=6)
    assert isinstance(made, Morris)
    places = made.coordinates(chance())
    effects = morris(places, 3.0 * places[:, 0] - places[:, 1], levels=6)
    assert [one.mean for one in effects.mu] == pytest.approx([3.0, -1.0])
    assert "even number, such as 6, not 5" in refused("morris", factors=RANGES, size=1, levels=5)[0][1]
