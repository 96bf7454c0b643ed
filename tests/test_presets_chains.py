"""The presets of chains: what comes with them and when, what is refused on top of them, and finality by a consensus of a chain's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import lived

from l2sim import presets
from l2sim.events import BatchPosted, BlockSealed, HeadAdvanced, TransactionIncluded
from l2sim.metrics.time_to_finality import TimeToFinality
from l2sim.metrics.value_at_risk_before_finality import ValueAtRiskBeforeFinality
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.streams import Streams
from l2sim.units import DAY, HOUR, MINUTE, SECOND
from l2sim.world.engine import Engine
from l2sim.world.world import World

SETTLED = {"op_mainnet", "base", "arbitrum_one", "unichain", "zksync_era", "starknet", "scroll", "linea", "taiko", "validium"}
PROVED = {"zksync_era", "starknet", "scroll", "linea", "taiko", "validium"}
OWN = {"hyperliquid_like", "dydx_like"}


def of(name: str, chain: dict[str, Any] | None = None, **sections: Any) -> Scenario:
    chains = {"l1": {"preset": "ethereum"}, "it": {"preset": name, **(chain or {})}}
    return Scenario.of({"duration": "1h", "prices": {}, "chains": chains} | sections)


PLAIN = (
    "kind: rollup, settles_on: l1, ordering: {kind: first_come_first_served}, fee: {kind: constant, fee: 0}, "
    "sequencer: {kind: sequencer, block_time: 2s}, settlement: {kind: validity_proof, "
)
BRIDGE = {"door": {"kind": "bridge", "on": "it", "asset": "usd", "escrow": 1e6}}


def test_the_presets_there_are() -> None:
    assert set(presets.names()) == SETTLED | OWN | {"ethereum", "minimal"}


@pytest.mark.parametrize("name", sorted(SETTLED))
def test_claims_are_made_where_something_depends_on_them(name: str) -> None:
    quiet = of(name).chains["it"]
    assert quiet.settlement is None
    assert quiet.proposer is None
    assert not quiet.disputed()
    bridged = of(name, markets=BRIDGE).chains["it"]
    assert bridged.settlement is not None
    assert bridged.proposer is not None
    assert of(name, {"settlement": {}}).chains["it"].settlement == bridged.settlement
    assert of(name, {"proposer": {"funds": "7000 ETH"}}).chains["it"].settlement == bridged.settlement
    assert of(name, {"settlement": None}, markets={}).chains["it"].proposer is None
    assert quiet.forced_inclusion == bridged.forced_inclusion is not None


PROVERS: dict[str, Any] = {"agents": {"provers": {"kind": "prover", "on": "it"}}}


@pytest.mark.parametrize(
    "section",
    [
        {"agents": {"watch": {"kind": "validator", "on": "it"}}},
        {"attacks": {"noise": {"kind": "stalled_game", "on": "it", "begins": "1min", "lasts": "1min"}}},
    ],
)
def test_who_is_about_a_settlement_brings_it_along(section: dict[str, Any]) -> None:
    assert of("op_mainnet", **section).chains["it"].settlement is not None


def test_who_is_not_does_not() -> None:
    section = {"attacks": {"down": {"kind": "sequencer_outage", "on": "it", "begins": "1min", "lasts": "1min"}}}
    assert of("op_mainnet", **section).chains["it"].settlement is None


def test_a_setting_of_the_command_line_counts_as_written() -> None:
    made = of("op_mainnet").vary(chains__it__settlement__clock="4d").chains["it"]
    assert made.settlement.clock == 4 * DAY
    assert made.proposer is not None


def test_without_a_settlement_nobody_proposes_and_without_a_proposer_the_settlement_stays() -> None:
    settlement = of("op_mainnet", markets=BRIDGE).chains["it"].settlement
    alone = of("op_mainnet", {"proposer": None}, markets=BRIDGE).chains["it"]
    assert (alone.settlement, alone.proposer) == (settlement, None)
    changed = of("op_mainnet", {"proposer": None, "settlement": {"clock": "4d"}}).chains["it"]
    assert (changed.settlement.clock, changed.proposer) == (4 * DAY, None)
    assert of("op_mainnet", {"proposer": None}).chains["it"].settlement is None  # nothing depends on it
    neither = of("op_mainnet", {"settlement": None}, agents={"watch": {"kind": "scripted", "steps": {}}}).chains["it"]
    assert neither.settlement is neither.proposer is None
    with pytest.raises(ScenarioError, match="'it' has no settlement: give it one"):
        of("op_mainnet", {"settlement": None}, markets=BRIDGE)


@pytest.mark.parametrize("name", sorted(PROVED))
def test_a_market_of_proofs_may_be_laid_over_a_preset(name: str) -> None:
    """What a proof takes and costs is the provers' then, whatever the preset says; what the scenario says of it is still refused."""
    plain = of(name, {"settlement": {}}).chains["it"].settlement
    for written in ({"market": {}}, {"kind": "validity_proof", "market": {}}):
        bought = of(name, {"settlement": written}, **PROVERS).chains["it"].settlement
        assert bought.market is not None
        assert bought.proving_time == type(bought).model_fields["proving_time"].default
        kept = set(type(bought).model_fields) - {"market", "proving_time", "proof_cost"}
        assert all(getattr(bought, field) == getattr(plain, field) for field in kept)
    later = {"agents.provers": PROVERS["agents"]["provers"], "chains.it.settlement.market": {}}
    assert of(name, {"settlement": {}}).vary(later).chains["it"].settlement == bought
    assert of(name, {"settlement": {"market": None}}).chains["it"].settlement == plain
    with pytest.raises(ScenarioError, match="the provers have 'proving_time' of their own"):
        of(name, {"settlement": {"market": {}, "proving_time": "7min"}})


TIMED = """\
duration: 1h
prices: {}
agents: {provers: {kind: prover, on: it}}
chains:
  l1: {preset: ethereum}
  it: {preset: zksync_era, settlement: {proving_time: 2h}}
"""


def extending(folder: Path, base: str, settlement: str, *settings: str) -> Any:
    """The settlement of a file that extends another."""
    (folder / "base.yaml").write_text(base, "utf-8")
    (folder / "child.yaml").write_text(f"extends: base.yaml\nchains: {{it: {{settlement: {settlement}}}}}\n", "utf-8")
    return Scenario.load(folder / "child.yaml", settings).chains["it"].settlement


def test_a_market_of_proofs_may_be_laid_over_a_file_that_says_what_proofs_take(tmp_path: Path) -> None:
    """What the file says gives way as what a preset says does; what the child itself says of both is refused, and mended by a null."""
    bought = extending(tmp_path, TIMED, "{market: {}}")
    assert bought == extending(tmp_path, TIMED, "{kind: validity_proof, market: {}}")
    assert bought == extending(tmp_path, TIMED, "{}", "chains.it.settlement.market={}")
    assert bought == of("zksync_era", {"settlement": {"market": {}}}, **PROVERS).chains["it"].settlement
    alone = "agents.provers=null"
    assert extending(tmp_path, TIMED, "{verification_gas: 1 Mgas}", alone).proving_time.value == 2 * HOUR
    assert extending(tmp_path, TIMED, "{market: null}", alone).proving_time.value == 2 * HOUR
    plain = TIMED.replace("preset: zksync_era, settlement: {", PLAIN)
    assert extending(tmp_path, plain, "{market: {}}").market is not None
    with pytest.raises(ScenarioError, match="'proving_time' of their own: leave it out here, or write 'market: null' for no market"):
        extending(tmp_path, TIMED, "{market: {}, proving_time: 7min}")
    market = TIMED.replace("proving_time: 2h", "market: {}")
    with pytest.raises(ScenarioError, match="or write 'market: null'"):
        extending(tmp_path, market, "{proving_time: 7min}")
    assert extending(tmp_path, market, "{market: null, proving_time: 7min}", alone).proving_time.value == 7 * MINUTE


def test_every_preset_with_proofs_is_looked_at() -> None:
    assert {name for name in SETTLED if of(name, {"settlement": {}}).chains["it"].settlement.kind == "validity_proof"} == PROVED


@pytest.mark.parametrize("name", ["op_mainnet", "base", "unichain"])
def test_a_bridge_of_the_op_stack_has_proofs_mature(name: str) -> None:
    """Proved two days late, a withdrawal is paid seven days after its proof; a bridge that says otherwise, 0 included, has its way."""
    for own, longest in (({}, 7.0), ({"proof_maturity": "8d"}, 8.0), ({"proof_maturity": 0}, 0.0)):
        bridge = {"kind": "bridge", "on": "it", "escrow": 1e9, **own}
        leavers = {"kind": "crowd_of_withdrawers", "size": 10, "market": "bridge", "rate": "2 /h", "amount": "100 USD"}
        log = lived(
            of(
                name, {"sequencer": {"block_time": "30min"}}, duration="12d", markets={"bridge": bridge},
                agents={"leavers": {**leavers, "until": "5h", "delay": "2d"}},
            )
        )  # fmt: skip
        proved, paid = log.frame("WithdrawalProven"), log.frame("WithdrawalFinalized")
        assert len(paid) > 3
        both = paid.merge(proved, on=["number", "account"], suffixes=("", "_proved"))
        waits = (both["time"] - both["time_proved"]) / DAY
        assert len(both) == len(paid)
        assert ((longest <= waits) & (waits < longest + 0.001)).all()


def test_clocks_and_stakes_are_those_of_the_sources() -> None:
    game = of("op_mainnet", markets=BRIDGE).chains["it"].settlement
    assert (game.max_depth, game.split_depth, game.clock, game.extension) == (73, 30, 302_400 * SECOND, 10_800 * SECOND)
    assert (game.airgap, game.bond_delay, game.preimage_challenge) == (302_400 * SECOND, 604_800 * SECOND, 86_400 * SECOND)
    assert game.proof_maturity == 604_800 * SECOND
    bold = of("arbitrum_one", markets=BRIDGE).chains["it"].settlement
    assert (bold.challenge_period, bold.grace) == (45_818 * 12 * SECOND, 14_400 * 12 * SECOND)
    assert [stake // 10**18 for stake in (bold.assertion_stake, *bold.mini_stakes)] == [3600, 0, 555, 79]
    era = of("zksync_era", markets=BRIDGE).chains["it"].settlement
    assert era.execution_delay == 3 * HOUR
    ladder = [(one.target // 10**6, one.window // SECOND) for one in of("arbitrum_one").chains["it"].fee.constraints.values()]
    assert sorted(ladder) == [(10, 86400), (14, 13485), (20, 2105), (29, 329), (41, 52), (60, 9)]


def test_arbitrum_offers_what_nitro_offers() -> None:
    poster = of("arbitrum_one").chains["it"].batch_poster
    assert poster.policy.kind == "backlog_and_urgency"
    # ((backlog x 2)^2 + (age / 10 min)^2 x 10 + 60) gwei; nitro arbnode/batch_poster.go
    caps = [poster.policy.cap(batches, age) for batches, age in ((0, 0), (0, 10 * MINUTE), (0, 30 * MINUTE), (0, HOUR), (5, 0))]
    assert caps == [60.0, 70.0, 150.0, 420.0, 160.0]
    assert (poster.tip, poster.policy.most_tip) == (10**9, 12 * 10**8)
    # arbnode/dataposter, DefaultDataPosterConfig.BlobTxReplacementTimes
    assert poster.policy.blob_replacements == tuple(minutes * MINUTE for minutes in (5, 10, 30, 60, 240, 480, 960, 1320))


HEAVY = {"sequencer": {"block_time": "10s"}, "block_overhead": "130030 B", "backlog_limit": None}
"""Three of its blocks fill three blobs of Arbitrum's to the last 42 bytes; six are more than the six frames of a channel."""


@pytest.mark.parametrize(
    ("name", "every", "blobs", "blocks"),
    [("op_mainnet", 300, 6, 5), ("base", 300, 6, 5), ("unichain", 300, 6, 5), ("arbitrum_one", 3600, 3, 3)],
)
def test_batches_go_by_the_rule_of_the_chain(name: str, every: int, blobs: int, blocks: int) -> None:
    """Nobody is there, so that batches go by age; then blocks are heavy, and they go by size."""
    quiet = of(name, {"sequencer": {"block_time": "2s"}}).vary({"duration": f"{4 * every + 120} s"})
    by_age, by_size = lived(quiet), lived(of(name, HEAVY).vary({"duration": "20min"}))
    engines: tuple[Engine, ...] = "lists", "arrays"
    assert {World(quiet, Streams(1), {}, engine).run().digest for engine in engines} == {by_age.digest}
    times, posted = by_age.select(BatchPosted, "time", "blobs", chain="it")
    assert len(times) == 4
    assert set(posted.tolist()) == {1}
    assert max(abs(gap - every) for gap in np.diff(times) / SECOND) <= 36.0  # the block, the poll and the slots in between
    first, last, posted = by_size.select(BatchPosted, "first", "last", "blobs", chain="it")
    assert len(first) > 10
    assert set((last - first + 1).tolist()) == {blocks}
    assert set(posted.tolist()) == {blobs}


def test_arbitrum_pays_for_dear_execution_from_what_blobs_leave() -> None:
    """Gas costs 150 gwei and blobs next to nothing: a cap of 60 gwei for gas alone would wait for ten minutes."""
    dear = {"base_fee": {"initial": "150 gwei"}, "gas_demand": {"kind": "given", "fractions": [0.5]}}
    chains = {"l1": {"preset": "ethereum", "missed": 0, **dear}, "it": {"preset": "arbitrum_one", **HEAVY}}
    log = lived(Scenario.of({"duration": "10min", "prices": {}, "chains": chains}))
    fees = log.select(BlockSealed, "base_fee", chain="l1")[0]
    assert fees.min() > 140 * 10**9
    (first,) = log.select(BatchPosted, "time", chain="it")[0][:1]
    assert first < 90 * SECOND


@pytest.mark.parametrize(
    ("chains", "reason"),
    [
        ({"l1": {"preset": "ethereum", "blob_fee": {"forks": {"bpo2": {"target": 22}}}}}, "'target' must not be above 'maximum'"),
        ({"op": {"preset": "op_mainnet", "settlement": {"clock": "2h"}}}, "a clock of 2 h is shorter than an extension of it"),
        ({"op": {"preset": "op_mainnet", "settlement": {"bond_fee": 0}}}, "a bond of zero where one is due"),
        ({"op": {"preset": "op_mainnet", "settlement": {"kind": "optimistic", "bond": 0}}}, "must be more than 0"),
        ({"op": {"preset": "arbitrum_one", "settlement": {"assertion_stake": 0}}}, "must be more than 0"),
        ({"op": {"preset": "arbitrum_one", "settlement": {"mini_stakes": [0, 0, "79 ETH"]}}}, "a stake of zero where one is due"),
        ({"op": {"preset": "op_mainet"}}, "there is no preset 'op_mainet'; did you mean 'op_mainnet'?"),
        ({"op": {"preset": "hyperliquid"}}, "did you mean 'hyperliquid_like'?"),
        ({"op": {"preset": "op_mainnet", "final_after": "1s"}}, "leave 'final_after' or 'settles_on' out"),
        ({"op": {"preset": "dydx_like", "settlement": {"kind": "optimistic"}}}, "a settlement needs an L1 to be on"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(chains: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        Scenario.of({"duration": "1h", "chains": {"l1": {"preset": "ethereum"}, **chains}})
    assert reason in str(refused.value)


def traded(final_after: str | None) -> Any:
    """The log of a minute in which somebody buys for 3000 US dollars on a chain of its own."""
    chains = {"it": {"preset": "hyperliquid_like", "sequencer": {"block_time": "500ms"}, "final_after": final_after}}
    steps = {"in": {"at": "10s", "market": "pool", "action": "buy", "fields": {"quote_in": 3000}}}
    agents = {"one": {"kind": "scripted", "holdings": {"it": {"usd": 10_000}}, "steps": steps}}
    pool = {"pool": {"kind": "constant_product", "on": "it", "base": "eth", "base_reserve": 100}}
    prices = {"eth": {"kind": "path", "points": {0: "3000 USD"}}}
    return lived(Scenario.of({"duration": "1min", "prices": prices, "chains": chains, "markets": pool, "agents": agents}))


def test_a_consensus_of_its_own_makes_blocks_final() -> None:
    log = traded("1500ms")
    time, submitted = log.select(TransactionIncluded, "time", "submitted", chain="it")
    assert len(time) == 1
    assert 0 < time[0] - submitted[0] <= 0.7 * SECOND
    figures = TimeToFinality().measure(log).loc["it"]
    assert figures["finalized_mean"] == figures["safe_mean"] == pytest.approx(float(time[0] - submitted[0]) / SECOND + 1.5)
    assert figures["finalized_unresolved"] == 0
    assert not len(log.select(HeadAdvanced, "number", chain="it")[0])
    value = ValueAtRiskBeforeFinality().measure(log).loc["it"]
    assert value["max"] == pytest.approx(3000.0)
    assert value["mean"] == pytest.approx(3000.0 * 1.5 / 60.0)


def test_without_it_nothing_is_final() -> None:
    log = traded(None)
    assert TimeToFinality().measure(log).loc["it", "finalized_unresolved"] == 1
    assert ValueAtRiskBeforeFinality().measure(log).loc["it", "mean"] > 3000.0 * 40.0 / 60.0


def test_blocks_of_a_preset_that_nobody_uses_cost_nothing() -> None:
    world = World(of("op_mainnet"), Streams(1, 0))
    assert world.chains["it"].idles  # type: ignore[attr-defined]
