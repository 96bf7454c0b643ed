"""Wrong scenarios: every mistake at once, with file, line, column, path and the nearest right spelling; never a traceback."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from validation import SCENARIOS as SMALL

from l2sim.part import room
from l2sim.scenario import Scenario, ScenarioError
from l2sim.simulation import simulate

GOOD = """\
title: Good
duration: 1h
prices:
  eth: {kind: path, points: {0: 3000 USD}}
chains:
  l1: {preset: ethereum}
  arb: {preset: arbitrum_one}
  outside: {kind: outside}
markets:
  pool: {kind: constant_product, on: arb, base: eth, base_reserve: 1000}
agents:
  robot:
    kind: scripted
    steps:
      one: {at: 1s, market: pool, action: sell, fields: {base_in: 1}}
attacks:
  outage: {kind: sequencer_outage, on: arb, begins: 10min, lasts: 5min}
metrics:
  speed: {kind: throughput}
  loot: {kind: profit_and_loss}
"""


def mistakes(tmp_path: Path, text: str | bytes, *changes: str) -> list[tuple[int, int, str, str]]:
    """Line, column, path and message of each."""
    path = tmp_path / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path, set=changes)
    found = []
    for mistake in caught.value.mistakes:
        assert mistake.mark is not None
        assert str(mistake).startswith(mistake.mark.file)
        found.append((mistake.mark.line, mistake.mark.column, mistake.path, mistake.message))
    return found


def test_the_good_one_is_good(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    Scenario.load(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "path", "message"),
    [
        # unknown keys
        ("duration: 1h", "duraton: 1h", 2, 1, "duraton", "unknown key 'duraton'; did you mean 'duration'?"),
        ("on: arb, base:", "onn: arb, base:", 10, 34, "markets.pool.onn", "unknown key 'onn'; did you mean 'on'?"),
        ("{preset: arbitrum_one}", "{preset: arbitrum_one, sequncer: {}}", 7, 31, "chains.arb.sequncer", "did you mean 'sequencer'?"),
        ("{preset: ethereum}", "{prest: ethereum}", 6, 3, "chains.l1", "a kind is missing: write 'kind: …' or 'preset: …'"),
        # kinds and presets
        ("kind: throughput", "kind: throughputt", 19, 17, "metrics.speed.kind", "did you mean 'throughput'?"),
        ("preset: ethereum", "preset: etherium", 6, 16, "chains.l1.preset", "there is no preset 'etherium'; did you mean 'ethereum'?"),
        # units
        ("duration: 1h", "duration: 10", 2, 11, "duration", "10 has no unit: write a duration like '250ms'"),
        ("duration: 1h", "duration: 1 USD", 2, 11, "duration", "'1 USD' has an unknown unit"),
        ("duration: 1h", "duration: -1h", 2, 11, "duration", "must be "),
        ("duration: 1h", "duration: 0", 2, 11, "duration", "must be more than 0"),
        ("lasts: 5min", "lasts: -5min", 17, 67, "attacks.outage.lasts", "must be "),
        ("0: 3000 USD", "0: 3000", 4, 33, "prices.eth.points.0", "3000 has no unit"),
        ("0: 3000 USD", "0: 3000 USD, 4x: 1 USD", 4, 43, "prices.eth.points.4x", "'4x' has an unknown unit"),
        # what is not there
        ("on: arb, base:", "on: abr, base:", 10, 38, "markets.pool.on", "there is no chain 'abr'; did you mean 'arb'?"),
        ("base: eth", "base: etc", 10, 49, "markets.pool.base", "there is no price 'etc'; did you mean 'eth'?"),
        ("market: pool", "market: pol", 15, 29, "agents.robot.steps.one.market", "there is no market 'pol'; did you mean 'pool'?"),
        ("on: arb, begins", "on: art, begins", 17, 40, "attacks.outage.on", "there is no chain 'art'; did you mean 'arb'?"),
        ("on: arb, base:", "base:", 10, 3, "markets.pool", "'on' is missing: The chain it lives on."),
        # what does not go together
        ("on: arb, base:", "on: outside, base:", 10, 38, "markets.pool.on", "which has no markets; chains that have: arb, l1"),
        ("{preset: arbitrum_one}", "{preset: arbitrum_one, settles_on: outside}", 7, 43, "chains.arb.settles_on", "of kind 'l1' are: l1"),
        ("{preset: arbitrum_one}", "{preset: arbitrum_one, region: us_est}", 7, 39, "chains.arb.region", "did you mean 'us_east'?"),
        ("{preset: arbitrum_one}", "{preset: arbitrum_one, settles_on: null}", 7, 43, "chains.arb.settles_on", "needs an L1 to post to"),
        (
            "{preset: arbitrum_one}",
            "{preset: arbitrum_one, block_gas_limit: 90 kgas}",
            7,
            48,
            "chains.arb.block_gas_limit",
            "'buy' in market",
        ),
        ("on: arb, begins", "on: l1, begins", 17, 40, "attacks.outage.on", "where kind 'rollup' is due; of that kind are: arb"),
        ("kind: scripted", "kind: scripted\n    holdings: {abr: {usd: 1 USD}}", 14, 16, "agents.robot.holdings.abr", "did you mean 'arb'?"),
        ("kind: scripted", "kind: scripted\n    holdings: {arb: {btc: 1}}", 14, 22, "agents.robot.holdings.arb.btc", "no price 'btc'"),
        ("  robot:", "  bot: {kind: oracle_reporter, feed: pool}\n  robot:", 12, 38, "agents.bot.feed", "which has no action 'report'"),
        ("action: sell", "action: sel", 15, 43, "agents.robot.steps.one.action", "market 'pool' has no action 'sel'; did you mean 'sell'?"),
        ("base_in: 1", "base_inn: 1", 15, 58, "agents.robot.steps.one.fields.base_inn", "did you mean 'base_in'?"),
        # answers about nobody
        (
            "duration: 1h",
            "answer: [speed.abr.blocks: x]\nduration: 1h",
            2,
            10,
            "answer.0.speed.abr.blocks",
            "no chain of that name; did you mean",
        ),
        (
            "n: 1h",
            "n: 1h\nanswer: [loot.groups.robt.profit: x]",
            3,
            10,
            "answer.0.loot.groups.robt.profit",
            "did you mean 'robot'?",
        ),
        # names
        ("  speed:", "  Speed-up:", 19, 3, "metrics.Speed-up", "write 'speed_up'"),
        ("  speed:", "  2nd:", 19, 3, "metrics.2nd", "a name is lower-case letters"),
        # shape
        ("title: Good", "title: [1]", 1, 8, "title", "must be a valid string"),
        ("{kind: throughput}", "7", 19, 10, "metrics.speed", ""),
        ("points: {0: 3000 USD}", "points: 4", 4, 29, "prices.eth.points", "must be a valid dictionary, not 4"),
    ],
)
def test_one_mistake(tmp_path: Path, old: str, new: str, line: int, column: int, path: str, message: str) -> None:
    assert GOOD.count(old) == 1
    found = mistakes(tmp_path, GOOD.replace(old, new))
    assert any(one[:3] == (line, column, path) and message in one[3] for one in found), found


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("duration: 1h", "duration: 1").replace("on: arb, base:", "on: abr, base:").replace("throughput", "thruput")
    found = mistakes(tmp_path, text, "attacks.outage.lasts=1", "prices.eth.pionts={}")
    assert [(line, column, path) for line, column, path, _ in found if line > 1] == [
        (2, 11, "duration"),
        (10, 38, "markets.pool.on"),
        (19, 17, "metrics.speed.kind"),
    ]
    assert [path for line, _, path, _ in found if line == 1] == ["attacks.outage.lasts", "prices.eth.pionts"]


def test_what_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.replace("lasts: 5min", "lasst: 5min"))
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path, set=["agents.robot.count=none"])
    assert str(caught.value) == "\n".join(
        [
            "--set agents.robot.count=none: agents.robot.count: must be a valid integer, unable to parse string as an integer, not 'none'",
            "    1 | --set agents.robot.count=none",
            "      |                          ^",
            f"{path}:17:3: attacks.outage: 'lasts' is missing: How long it lasts.",
            "   17 |   outage: {kind: sequencer_outage, on: arb, begins: 10min, lasst: 5min}",
            "      |   ^",
            f"{path}:17:60: attacks.outage.lasst: unknown key 'lasst'; did you mean 'lasts'?",
            "   17 |   outage: {kind: sequencer_outage, on: arb, begins: 10min, lasst: 5min}",
            "      |" + " " * 60 + "^",
        ]
    )


def test_a_mistake_below_an_overlay_is_traced_to_the_file_it_is_in(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD.replace("begins: 10min", "begins: 10 mni"))
    (tmp_path / "top.yaml").write_text("extends: base.yaml\nattacks:\n  outage: {lasts: 1}\n")
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(tmp_path / "top.yaml")
    places = [(Path(m.mark.file).name, m.mark.line, m.mark.column) for m in caught.value.mistakes if m.mark]
    assert places == [("base.yaml", 17, 53), ("top.yaml", 3, 19)]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: [1, 2\n", 2, 1, "not YAML: expected ',' or ']'"),
        ("a: b: c\n", 1, 5, "not YAML: mapping values are not allowed here"),
        ("title: x\n\tduration: 1h\n", 2, 1, "not YAML: found character '\\t'"),
        ("title: *nobody\n", 1, 8, "not YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, 1, "not YAML: but found another document"),
        ("title: x\nduration: 1h\ntitle: y\n", 3, 1, "'title' is written twice, first in line 1"),
        ("agents: {a: {kind: x}, a: {kind: y}}\n", 1, 24, "'a' is written twice"),
        ("? [1, 2]\n: x\n", 1, 3, "a key must be a name"),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}\n", 2, 5, "'<<' merges mappings in YAML 1.1 only"),
        ("a: &x {b: *x}\n", 1, 8, "contains itself"),
        ("", 0, 0, "is empty; a scenario starts with"),
        ("# nothing but a comment\n", 0, 0, "is empty; a scenario starts with"),
        ("- a\n- b\n", 0, 0, "holds no mapping"),
        ("just text\n", 0, 0, "holds no mapping"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", 0, 0, "is not a text file in UTF-8 (byte 0 is 0x89)"),
        (b"title: caf\xe9\n", 0, 0, "is not a text file in UTF-8 (byte 10 is 0xe9)"),
        (b"PK\x03\x04\x00\x00", 0, 0, "not YAML"),
        ("a: " + "[" * 3000, 0, 0, "not YAML"),
        ("a: !!python/object:os.system x\n", 1, 4, "not YAML"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str | bytes, line: int, column: int, message: str) -> None:
    (found,) = mistakes(tmp_path, text)
    assert message in found[3]
    assert found[:2] == (line, column)


def test_a_byte_order_mark_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert Scenario.load(tmp_path / "s.yaml").title == "Good"


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="is a directory"):
        Scenario.load(tmp_path)
    with pytest.raises(ScenarioError, match=r"there is no such file$"):
        Scenario.load(tmp_path / "none" / "s.yaml")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("ehh", "there is no price or market 'ehh'"),
        ("pool", "there is no price or market 'pool'"),
        ("far", "feed 'far' is on 'l1', not on 'arb'"),
    ],
)
def test_an_index_is_a_price_or_a_feed_on_the_same_chain(tmp_path: Path, index: str, message: str) -> None:
    feeds = "  feed: {kind: price_feed, on: arb, of: eth}\n  far: {kind: price_feed, on: l1, of: eth}\n"
    markets = feeds + "  perp: {kind: perpetual, on: arb, index: INDEX}\nagents:\n"
    for good in ("eth", "feed"):
        (tmp_path / "s.yaml").write_text(GOOD.replace("agents:\n", markets.replace("INDEX", good)))
        Scenario.load(tmp_path / "s.yaml")
    (found,) = mistakes(tmp_path, GOOD.replace("agents:\n", markets.replace("INDEX", index)))
    assert found[:3] == (13, 43, "markets.perp.index")
    assert message in found[3]


KEYS = ["title", "duration", "kind", "preset", "chains", "agents", "prices", "markets", "on", "steps", "data", "file", "columns", "extends"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from(["outside", "1h", "arbitrum_one", "scripted", "path", "", "eth"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=20,
)
SECTIONS = st.dictionaries(st.sampled_from(list(Scenario.model_fields)), TREES, max_size=6)


@settings(max_examples=150, deadline=None)
@given(SECTIONS)
def test_anything_is_a_scenario_or_a_list_of_mistakes(mapping: dict[str, Any]) -> None:
    try:
        scenario = Scenario.of(mapping)
    except ScenarioError as error:
        found = str(error)
    else:
        found = "a scenario"
        assert Scenario.of(scenario.resolved()) == scenario
    assert found


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_a_damaged_file_gives_mistakes_with_places(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    characters = list(GOOD)
    for _ in range(rng.randint(1, 3)):
        characters[rng.randrange(len(characters))] = rng.choice("xX:{}[],'\"&*#\n\t -01")
    path = tmp_path / "s.yaml"
    path.write_text("".join(characters))
    try:
        Scenario.load(path)
    except ScenarioError as error:
        lines = "".join(characters).splitlines()
        for mistake in error.mistakes:
            assert mistake.mark is not None
            if mistake.mark.line and mistake.mark.file == path.as_posix():
                assert mistake.mark.line <= len(lines) + 1
                assert mistake.mark.column <= (len(lines[mistake.mark.line - 1]) if mistake.mark.line <= len(lines) else 0) + 1


def test_whatever_is_measured_may_be_the_answer(tmp_path: Path) -> None:
    """Of each metric that says what its figures are about, the figures of a run."""
    kinds = [kind for kind, metric in room("metrics").kinds().items() if getattr(metric, "subjects", ())]
    metrics = {kind: {"kind": kind} for kind in kinds} | {f"by_{kind}": {"kind": kind, "by": "agent"} for kind in kinds if "_delay" in kind}
    del metrics["by_withdrawal_delay"]
    scenario = Scenario.load(SMALL / "venue_on_l1.yaml").vary({"metrics": metrics, "duration": "20min"})
    figures = [str(figure) for figure in simulate(scenario).summary]
    assert {figure.partition(".")[0] for figure in figures} >= {"by_inclusion_delay", "extraction", "profit_and_loss", "fee_components"}
    assert scenario.vary({"answer": [dict.fromkeys(figures, "")]}).answer
    # An attack's figures are asked of the world without it too.
    assert Scenario.of(scenario.resolved() | {"attacks": {}, "answer": [{"profit_and_loss.groups.gone.profit": ""}]}, "calm").answer
