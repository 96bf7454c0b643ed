"""Studies as they are written: points, worlds and seeds, the way through YAML, and every mistake with its place."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import SMALL

import l2sim.study
from l2sim.part import room
from l2sim.scenario import Scenario, ScenarioError
from l2sim.scenario.schema import summary
from l2sim.study import Study
from l2sim.study.description import MANY, covering
from l2sim.study.precision import Precision
from l2sim.study.schema import schema

FILE = Path(__file__).parent.parent / "docs" / "study.schema.json"

GOOD = f"""\
title: Keepers
question: How many does it take?
scenario: {SMALL.as_posix()}
set: {{duration: 20min}}
vary:
  factors:
    agents.keepers.count: [1, 3]
    chains.arb.ordering: {{fcfs: {{kind: first_come_first_served}}, fair: {{kind: random}}}}
    start:
      calm: {{prices.eth.volatility: 60 %, attacks.outage: null}}
      wild: {{prices.eth.volatility: 200 %}}
replications: 4
without: {{without_keepers: [agents.keepers]}}
compare: {{count: {{kind: curves, figures: [debt.bad_debt], over: agents.keepers.count}}}}
"""
COUNT = "agents.keepers.count"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("studies") / "keepers.yaml"
    path.write_text(GOOD)
    return Study.load(path)


def of(**fields: Any) -> Study:
    return Study.of({"scenario": SMALL.as_posix(), **fields})


# ---- what a study is


def test_points_and_their_scenarios(good: Study) -> None:
    assert (good.name, good.title, len(good.points)) == ("keepers", "Keepers", 8)
    assert good.base == Scenario.load(SMALL, ["duration=20min"])
    point = good.points[1]
    assert point.levels == {COUNT: 1.0, "chains.arb.ordering": "fair", "start": "wild"}
    assert good.scenario(point) == good.base.vary(dict(point.settings))
    assert good.scenario(point) is good.scenario(point)
    assert good.units == {COUNT: ""}
    good.check()


def test_worlds_are_those_that_make_sense_at_a_point(good: Study) -> None:
    calm, wild = (next(point for point in good.points if point.levels["start"] == start) for start in ("calm", "wild"))
    assert list(good.worlds_at(wild)) == ["as_written", "without_attacks", "without_impact", "without_keepers"]
    assert list(good.worlds_at(calm)) == ["as_written", "without_impact", "without_keepers"]
    assert "keepers" not in good.worlds_at(wild)["without_keepers"].agents
    assert list(of(worlds=["as_written"]).worlds_at(of().points[0])) == ["as_written"]


def test_what_is_left_out_may_be_missing_at_some_points() -> None:
    study = of(vary={"factors": {"agents.keepers": {"there": {"count": 3}, "gone": None}}}, without={"alone": ["agents.keepers"]})
    study.check()
    assert ["alone" in study.worlds_at(point) for point in study.points] == [False, True]


def test_seeds_are_the_same_everywhere_unless_independent(good: Study) -> None:
    assert {good.seed_at(point) for point in good.points} == {1}
    varied = {"factors": {COUNT: [1, 2, 3]}}
    own, other = of(independent=True, vary=varied), of(independent=True, seed=2, vary={"factors": {COUNT: [3, 1]}})
    seeds = [own.seed_at(point) for point in own.points]
    assert len({*seeds, *map(other.seed_at, other.points)}) == 5
    again = of(independent=True, vary={"factors": {COUNT: [3, 1]}})
    assert [again.seed_at(point) for point in again.points] == [seeds[2], seeds[0]]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_study_goes_through_yaml_and_comes_back(good: Study, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(good.yaml())
    again = Study.load(tmp_path / "study.yaml")
    assert again == good
    assert (again.name, again.digest, again.yaml()) == (good.name, good.digest, good.yaml())
    assert again.points == good.points
    assert str(SMALL) not in good.yaml()
    assert again.scenario(again.points[3]) == good.scenario(good.points[3])


def test_a_preset_can_vary_after_the_way_through_yaml(tmp_path: Path) -> None:
    study = of(vary={"factors": {"chains.arb.preset": ["arbitrum_one", "minimal"]}})
    (tmp_path / "study.yaml").write_text(study.yaml())
    again = Study.load(tmp_path / "study.yaml")
    digests = [study.scenario(point).digest for point in study.points]
    assert [again.scenario(point).digest for point in again.points] == digests
    assert len(set(digests)) == 2


def test_recordings_are_found_again(tmp_path: Path) -> None:
    (tmp_path / "eth.csv").write_text("time,price\n2025-01-01T00:00:00Z,3000\n2025-01-01T02:00:00Z,3100\n")
    data = {"tape": {"file": "eth.csv", "time": "time", "columns": ["price"]}}
    scenario = "\n".join(
        ["duration: 1h", "data: " + json.dumps(data), "prices: {eth: {kind: replay, data: tape, column: price, impact: clean}}"]
    )
    (tmp_path / "s.yaml").write_text(scenario)
    study = Study.load(tmp_path / "s.yaml")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "study.yaml").write_text(study.yaml())
    again = Study.load(tmp_path / "elsewhere" / "study.yaml")
    assert again.digest == study.digest
    assert again.base.recordings().keys() == {"tape"}


def test_the_digest_is_of_the_runs_alone() -> None:
    first = of(vary={"factors": {COUNT: [1, 2]}})
    same = of(vary={"factors": {COUNT: [1, 2]}}, title="x", precision={"figure": "debt.bad_debt", "width": "10 %"})
    assert first.digest == same.digest
    assert first != same
    others = [
        of(vary={"factors": {COUNT: [1, 3]}}),
        of(vary={"factors": {COUNT: [1, 2]}}, seed=2),
        of(vary={"factors": {COUNT: [1, 2]}}, independent=True),
        of(vary={"factors": {COUNT: [1, 2]}}, set={"duration": "20min"}),
        of(vary={"factors": {COUNT: [1, 2]}}, worlds=["as_written"]),
        of(vary={"factors": {COUNT: [1, 2]}}, without={"alone": ["agents.keepers"]}),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 7


def test_a_study_can_be_sent_to_another_process(good: Study) -> None:
    assert good.digest
    again = pickle.loads(pickle.dumps(good))
    assert again == good
    assert hash(again) == hash(good)
    assert again.base == good.base
    assert again.points == good.points


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol", "morris"])
def test_a_sampled_design_belongs_to_the_seed(kind: str) -> None:
    vary = {"kind": kind, "size": 4, "factors": {"attacks.outage.lasts": {"from": "1min", "to": "5min"}}}
    assert of(vary=vary).points == of(vary=vary).points
    assert of(vary=vary).points != of(vary=vary, seed=2).points


# ---- from a scenario's file


def test_a_scenario_is_a_study_of_one_point() -> None:
    study = Study.load(SMALL, set=["duration=10min", "attacks.outage.begins=1min"], replications=3, seed=None)
    assert (study.name, study.title, study.replications, study.seed) == ("small_market", "A small market", 3, 1)
    assert [dict(point.settings) for point in study.points] == [{}]
    assert study.base.duration == 600_000_000_000


def test_what_varies_may_come_from_the_command_line() -> None:
    study = Study.load(SMALL, vary=[f"{COUNT}=1,2,4", "chains.arb.ordering={kind: random},{kind: priority_fee}", "title='a, b',c"])
    study.check()
    assert len(study.points) == 12
    assert [study.points[i].levels["title"] for i in (0, 1)] == ["a, b", "c"]
    assert study.points[2].levels["chains.arb.ordering"] == "priority_fee"


def test_the_command_line_adds_factors_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    study = Study.load(tmp_path / "s.yaml", set=["agents.keepers.reaction=1s"], vary=[f"{COUNT}=7", "attacks.outage.lasts=1min,2min"])
    assert {point.levels[COUNT] for point in study.points} == {7.0}
    assert len(study.points) == 1 * 2 * 2 * 2
    assert study.base.resolved()["agents"]["keepers"]["reaction"] == "1 s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COUNT, "write --vary PATH=A,B,C"),
        (f"{COUNT}=", "write --vary PATH=A,B,C"),
        ("agents..count=1", "write --vary PATH=A,B,C"),
        (f"{COUNT}={{a: 1", "not YAML"),
        (f"{COUNT}=2,1,2", "has two equal levels, 2 and 2"),
        ("agents.kepers.count=1,2", "there is no 'agents.kepers' in the scenario; did you mean 'agents.keepers'?"),
        ("agents.keepers.cuont=1,2", "unknown key 'cuont'; did you mean 'count'?"),
        (f"{COUNT}=1,few", "must be a valid integer"),
    ],
)
def test_mistakes_on_the_command_line(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Study.load(SMALL, vary=[text]).check()
    assert len(caught.value.mistakes) == 1
    assert str(caught.value).startswith(f"--vary {text}: ")
    assert message in str(caught.value)


def test_a_factor_is_given_once() -> None:
    with pytest.raises(ScenarioError, match="given twice"):
        Study.load(SMALL, vary=[f"{COUNT}=1", f"{COUNT}=2"])


# ---- precision


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        ({"width": "10 %"}, False),
        ({"width": "13 %"}, True),
        ({"within": "120 USD"}, False),
        ({"within": "0.13 kUSD"}, True),
        ({"within": 130}, True),
    ],
)
def test_a_precision_is_reached(target: dict[str, Any], reached: bool) -> None:
    """Three values 950, 1000, 1050 have the interval 1000 ± 4.3027 x 50 / sqrt(3) = 124.2."""
    precision = Precision.model_validate({"figure": "debt.bad_debt", **target})
    assert precision.reached(np.array([950.0, np.nan, 1000.0, 1050.0])) is reached
    assert not precision.reached(np.array([1000.0]))
    assert not precision.reached(np.array([np.nan]))


def test_durations_of_a_precision_are_in_seconds() -> None:
    values = np.array([950.0, 1000.0, 1050.0])
    assert Precision(figure="wait.mean", within="3 min").reached(values)
    assert not Precision(figure="wait.mean", within="2 min").reached(values)


# ---- mistakes


def mistakes(tmp_path: Path, text: str) -> list[tuple[int, int, str]]:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        Study.load(path).check()
    found = []
    for mistake in caught.value.mistakes:
        assert mistake.mark is not None
        assert mistake.mark.file == path.as_posix()
        found.append((mistake.mark.line, mistake.mark.column, mistake.message))
    return found


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message"),
    [
        ("title:", "titel:", 1, 1, "unknown key 'titel'; did you mean 'title'?"),
        (SMALL.as_posix(), "smal.yaml", 3, 11, "there is no such file"),
        (f"scenario: {SMALL.as_posix()}", "", 1, 1, "'scenario' is missing"),
        (SMALL.as_posix(), "[1]", 3, 11, "must be the path of a scenario file"),
        ("{duration: 20min}", "{duration: 20}", 4, 17, "20 has no unit"),
        (
            "{duration: 20min}",
            "{agents.kepers.count: 1}",
            4,
            7,
            "there is no 'agents.kepers' in the scenario; did you mean 'agents.keepers'?",
        ),
        ("{duration: 20min}", "{duration.: 1}", 4, 7, "no empty steps"),
        ("[1, 3]", "[1, 2.5, 3]", 7, 31, "must be a valid integer"),
        ("[1, 3]", "[1, 3, 1]", 7, 27, "has two equal levels, 1 and 1"),
        ("[1, 3]", "[]", 7, 27, "has no levels"),
        (COUNT + ": [", "agents.kepers.count: [", 7, 5, "did you mean 'agents.keepers'?"),
        (COUNT + ": [", "agents.keepers.cuont: [", 7, 5, "unknown key 'cuont'; did you mean 'count'?"),
        ("kind: random", "kind: randm", 8, 79, "did you mean 'random'?"),
        ("200 %", "200 USD", 11, 37, "has an unknown unit"),
        ("[agents.keepers]", "[agents.kepers]", 13, 29, "there is no 'agents.kepers' to leave out; did you mean 'agents.keepers'?"),
        ("without_keepers:", "as_written:", 13, 11, "'as_written' is a world already"),
        ("replications: 4", "worlds: [as_writen]", 12, 10, "there is no world 'as_writen'; did you mean 'as_written'?"),
        ("replications: 4", "replications: 0", 12, 15, "greater than or equal to 1"),
        ("replications: 4", "precision: {figure: dbt.x, width: 1 %}", 12, 21, "there is no metric 'dbt'; did you mean 'debt'?"),
        ("replications: 4", "precision: {figure: debt, width: 1 %}", 12, 21, "'debt' is a metric, not a figure"),
        ("replications: 4", "precision: {figure: debt.x, width: 1 %, world: without_keeper}", 12, 48, "did you mean 'without_keepers'?"),
        ("replications: 4", "precision: {figure: debt.bad_debt, within: 30 s}", 12, 44, "'30 s' is in s, and debt.bad_debt in USD"),
        ("replications: 4", "replications: 4\nprecision: {figure: debt.x, width: 1 %}", 12, 15, "both say how often a point is run"),
        ("replications: 4", "precision: {figure: debt.x}", 12, 1, "needs either 'width'"),
        ("replications: 4", "precision: {figure: debt.x, within: much}", 12, 37, "a number or a quantity like '5 kUSD', not 'much'"),
        ("replications: 4", "precision: {figure: debt.x, width: 1 %, most: 4}", 12, 1, "'most' is 4 and 'least' 8"),
        ("kind: curves", "kind: curvs", 14, 25, "did you mean 'curves'?"),
        (f"over: {COUNT}", "over: keepers", 14, 65, "there is no factor 'keepers'; known are: agents.keepers.count"),
    ],
)
def test_one_mistake(tmp_path: Path, old: str, new: str, line: int, column: int, message: str) -> None:
    assert GOOD.count(old) == 1
    found = mistakes(tmp_path, GOOD.replace(old, new))
    assert len(found) == 1
    assert found[0][:2] == (line, column)
    assert message in found[0][2]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("title:", "titel:").replace("20min", "20").replace("[1, 3]", "[]").replace("curves", "curvs")
    assert [line for line, _, _ in mistakes(tmp_path, text)] == [1, 4, 7, 14]
    text = GOOD.replace("kind: random", "kind: randm").replace("[1, 3]", "[1, 2.5]").replace("200 %", "200 USD")
    assert [line for line, _, _ in mistakes(tmp_path, text)] == [7, 8, 11]


def test_a_scenario_that_is_written_out_has_its_places(tmp_path: Path) -> None:
    text = f"scenario:\n  extends: {SMALL.as_posix()}\n  duration: 1\n"
    ((line, column, message),) = mistakes(tmp_path, text)
    assert (line, column) == (3, 13)
    assert "1 has no unit" in message


def test_a_world_that_is_nowhere(tmp_path: Path) -> None:
    text = f"scenario: {SMALL.as_posix()}\nset: {{attacks.outage: null}}\nworlds: [as_written, without_attacks]\n"
    assert mistakes(tmp_path, text) == [(3, 22, "no point of the study has a world 'without_attacks': there are no attacks")]


def test_what_cannot_be_left_out_names_the_world() -> None:
    with pytest.raises(ScenarioError, match="in world 'off_chain', there is no chain 'arb'"):
        of(without={"off_chain": ["chains.arb"]}).check()


def test_an_empty_grid(tmp_path: Path) -> None:
    ((line, column, message),) = mistakes(tmp_path, f"scenario: {SMALL.as_posix()}\nvary: {{factors: {{}}}}\n")
    assert (line, column) == (2, 8)
    assert "there is nothing to vary" in message


def test_a_range_is_tried_at_its_ends(tmp_path: Path) -> None:
    vary = "{kind: latin_hypercube, size: 200, factors: {attacks.outage.lasts: {from: -1, to: 5 min}}}"
    text = f"scenario: {SMALL.as_posix()}\nvary: {vary}\n"
    assert "different units" in mistakes(tmp_path, text)[0][2]
    found = mistakes(tmp_path, text.replace("from: -1,", "from: -9 min,"))
    assert [one[:2] for one in found] == [(2, 52)]
    assert "must be 0 or more" in found[0][2]


def test_every_level_is_tried_and_few_of_very_many() -> None:
    grid = of(vary={"factors": {COUNT: list(range(1, 10)), "attacks.outage.lasts": ["1min", "2min", "3min"]}})
    tried = covering(grid.points)
    assert len(tried) == 9 + 3 - 1
    assert {(name, level) for point in tried for name, level in point.levels.items()} == {
        (name, level) for point in grid.points for name, level in point.levels.items()
    }
    many = of(vary={"factors": {COUNT: list(range(1, MANY + 2)), "chains.arb.ordering": [{"kind": "random"}, {"kind": "priority_fee"}]}})
    assert [point.levels[COUNT] for point in covering(many.points)] == [1.0, 1.0, MANY + 1.0]


# ---- the schema for editors


def test_the_committed_schema_is_that_of_the_code() -> None:
    assert json.loads(FILE.read_text("utf-8")) == schema(), "write l2sim.study.schema.schema() to docs/study.schema.json"


def test_every_field_and_kind_is_in_the_schema() -> None:
    page = schema()
    assert set(page["properties"]) == {field.alias or name for name, field in Study.model_fields.items()}
    text = json.dumps(page)
    for name in ("designs", "comparisons"):
        for kind, part in room(name).kinds().items():
            assert f'"kind": {{"const": "{kind}"}}' in text
            assert json.dumps(summary(part))[1:40] in text
    assert (FILE.parent / page["properties"]["scenario"]["anyOf"][1]["$ref"]).is_file()
    assert "required" not in page


def test_the_room_of_studies_loads_what_is_asked_for() -> None:
    assert "Study" in dir(l2sim.study)
    with pytest.raises(AttributeError, match="studdy"):
        _ = l2sim.study.studdy
