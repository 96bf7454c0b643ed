"""Chains whose staff, settlement and L1 do not go together are refused before the run, each at its place and with what mends it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from l2sim.scenario import Scenario, ScenarioError


def of(preset: str, *settings: str, **sections: Any) -> Scenario:
    """A rollup over a preset, from which a bridge leads away; settings as on a command line."""
    bridge = {"bridge": {"kind": "bridge", "on": "it", "escrow": 1.0}}
    chains = {"l1": {"preset": "ethereum"}, "it": {"preset": preset}}
    written = {"duration": "1h", "chains": chains, "markets": bridge, **sections}
    return Scenario.of(written).vary(dict(read(setting) for setting in settings))


def read(setting: str) -> tuple[str, Any]:
    path, _, value = setting.partition("=")
    return path, YAML(typ="safe", pure=True).load(value)


RIVALS = "where assertions have no rivals, so a staker has nothing to play"
CAP = "uses 16777216 gas at most at the start, not 20000000; it would never be included"
SETTLES, POSTER, FORCED = "chains.it.settlement", "chains.it.batch_poster", "chains.it.forced_inclusion"


@pytest.mark.parametrize(
    ("preset", "setting", "place", "message", "mend"),
    [
        # who serves
        ("arbitrum_one", f"{SETTLES}={{kind: dispute_game}}", "chains.it.proposer.kind", RIVALS, "chains.it.proposer={kind: proposer}"),
        ("arbitrum_one", f"{SETTLES}={{kind: validity_proof}}", "chains.it.proposer.kind", RIVALS, "chains.it.proposer={kind: proposer}"),
        (
            "op_mainnet",
            "agents={watch: {kind: staker, 'on': it}}",
            "agents.watch.on",
            "use an agent of kind 'validator'",
            "agents={watch: {kind: validator, 'on': it}}",
        ),
        (
            "op_mainnet",
            "chains.it.sequencer={kind: proposer}",
            "chains.it.sequencer.kind",
            "kinds that are: sequencer",
            "chains.it.sequencer={kind: sequencer, block_time: 1s}",
        ),
        (
            "op_mainnet",
            f"{POSTER}={{kind: proposer}}",
            f"{POSTER}.kind",
            "kinds that are: batch_poster",
            f"{POSTER}={{kind: batch_poster}}",
        ),
        (
            "op_mainnet",
            "chains.it.proposer={kind: batch_poster}",
            "chains.it.proposer.kind",
            "kinds that are: proposer, staker",
            "chains.it.proposer={kind: proposer}",
        ),
        ("op_mainnet", "agents={more: {kind: proposer}}", "agents.more.kind", "write it under 'chains.NAME.proposer'", "agents={}"),
        ("op_mainnet", "chains.it.fee={kind: blob}", "chains.it.fee.kind", "choose another", "chains.it.fee={kind: eip1559}"),
        # what fits into a transaction on L1
        ("zksync_era", f"{SETTLES}.verification_gas=20 Mgas", f"{SETTLES}.verification_gas", CAP, f"{SETTLES}.verification_gas=16 Mgas"),
        ("op_mainnet", f"{SETTLES}.assertion_gas=20 Mgas", f"{SETTLES}.assertion_gas", CAP, f"{SETTLES}.assertion_gas=16 Mgas"),
        ("op_mainnet", f"{SETTLES}.step_gas=20 Mgas", f"{SETTLES}.step_gas", CAP, "chains.l1.fork=prague"),
        ("scroll", f"{SETTLES}.gas_per_proof=1 Mgas", f"{SETTLES}.verification_gas", "not 120400000", f"{SETTLES}.aggregate=12"),
        ("arbitrum_one", f"{FORCED}.force_gas=20 Mgas", f"{FORCED}.force_gas", CAP, f"{FORCED}.force_gas=1 Mgas"),
        ("op_mainnet", "markets.bridge.payment_gas=20 Mgas", "markets.bridge.payment_gas", CAP, "markets.bridge.payment_gas=1 Mgas"),
        # what must be put down
        (
            "op_mainnet",
            "chains.it.proposer.funds=0.05 ETH",
            "chains.it.proposer.funds",
            "takes 0.08 ETH with a first assertion",
            "chains.it.proposer.funds=1 ETH",
        ),
        (
            "arbitrum_one",
            "chains.it.proposer.funds=10 ETH",
            "chains.it.proposer.funds",
            "takes 3600 ETH",
            "chains.it.proposer.funds=4000 ETH",
        ),
        ("op_mainnet", f"{SETTLES}.kind=bold", "chains.it.proposer.funds", "takes 3600 ETH", "chains.it.proposer.funds=4000 ETH"),
        # who makes proofs
        ("zksync_era", "agents={p: {kind: prover, 'on': it}}", "agents.p.on", "nobody buys proofs for 'it'", f"{SETTLES}.market={{}}"),
        ("zksync_era", f"{SETTLES}.market={{}}", f"{SETTLES}.market", "write 'market: null'", "agents={provers: {kind: prover, 'on': it}}"),
        (
            "zksync_era",
            "agents={p: {kind: prover, 'on': it}}; attacks={down: {kind: prover_outage, 'on': it, provers: p, begins: 1min, lasts: 1min}}",
            "attacks.down.on",
            "nobody buys proofs for 'it'",
            f"{SETTLES}.market={{}}",
        ),
        # who contests, and who watches over that
        (
            "op_mainnet",
            "attacks={late: {kind: delay_attack, 'on': it, begins: 1min, lasts: 1min}}",
            "attacks.late.on",
            "use an attack of kind 'stalled_game'",
            "attacks={late: {kind: stalled_game, 'on': it, begins: 1min, lasts: 1min}}",
        ),
        (
            "op_mainnet",
            f"agents={{v: {{kind: validator, 'on': it}}}}; {SETTLES}.guardian=v",
            f"{SETTLES}.guardian",
            "name an agent of kind 'security_council'",
            f"{SETTLES}.guardian=null",
        ),
        (
            "op_mainnet",
            f"agents={{v: {{kind: security_council, 'on': it}}}}; {SETTLES}.guardian=v; {SETTLES}.challenger=v",
            f"{SETTLES}.challenger",
            "does nothing as challenger: name an agent of kind 'validator'",
            f"{SETTLES}.challenger=null",
        ),
        # clocks
        (
            "op_mainnet",
            f"{POSTER}.policy.sub_safety_margin=50",
            f"{POSTER}.policy",
            "must be below 'channel_timeout'",
            f"{POSTER}.policy.channel_timeout=60",
        ),
        (
            "op_mainnet",
            f"{POSTER}.policy={{sequencing_window: 5000, max_channel_duration: 0}}",
            f"{FORCED}.window",
            "policy.max_channel_duration' below it",
            f"{POSTER}.policy.max_channel_duration=19",
        ),
        ("op_mainnet", f"{FORCED}.drift=20h", f"{FORCED}.drift", "lower 'drift'", f"{FORCED}.drift=1h"),
        ("op_mainnet", f"{FORCED}.confirmations=4000", FORCED, "lower 'confirmations'", f"{FORCED}.confirmations=40"),
        ("arbitrum_one", f"{FORCED}.confirmations=6000", f"{FORCED}.confirmations", "raise 'delay'", f"{FORCED}.delay=7000"),
        ("op_mainnet", f"{SETTLES}.response=4d", SETTLES, "'clock' longer", f"{SETTLES}.response=1h"),
        (
            "arbitrum_one",
            f"{POSTER}.policy.blob_replacements=[10min, 5min]",
            f"{POSTER}.policy",
            "in increasing order",
            f"{POSTER}.policy.blob_replacements=[5min, 10min]",
        ),
        # bounds of each other
        ("arbitrum_one", f"{POSTER}.policy.most_tip=0.5 gwei", POSTER, "so 'tip', 1 gwei, is never offered", f"{POSTER}.tip=0.5 gwei"),
        ("op_mainnet", f"{POSTER}.fill=2", f"{POSTER}.fill", "must be between 0 and 1", f"{POSTER}.fill=0.5"),
        (
            "op_mainnet",
            "chains.l1.blob_fee.forks.bpo2.blobs_per_transaction=30",
            "forks.bpo2",
            "raise 'maximum'",
            "chains.l1.blob_fee.forks.bpo2.maximum=30",
        ),
        (
            "op_mainnet",
            "chains.l1.blob_fee.forks.bpo2.begins=1764798551",
            "chains.l1.blob_fee",
            "'bpo2' and 'osaka' begin at the same time",
            "chains.l1.blob_fee.forks.bpo2.begins=1764798552",
        ),
        # sizes
        (
            "op_mainnet",
            "chains.l1.gas_limit=1e26 gas",
            "chains.l1.gas_limit",
            "must be a million Ggas at most",
            "chains.l1.gas_limit=100 Mgas",
        ),
        (
            "zksync_era",
            "chains.it.data_fee.l1_multiplier=1e20",
            "chains.it.data_fee.l1_multiplier",
            "a million at most",
            "chains.it.data_fee.l1_multiplier=2",
        ),
        (
            "op_mainnet",
            "chains.it.sequencer.block_time=1us",
            "chains.it.sequencer.block_time",
            "1 ms or more",
            "chains.it.sequencer.block_time=1ms",
        ),
        ("op_mainnet", "chains.l1.slot=1us", "chains.l1.slot", "1 ms or more", "chains.l1.slot=12s"),
    ],
)
def test_what_does_not_go_together_is_refused_and_the_mend_is_accepted(
    preset: str, setting: str, place: str, message: str, mend: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        of(preset, *setting.split("; "))
    assert any(one.path.endswith(place) and message in one.message for one in caught.value.mistakes), caught.value.mistakes
    of(preset, *setting.split("; "), mend)


@pytest.mark.parametrize("name", ["op_mainnet", "base", "unichain"])
def test_what_a_preset_says_to_another_policy_gives_way(name: str) -> None:
    for policy in ("backlog_and_urgency", "size_or_age", "blob_price_threshold"):
        poster = of(name, f"{POSTER}={{policy: {{kind: {policy}}}}}").chains["it"].batch_poster
        assert poster.policy.kind == policy
        assert poster.target_blob_fee == (20 if policy == "backlog_and_urgency" else 60) * 10**9
        assert poster.gas == 21_000
    with pytest.raises(ScenarioError, match="does not read 'target_blob_fee'"):
        of(name, f"{POSTER}={{policy: {{kind: backlog_and_urgency}}, target_blob_fee: 60 gwei}}")


def test_an_unread_value_is_refused_at_its_default_too_and_a_null_takes_it_back() -> None:
    with pytest.raises(ScenarioError, match=r"does not read 'blobs': set 'policy.target_blobs' instead"):
        of("op_mainnet", f"{POSTER}={{blobs: 3}}")
    taken = of("op_mainnet", f"{POSTER}={{blobs: null}}")
    assert taken == of("op_mainnet")
    assert Scenario.of(taken.resolved()) == taken


def test_what_an_extended_file_says_to_another_policy_gives_way(tmp_path: Path) -> None:
    base = "duration: 1h\nchains: {l1: {preset: ethereum}, it: {preset: arbitrum_one, batch_poster: {max_delay: 9min}}}\n"
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "child.yaml").write_text("extends: base.yaml\nchains: {it: {batch_poster: {policy: {kind: op_channels}}}}\n")
    assert Scenario.load(tmp_path / "child.yaml").chains["it"].batch_poster.policy.kind == "op_channels"
    with pytest.raises(ScenarioError, match="does not read 'max_delay'"):
        Scenario.load(tmp_path / "child.yaml", ["chains.it.batch_poster.max_delay=9min"])


@pytest.mark.parametrize("rule", [{"kind": "op_stack"}, {"kind": "arbitrum"}, {"kind": "starknet"}, {"kind": "zksync"}, 1])
def test_without_an_l1_no_fee_goes_by_its_fees(rule: Any) -> None:
    chain = {"preset": "minimal", "settles_on": None, "batch_poster": None, "data_fee_scalar": 1.0, "data_fee": rule}
    with pytest.raises(ScenarioError) as caught:
        Scenario.of({"duration": "1h", "chains": {"it": chain}})
    assert [one.path for one in caught.value.mistakes] == ["chains.it.data_fee"]
    assert "name an L1 under 'settles_on'" in caught.value.mistakes[0].message
    Scenario.of({"duration": "1h", "chains": {"it": chain | {"data_fee": 0}}})
    operator = {"kind": "op_stack", "base_fee_scalar": 0, "blob_base_fee_scalar": 0, "operator_fee_constant": "1 gwei"}
    Scenario.of({"duration": "1h", "chains": {"it": chain | {"data_fee": operator}}})


def test_an_unknown_preset_is_one_mistake() -> None:
    with pytest.raises(ScenarioError) as caught:
        of("arbitrum")
    assert [one.path for one in caught.value.mistakes] == ["chains.it.preset"]
