"""Policies of posting: official formulas as numbers, frames and channels through the world, and what is refused."""

from typing import Any

import pytest
from validation import SCENARIOS, run
from worlds import lived

from l2sim.log import Log
from l2sim.posting import Look, Offer, Posting, Terms
from l2sim.posting.backlog_and_urgency import BLOB_GAS_AS_CALLDATA, GAS_PER_BLOB, BacklogAndUrgency
from l2sim.posting.op_channels import OpChannels
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.units import ETH, GWEI, HOUR, MINUTE, SECOND

FULL = 390_132
TERMS = Terms(FULL, HOUR, GWEI, 5 * MINUTE, 60 * GWEI, 20 * GWEI, 10 * MINUTE, 170_000, 12 * SECOND, 130_044, None)


def look(age: int, unsent: int, **more: int) -> Look:
    return Look(now=2 * HOUR, oldest=2 * HOUR - age, unsent=unsent, **more)


# ---- Arbitrum's data poster: ((BacklogOfBatches * UrgencyGwei)^2) + ((Elapsed / 10 min)^2) * 10 + TargetPriceGwei


@pytest.mark.parametrize(
    ("batches", "age", "gwei"),
    [(0, 0, 60.0), (0, 10 * MINUTE, 70.0), (0, HOUR, 420.0), (1, 0, 64.0), (10, 0, 460.0), (10, 20 * MINUTE, 500.0), (20_000, 0, 1e9)],
)
def test_the_cap_is_nitros_formula(batches: int, age: int, gwei: float) -> None:
    assert BacklogAndUrgency().cap(batches, age) == pytest.approx(gwei, rel=1e-12)


def test_what_a_transaction_may_cost_is_divided_as_fees_stand() -> None:
    base_fee, blob_fee = 3 * GWEI, 7 * GWEI
    offer = BacklogAndUrgency().offer(look(10 * MINUTE, FULL, blobs=3, gas=170_000, base_fee=base_fee, blob_fee=blob_fee), TERMS, None)
    most = 74 * GWEI * (170_000 + 3 * BLOB_GAS_AS_CALLDATA)  # one batch waits: 2^2 + 10 + 60 gwei
    assert offer.tip == GWEI
    spent = offer.cap * 170_000 + offer.blob_cap * 3 * GAS_PER_BLOB
    assert most - 170_000 <= spent <= most
    assert offer.cap / offer.blob_cap == pytest.approx((base_fee + GWEI) / blob_fee, rel=1e-6)
    as_calldata = BacklogAndUrgency().offer(look(10 * MINUTE, FULL, gas=170_000, base_fee=base_fee), TERMS, None)
    assert as_calldata == Offer(GWEI, 74 * GWEI, 1)


def test_a_replacement_outbids_and_where_fees_are_out_of_reach_it_waits() -> None:
    policy, last = BacklogAndUrgency(), Offer(GWEI, 100 * GWEI, 10 * GWEI)
    seen = look(10 * MINUTE, FULL, blobs=3, gas=170_000, base_fee=GWEI, blob_fee=GWEI)
    assert policy.offer(seen, TERMS, last).tip == 2 * GWEI
    assert policy.offer(seen._replace(blobs=0), TERMS, last).tip == 11 * GWEI // 10
    out_of_reach = seen._replace(base_fee=10**6 * GWEI, blob_fee=10**6 * GWEI)
    assert policy.offer(out_of_reach, TERMS, last) == last


def test_it_is_replaced_at_nitros_times() -> None:
    policy = BacklogAndUrgency()
    ages = [sum(policy.patience(attempt, blobs, TERMS) for attempt in range(n)) // MINUTE for blobs in (3, 0) for n in (1, 2, 3, 4)]
    assert ages == [5, 10, 30, 60, 5, 10, 20, 30]


def test_brotli_works_less_where_many_batches_wait() -> None:
    policy = BacklogAndUrgency(best_level_size=0.97, low_level_size=1.05)
    assert [policy.pieces(100_000, look(0, n * FULL), TERMS)[0] for n in (20, 21, 60, 61)] == [100_000, 97_000, 97_000, 105_000]
    assert policy.most(look(0, 61 * FULL), TERMS) == int(FULL / 1.05)


# ---- OP's channels and frames


def test_frames_and_transactions() -> None:
    policy = OpChannels(target_blobs=10, blobs_per_transaction=6)
    assert policy.frame(TERMS) == 130_044 - 24
    assert policy.pieces(10 * 130_020, look(0, 0), TERMS) == [6 * 130_044, 4 * 130_044]
    assert policy.pieces(130_021, look(0, 0), TERMS) == [130_044 + 25]
    assert policy.frame(TERMS._replace(blob_bytes=2_000_000)) == 1_000_000
    assert OpChannels(max_channel_duration=150).ripe(TERMS, None) == (130_020, 30 * MINUTE)
    assert OpChannels().ripe(TERMS, None) == (130_020, 3590 * 12 * SECOND)


def channels(*settings: str) -> Log:
    """A chain that makes 20 blobs of data, with nine blobs to a block of L1 (Prague)."""
    base = (
        "duration=14min", "chains.l1.begins=2025-06-01T00:00:00+00:00", "chains.arb.block_overhead=130020 B",
        "chains.arb.sequencer.block_time=20s", "agents.traders.rate=0.1 /s", "chains.arb.batch_poster.target_blob_fee=1000 gwei",
        "chains.arb.batch_poster.full=null", "chains.arb.batch_poster.max_delay=1h",  # which a channel does not go by
    )  # fmt: skip
    return run(Scenario.load(SCENARIOS / "posting.yaml", (*base, *settings)))


def test_a_batch_is_safe_when_its_last_frame_is_in() -> None:
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 12}")
    batches, l1 = log.frame("BatchPosted"), log.frame("BlockSealed").query("chain == 'l1' and blobs > 0")
    assert len(batches) >= 2
    assert set(l1["blobs"]) == {6}  # two transactions of six do not fit into nine
    for batch in batches.itertuples():
        assert batch.blobs == 12
        slots = l1[l1["number"].between(batch.l1_block - 1, batch.l1_block)]
        assert len(slots) == 2
        assert batch.time == slots["time"].max()
    safe = log.frame("HeadAdvanced").query("chain == 'arb' and head == 'safe'")
    assert safe["time"].tolist() == batches["time"].tolist()
    paid = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(batches["cost"].sum(), rel=1e-9)


def test_a_channel_that_takes_too_long_counts_for_nothing() -> None:
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 18, channel_timeout: 1}")
    late = log.frame("ChannelTimedOut")
    assert len(late) > 2
    assert (late["blocks"] == 2).all()
    assert (late["first"] == late["first"].iloc[0]).all()  # the same blocks, again and again
    assert len(log.frame("BatchPosted")) == 0


def test_frames_that_l1_undoes_come_again_and_the_batch_is_posted_once() -> None:
    settings = (
        "chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 12}", "duration=20min",
        "attacks.reorg={kind: l1_reorg, on: l1, begins: 0s, lasts: 1min, depth: 1}",
    )  # fmt: skip
    calm = channels(*settings[:2]).frame("BatchPosted")
    last = calm["l1_block"].iloc[1]
    log = channels(*settings, f"attacks.reorg.begins={last * 12 + 1}s")
    batches, told = log.frame("BatchPosted"), log.frame("BatchPosted", reverted=True)
    (undone,) = told[~told["canonical"]].itertuples()
    (again,) = batches[batches["first"] == undone.first].itertuples()
    assert (again.last, again.blobs, again.l1_block) == (undone.last, 12, last + 1)  # its first frames stayed where they were
    assert (batches["first"].to_numpy()[1:] == batches["last"].to_numpy()[:-1] + 1).all()
    paid = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(batches["cost"].sum(), rel=1e-9)


# ---- waiting for cheap blobs


def fees_seen(log: Log) -> Any:
    """The blob base fees that the poster saw when it posted: those of the next slot, wei."""
    fees = log.frame("BlockSealed").query("chain == 'l1'").set_index("number")["blob_base_fee"]
    return (log.frame("BatchPosted")["submitted"] // (12 * SECOND) + 1).map(fees)


def test_it_waits_for_cheap_blobs_up_to_an_age() -> None:
    """Others take all blobs of L1 for the first sixty slots, which makes them dear; the fee falls from then on."""
    full = ", ".join(["1"] * 60 + ["0"] * 240)
    dear = (
        "duration=40min", "agents.traders.rate=1 /s", f"chains.l1.blob_demand.fractions=[{full}]", "chains.l1.background_tip=2 gwei",
        "chains.l1.blob_fee.minimum=1 gwei", "chains.arb.batch_poster.target_blob_fee=1000 gwei", "chains.arb.batch_poster.full=12 kB",
        "chains.arb.batch_poster.tip=5 gwei", "chains.arb.batch_poster.poll=1s",
    )  # fmt: skip
    waits = "chains.arb.batch_poster.policy={kind: blob_price_threshold, threshold: 2 gwei, max_age: 4h}"
    log = run(Scenario.load(SCENARIOS / "posting.yaml", (*dear, waits)))
    sealed = log.frame("BlockSealed").query("chain == 'l1'").set_index("number")["blob_base_fee"]
    assert sealed.max() > 20 * GWEI
    seen = fees_seen(log)
    assert len(seen) > 1
    assert (seen <= 2 * GWEI).all()
    impatient = run(Scenario.load(SCENARIOS / "posting.yaml", (*dear, waits.replace("4h", "5min"))))
    assert (fees_seen(impatient) > 2 * GWEI).any()


# ---- calldata


def test_calldata_costs_what_eip_7623_asks() -> None:
    poster = "chains.arb.batch_poster"
    base = "duration=4min", f"{poster}.data=calldata", f"{poster}.zeros=0", f"{poster}.gas=50000 gas"
    gas = {}
    for floor in ("true", "false"):
        log = run(Scenario.load(SCENARIOS / "posting.yaml", (*base, f"{poster}.calldata_floor={floor}")))
        batch = log.frame("BatchPosted").iloc[0]
        gas[floor], size = batch["cost"] * ETH / (5 * GWEI), batch["size"]
    assert gas["true"] == pytest.approx(21_000 + 40 * size, rel=1e-9)
    assert gas["false"] == pytest.approx(50_000 + 16 * size, rel=1e-9)


# ---- bad input


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("{kind: op_channels, sub_safety_margin: 3600}", "'sub_safety_margin' must be below 'sequencing_window'"),
        ("{kind: op_channels, max_channel_duration: 3600}", "must be at most sequencing_window - sub_safety_margin = 3590 blocks"),
        ("{kind: op_channels, blobs_per_transaction: 7}", "less than or equal to 6"),
        ("{kind: optimal, rate: 1 /s, size: 0 B, delay_cost: 1 USD}", "must be more than 0, but is"),
        ("{kind: optimal, rate: 1 /s, size: 100 B}", "delay_cost"),
        ("{kind: backlog_and_urgncy}", "did you mean 'backlog_and_urgency'?"),
        ("{kind: blob_price_threshold, max_age: 0}", "must be more than 0, but is 0"),
        ("{kind: backlog_and_urgency, urgency: -1}", "greater than or equal to 0"),
        ("{kind: op_channels}", "the policy 'op_channels' does not read 'max_delay': set 'policy.max_channel_duration' instead"),
    ],
)
def test_policies_that_make_no_sense_are_refused(policy: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(SCENARIOS / "posting.yaml", (f"chains.arb.batch_poster.policy={policy}",))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "setting", "own"),
    [
        ("op_mainnet", "max_delay=30s", "max_channel_duration"), ("base", "blobs=1", "target_blobs"),
        ("unichain", "full=9 kB", "target_blobs"),
        ("arbitrum_one", "bump=1min", "blob_replacements"), ("arbitrum_one", "urgency=1min", "elapsed_base"),
        ("arbitrum_one", "target_fee=30 gwei", "target"), ("arbitrum_one", "target_blob_fee=30 gwei", "target"),
    ],
)  # fmt: skip
def test_what_a_policy_does_not_read_is_refused(preset: str, setting: str, own: str) -> None:
    base = Scenario.of({"duration": "1h", "chains": {"l1": {"preset": "ethereum"}, "it": {"preset": preset}}})
    path, _, value = f"chains.it.batch_poster.{setting}".partition("=")
    with pytest.raises(ScenarioError, match=f"does not read '{path.rpartition('.')[2]}': set 'policy.{own}' instead"):
        base.vary({path: value})
    by_age = base.vary({"chains.it.batch_poster.policy": {"kind": "size_or_age"}, path: value})
    assert by_age.chains["it"].batch_poster.policy.kind == "size_or_age"


def test_a_channel_whose_transactions_no_block_takes_is_refused() -> None:
    chains = {"l1": {"preset": "ethereum", "fork": "cancun", "blob_fee": {"forks": {"cancun": {"target": 1, "maximum": 3}}}}}
    with pytest.raises(ScenarioError, match="carries 3 blobs at most at the start, not 6"):
        Scenario.of({"duration": "1h", "chains": {**chains, "it": {"preset": "op_mainnet"}}})
    fits = {"preset": "op_mainnet", "batch_poster": {"policy": {"blobs_per_transaction": 3}}}
    assert Scenario.of({"duration": "1h", "chains": {**chains, "it": fits}}).chains["it"].batch_poster.policy.target_blobs == 6


def test_the_default_is_size_or_age_and_does_not_look_at_fees() -> None:
    scenario: Any = Scenario.load(SCENARIOS / "posting.yaml", ())
    policy = scenario.chains["arb"].batch_poster.policy
    assert policy.kind == "size_or_age"
    assert not policy.looks
    assert isinstance(policy, Posting)
    assert policy.offer(look(10 * MINUTE, 0), TERMS, None) == Offer(GWEI, 240 * GWEI, 80 * GWEI)
    assert policy.offer(look(0, 0), TERMS, Offer(GWEI, 1, 1)).tip == 2 * GWEI
    same = lived(Scenario.load(SCENARIOS / "posting.yaml", ("duration=10min", "chains.arb.batch_poster.policy={kind: size_or_age}")))
    assert same.digest == lived(Scenario.load(SCENARIOS / "posting.yaml", ("duration=10min",))).digest
