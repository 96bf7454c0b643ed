"""Scenario files: YAML 1.2, overlays by extends, presets and --set, in that order."""

from pathlib import Path
from typing import Any

import pytest

from l2sim.scenario import Scenario, ScenarioError
from l2sim.scenario.nodes import grown, merge, parse, plain, setting

BASE = """\
title: Base
duration: 1h
prices:
  eth: {kind: jump_diffusion, start: 3000 USD, volatility: 90 %}
chains:
  outside: {kind: outside, depth: 40 MUSD}
metrics:
  speed: {kind: throughput}
"""


def write(folder: Path, text: str, name: str = "base.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def data(text: str) -> Any:
    return plain(parse(text, "text"))[0]


def test_a_file_becomes_a_scenario(tmp_path: Path) -> None:
    scenario = Scenario.load(write(tmp_path, BASE))
    assert (scenario.title, scenario.duration, scenario.name) == ("Base", 3600 * 10**9, "base")
    assert scenario.chains["outside"].kind == "outside"
    assert list(scenario.metrics) == ["speed"]


def test_yaml_is_version_1_2() -> None:
    read = data("{a: 1e-3, b: no, c: 2025-11-11, d: 0o17, e: 012, f: ~, g: on, h: true, i: 1_000}")
    expected = {"a": 0.001, "b": "no", "c": "2025-11-11", "d": 15, "e": 12, "f": None, "g": "on", "h": True, "i": 1000}
    assert read == expected


def test_keys_are_text_whatever_they_look_like() -> None:
    assert data("{1: a, null: b, 2.5: c}") == {"1": "a", "2.5": "c", "null": "b"}


def test_anchors_are_followed() -> None:
    assert data("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("child", "parent", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"x": 0, "y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": 5}, {"a": {"x": 0}}, {"a": 5}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": {"x": 1}}),
        ({"a": [1]}, {"a": [2, 3]}, {"a": [1]}),
        ({"a": {"kind": "k", "x": 1}}, {"a": {"kind": "k", "y": 2}}, {"a": {"kind": "k", "x": 1, "y": 2}}),
        ({"a": {"kind": "k", "x": 1}}, {"a": {"kind": "l", "y": 2}}, {"a": {"kind": "k", "x": 1}}),
        ({"a": {"gone": None}}, {"a": {"gone": {"kind": "k"}, "stays": 1}}, {"a": {"stays": 1}}),
        ({"a": {"b": {"c": None}}}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": None}}}),
    ],
)
def test_overlays(child: Any, parent: Any, expected: Any) -> None:
    assert plain(merge(grown(child, ""), grown(parent, "")))[0] == expected


def test_extends_lays_a_file_over_another(tmp_path: Path) -> None:
    write(tmp_path, BASE)
    (tmp_path / "sub").mkdir()
    path = write(tmp_path, "extends: ../base.yaml\ntitle: Thin\nchains: {outside: {depth: 1 MUSD}}\nmetrics: {speed: ~}\n", "sub/thin.yaml")
    scenario = Scenario.load(path)
    assert (scenario.title, scenario.duration) == ("Thin", 3600 * 10**9)
    assert scenario.chains["outside"].model_dump(include={"depth", "exponent"}) == {
        "kind": "outside",
        "depth": "1 MUSD",
        "exponent": "50 %",
    }
    assert not scenario.metrics


def test_extends_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(ScenarioError, match=r"b.yaml:1:10: extends: 'a.yaml' extends this file"):
        Scenario.load(tmp_path / "a.yaml")


def test_extends_a_file_that_is_missing(tmp_path: Path) -> None:
    write(tmp_path, BASE)
    path = write(tmp_path, "title: x\nextends: bsae.yaml\n", "child.yaml")
    with pytest.raises(ScenarioError, match=r"child.yaml:2:10: extends: .*bsae.yaml: there is no such file; did you mean 'base.yaml'\?"):
        Scenario.load(path)


def test_settings_come_last(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    scenario = Scenario.load(path, set=["duration=2h", "chains.outside.depth=7 MUSD", "prices.eth.shocks.crash={at: 1h, size: -12 %}"])
    assert scenario.duration == 7200 * 10**9
    assert scenario.chains["outside"].model_dump()["depth"] == "7 MUSD"
    assert scenario.prices["eth"].shocks["crash"].size == -0.12
    assert Scenario.load(path, set=["duration=2h", "duration=3h"]).duration == 3 * 3600 * 10**9
    assert not Scenario.load(path, set=["metrics.speed=null"]).metrics


def test_a_setting_of_another_kind_replaces(tmp_path: Path) -> None:
    scenario = Scenario.load(write(tmp_path, BASE), set=["prices.eth={kind: path, points: {0: 3000 USD}}"])
    assert scenario.prices["eth"].kind == "path"


@pytest.mark.parametrize("text", ["duration", "=2h", "a..b=1", ".a=1"])
def test_a_setting_without_path_or_value(text: str) -> None:
    with pytest.raises(ScenarioError, match="write --set PATH=VALUE"):
        setting(text)


def test_a_preset_is_overlaid_not_copied(tmp_path: Path) -> None:
    text = "duration: 1h\nchains:\n  l1: {preset: ethereum, slot: 6s}\n  arb: {preset: arbitrum_one, sequencer: {block_time: 1s}}\n"
    scenario = Scenario.load(write(tmp_path, text), set=["chains.arb.preset=op_mainnet"])
    l1, arb = (scenario.chains[name].model_dump(mode="json") for name in ("l1", "arb"))
    assert (l1["slot"], l1["slots_per_epoch"], l1["gas_limit"]) == ("6 s", 32, "60 Mgas")
    assert (arb["sequencer"]["block_time"], arb["sequencer"]["kind"], arb["ordering"]["kind"]) == ("1 s", "sequencer", "priority_fee")


def test_part_of_a_preset_may_be_of_another_kind(tmp_path: Path) -> None:
    text = "duration: 1h\nchains: {l1: {preset: ethereum}, arb: {preset: arbitrum_one, ordering: {kind: random}, fee: {kind: eip1559}}}\n"
    arb = Scenario.load(write(tmp_path, text)).chains["arb"].model_dump(mode="json")
    assert (arb["ordering"]["kind"], arb["fee"]["kind"]) == ("random", "eip1559")
