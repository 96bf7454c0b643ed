"""A scenario's identity and its variants: resolved form, digest, vary, without; and presets with their sources."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sim import presets
from l2sim.scenario import Scenario, ScenarioError
from l2sim.scenario.nodes import plain, read
from l2sim.scenario.provenance import leaves, preset
from l2sim.units import HOUR

STREET: dict[str, Any] = {
    "title": "Street: 'quoted', \u00e9 and #",
    "duration": "8h",
    "assumptions": {"fees": "constant"},
    "prices": {
        "eth": {"kind": "jump_diffusion", "start": "3000 USD", "volatility": "90 %", "shocks": {"crash": {"at": "4h", "size": "-12 %"}}}
    },
    "network": {"within": "1ms", "links": {"us_east": {"europe": {"kind": "lognormal", "median": "40ms"}}}},
    "chains": {"l1": {"preset": "ethereum"}, "arb": {"preset": "arbitrum_one"}, "outside": {"kind": "outside", "recovery": "never"}},
    "markets": {"pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 1000}},
    "agents": {"robot": {"kind": "scripted", "count": 2, "region": "europe"}},
    "attacks": {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "4h10min", "lasts": "1h"}},
    "metrics": {"speed": {"kind": "throughput"}, "finality": {"kind": "time_to_finality"}},
}


@pytest.fixture(scope="module")
def street() -> Scenario:
    return Scenario.of(STREET)


def test_the_resolved_form_is_the_same_scenario(street: Scenario, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(street.yaml(), "utf-8")
    again = Scenario.load(tmp_path / "again.yaml")
    assert again.resolved() == street.resolved()
    assert (again.digest, again.yaml()) == (street.digest, street.yaml())
    assert again == street
    assert Scenario.of(street.resolved()) == street


def test_the_resolved_form_has_defaults_and_units(street: Scenario) -> None:
    resolved = street.resolved()
    assert resolved["agents"]["robot"]["reaction"] == "0 s"
    assert resolved["chains"]["arb"]["sequencer"] == {
        "kind": "sequencer", "count": 1, "region": "us_east", "reaction": "0 s", "block_time": "250 ms", "blocks": "fixed", "censors": [],
    }  # fmt: skip
    assert resolved["chains"]["outside"]["recovery"] == "never"
    assert "preset" not in street.yaml()


def test_the_order_of_writing_does_not_matter(street: Scenario) -> None:
    turned = {name: dict(reversed(part.items())) if isinstance(part, dict) else part for name, part in reversed(STREET.items())}
    assert Scenario.of(turned).yaml() == street.yaml()
    assert Scenario.of(turned).digest == street.digest


def test_different_scenarios_have_different_digests(street: Scenario) -> None:
    others = [street.vary(agents__robot__count=3), street.without_attacks(), street.vary(title="other"), street.vary(duration="7h")]
    assert len({street.digest, *(other.digest for other in others)}) == 5


def test_it_goes_to_other_processes(street: Scenario) -> None:
    again = pickle.loads(pickle.dumps(street))
    assert again == street
    assert again.vary(duration="1h").duration == HOUR
    assert len({again, street}) == 1


def test_vary(street: Scenario) -> None:
    varied = street.vary(agents__robot__reaction="2s", duration="1h")
    assert varied.duration == HOUR
    assert varied.agents["robot"].reaction == 2 * 10**9
    assert (street.duration, street.agents["robot"].reaction) == (8 * HOUR, 0)
    assert street.vary({"agents.robot.reaction": "2s"}, duration="1h") == varied
    assert street.vary(chains__arb__preset="op_mainnet").chains["arb"].model_dump()["sequencer"]["block_time"] == "2 s"
    with pytest.raises(ScenarioError, match=r"agents.robot.reacton: unknown key 'reacton'; did you mean 'reaction'\?"):
        street.vary(agents__robot__reacton="2s")


def test_without(street: Scenario) -> None:
    assert not street.without("agents.robot").agents
    assert list(street.without("metrics.speed", "agents.robot").metrics) == ["finality"]
    assert not street.without_attacks().attacks
    assert street.without_attacks().without_attacks() == street.without_attacks()
    with pytest.raises(ScenarioError, match=r"there is no 'agents.robt' to leave out; did you mean 'agents.robot'\?"):
        street.without("agents.robt")
    with pytest.raises(ScenarioError, match="there is no chain 'arb'"):
        street.without("chains.arb")


def test_scenarios_do_not_change(street: Scenario) -> None:
    with pytest.raises(ValueError, match="frozen"):
        street.duration = 1  # type: ignore[misc]


UNITS = {"duration": ["ns", "us", "ms", "s", "min", "h"], "usd": ["USD", "kUSD", "MUSD"], "fraction": ["", "%", "bps"]}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 876_000),  # hours in a hundred years, the longest that is accepted
    st.sampled_from(UNITS["duration"]),
    st.decimals("0.001", 10**6, places=3),
    st.sampled_from(UNITS["usd"]),
    st.data(),
)
def test_any_values_survive_the_round_trip(duration: int, time: str, depth: Any, money: str, data: st.DataObject) -> None:
    exponent = data.draw(st.decimals("0.0001", 5, places=4))
    unit = data.draw(st.sampled_from(UNITS["fraction"]))
    title = data.draw(st.text(max_size=20))
    chains = {"outside": {"kind": "outside", "depth": f"{depth} {money}", "exponent": f"{exponent} {unit}"}}
    scenario = Scenario.of({"title": title, "duration": f"{duration} {time}", "chains": chains})
    assert Scenario.of(scenario.resolved()).digest == scenario.digest


# ---- presets


PRESETS = presets.names()


def test_which_presets_there_are() -> None:
    assert {"ethereum", "arbitrum_one", "op_mainnet", "minimal"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_value_of_a_preset_is_sourced_or_assumed(name: str) -> None:
    page = preset(name)
    data, _ = plain(page.chain)
    paths = {".".join(where) for where, _ in leaves(data)}
    rows = page.rows()
    assert {row.path for row in rows} == paths
    branches = {path[:i] for path in paths for i, letter in enumerate(path + ".") if letter == "."}
    assert set(page.sources) | set(page.assumed) <= branches, "an entry speaks of nothing"
    assert not set(page.sources) & set(page.assumed)
    for row in rows:
        assert row.origin in ("sourced", "assumed")
        assert row.text.strip()
        if row.origin == "sourced":
            assert re.search(r"; .*\b20\d\d(-\d\d){0,2}$", row.text), f"{row.path}: write 'value; source; date', not '{row.text}'"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_is_and_nothing_else(name: str) -> None:
    page = read(presets.FOLDER / f"{name}.yaml")
    assert set(page.value) == {"about", "chain", "sources", "assumed"}
    assert preset(name).about.endswith(".")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_a_chain_that_states_what_matters(name: str) -> None:
    scenario = Scenario.of({"duration": "1h", "chains": {"l1": {"preset": "ethereum"}, "it": {"preset": name}}})
    assert scenario.chains["it"].kind in ("l1", "rollup")


def test_an_unknown_preset() -> None:
    with pytest.raises(ScenarioError, match=r"there is no preset 'arbitrum'; did you mean 'arbitrum_one'\?"):
        preset("arbitrum")


def test_provenance_tells_sourced_assumed_and_own_values_apart(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("duration: 1h\nchains:\n  l1: {preset: ethereum, slot: 6s}\n")
    scenario = Scenario.load(tmp_path / "s.yaml", set=["chains.l1.missed=1 %"])
    rows = {row.path: row for row in scenario.provenance()}
    assert {path for path in rows if path.startswith("chains.l1.")} == {
        f"chains.l1.{'.'.join(where)}" for where, _ in leaves(scenario.resolved()["chains"]["l1"])
    }
    slot, missed = rows["chains.l1.slot"], rows["chains.l1.missed"]
    assert (slot.value, slot.origin, slot.text.endswith("s.yaml:3:32")) == ("6 s", "scenario", True)
    assert (missed.origin, missed.text) == ("scenario", "--set chains.l1.missed=1 %")
    assert rows["chains.l1.gas_limit"].origin == "sourced"
    assert "EIP-7935" in rows["chains.l1.gas_limit"].text
    assert rows["chains.l1.blob_demand.calm"].origin == "assumed"
    assert rows["network.within.delay"].origin == "assumed"
    assert rows["network.within.delay"].text.startswith("default: ")
