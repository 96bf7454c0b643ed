"""Policies of posting: official formulas as numbers, frames and channels through the world, and what is refused."""

from typing import Any

import pytest
from validation import SCENARIOS, run
from worlds import lived, offers

from l2sim.log import Log
from l2sim.posting import Look, Offer, Posting, Terms
from l2sim.posting.backlog_and_urgency import BLOB_GAS_AS_CALLDATA, GAS_PER_BLOB, BacklogAndUrgency
from l2sim.posting.blob_price_threshold import BlobPriceThreshold
from l2sim.posting.op_channels import OpChannels
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.units import DAY, ETH, GWEI, HOUR, MINUTE, SECOND

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
    base_fee, blob_fee = 60 * GWEI, 140 * GWEI
    offer = BacklogAndUrgency().offer(look(10 * MINUTE, FULL, blobs=3, gas=170_000, base_fee=base_fee, blob_fee=blob_fee), TERMS, None)
    most = 74 * GWEI * (170_000 + 3 * BLOB_GAS_AS_CALLDATA)  # one batch waits: 2^2 + 10 + 60 gwei
    assert offer.tip == GWEI
    spent = offer.cap * 170_000 + offer.blob_cap * 3 * GAS_PER_BLOB
    assert most - 170_000 <= spent <= most
    assert offer.cap / offer.blob_cap == pytest.approx((base_fee + GWEI) / blob_fee, rel=1e-6)
    as_calldata = BacklogAndUrgency().offer(look(10 * MINUTE, FULL, gas=170_000, base_fee=base_fee), TERMS, None)
    assert as_calldata == Offer(GWEI, 74 * GWEI, 1)


TESTED = {"most_tip": "5 gwei", "most_blob_tip": "10 gwei"}
"""What the data poster's own tests are set to, where it is not the default."""


def test_the_caps_are_those_of_nitros_own_tests() -> None:
    """arbnode/dataposter/dataposter_test.go, TestFeeAndTipCaps_EnoughBalance_NoBacklog_NoUnconfirmed_BlobTx: 30 gwei, 2 gwei and 10 wei.

    Its sequel, TestFeeAndTipCaps_RBF_RisingBlobFee_FallingBaseFee, says only that nothing stays; the numbers are worked out by hand:
    the tip and the cap for gas double, and the cap for blobs is ten times the fee.
    """
    policy = BacklogAndUrgency(**TESTED)  # type: ignore[arg-type]
    terms = TERMS._replace(tip=2 * GWEI, gas=300_000)
    seen = look(0, 0, blobs=6, gas=300_000, base_fee=GWEI, blob_fee=1)
    first = policy.offer(seen, terms, None)
    assert first == Offer(2 * GWEI, 30 * GWEI, 10)
    later = look(MINUTE, 0, blobs=6, gas=300_000, base_fee=GWEI // 10, blob_fee=12)
    assert policy.offer(later, terms, first) == Offer(4 * GWEI, 60 * GWEI, 120)


@pytest.mark.parametrize(
    ("suggested", "blobs", "tip"), [(0, 3, 10**9), (2 * 10**9, 3, 10**9), (0, 0, 5 * 10**7), (10**8, 0, 10**8), (2 * 10**9, 0, 12 * 10**8)]
)
def test_tips_are_within_nitros_bounds(suggested: int, blobs: int, tip: int) -> None:
    """DefaultDataPosterConfig: 0.05 to 1.2 gwei, and 1 gwei with blobs."""
    seen = look(0, 0, blobs=blobs, gas=170_000, base_fee=GWEI, blob_fee=1)
    assert BacklogAndUrgency().offer(seen, TERMS._replace(tip=suggested), None).tip == tip


def test_a_tip_is_never_above_its_cap() -> None:
    policy = BacklogAndUrgency(target=0.0, urgency=0.0)
    assert policy.offer(look(10 * MINUTE, 0, gas=170_000, base_fee=20 * GWEI), TERMS._replace(tip=GWEI), None) == Offer(GWEI, 10 * GWEI, 1)
    poor = BacklogAndUrgency(target=0.1, urgency=0.0)
    assert poor.offer(look(0, 0, gas=170_000, base_fee=20 * GWEI), TERMS, None) == Offer(GWEI // 10, GWEI // 10, 1)


def test_a_replacement_outbids_and_where_fees_are_out_of_reach_it_waits() -> None:
    policy, last = BacklogAndUrgency(), Offer(GWEI, 20 * GWEI, 10 * GWEI)
    seen = look(10 * MINUTE, FULL, blobs=3, gas=170_000, base_fee=GWEI, blob_fee=GWEI)
    better = policy.offer(seen, TERMS, last)
    assert better.tip == 2 * GWEI
    assert better.cap >= 2 * last.cap
    assert better.blob_cap >= 2 * last.blob_cap
    assert policy.offer(seen._replace(blobs=0), TERMS, last).tip == 11 * GWEI // 10
    out_of_reach = seen._replace(base_fee=10**6 * GWEI, blob_fee=10**6 * GWEI)
    assert policy.offer(out_of_reach, TERMS, last) == last


def test_what_no_mempool_takes_as_a_replacement_is_not_sent() -> None:
    """Doubling the cap for gas leaves less for blobs than twice what was offered for them; with calldata a tenth more is too much."""
    policy = BacklogAndUrgency()
    seen = look(0, 0, blobs=3, gas=170_000, base_fee=GWEI, blob_fee=GWEI)
    most = 60 * GWEI * (170_000 + 3 * BLOB_GAS_AS_CALLDATA)
    dear = Offer(GWEI, most // 170_000 // 3, most // (3 * GAS_PER_BLOB) // 3)
    assert policy.offer(seen, TERMS, dear) == dear
    assert policy.offer(seen._replace(blobs=0), TERMS, Offer(GWEI, 59 * GWEI, 1)) == Offer(GWEI, 59 * GWEI, 1)


def test_it_is_replaced_at_nitros_times() -> None:
    """Five minutes after the first offer, and then at ages of the oldest block; where an offer stands it looks again in a minute."""
    policy = BacklogAndUrgency()
    for blobs, ages in ((3, [5, 10, 30, 60, 240, 480, 960, 1320]), (0, [5, 10, 20, 30, 60, 120, 240, 360])):
        waits = [policy.patience(n, look(age * MINUTE, 0, blobs=blobs), TERMS, stands=False) for n, age in enumerate([0, *ages[:-1]])]
        assert [age + wait // MINUTE for age, wait in zip([0, *ages], waits, strict=False)] == ages
    assert policy.patience(0, look(HOUR, 0, blobs=3), TERMS, stands=False) == 5 * MINUTE
    assert policy.patience(1, look(65 * MINUTE, 0, blobs=3), TERMS, stands=False) == 175 * MINUTE
    assert policy.patience(1, look(65 * MINUTE, 0, blobs=3), TERMS, stands=True) == MINUTE
    for blobs in (3, 0):  # parseReplacementTimes appends ten years, so that nothing is replaced after the last time
        assert policy.patience(8, look(22 * HOUR, 0, blobs=blobs), TERMS, stands=False) == 10 * 365 * DAY - 22 * HOUR
        assert policy.patience(8, look(22 * HOUR, 0, blobs=blobs), TERMS, stands=True) == MINUTE


def test_an_offer_that_stands_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """L1's base fee is above what it may pay for half an hour, then falls: its first transaction waits in the mempool and goes in."""
    falls, sent = ", ".join(["0.5"] * 150 + ["0"] * 150), offers(monkeypatch)
    log = run(Scenario.load(SCENARIOS / "posting.yaml", (
        "duration=40min", "agents.traders.rate=1 /s", f"chains.l1.gas_demand.fractions=[{falls}]", "chains.l1.base_fee.denominator=8",
        "chains.arb.batch_poster.full=12 kB",
        "chains.arb.batch_poster.policy={kind: backlog_and_urgency, target: 0.3, urgency: 0, elapsed_importance: 0}",
    )))  # fmt: skip
    first = log.frame("BatchPosted").iloc[0]
    assert first["submitted"] == sent[0][0] < 5 * MINUTE
    assert sent[1][0] > first["time"]
    assert 30 * MINUTE < first["time"] < 32 * MINUTE


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
    # A transaction carries six of ten frames, and both of two.
    assert [policy.carries(1), OpChannels(target_blobs=2).carries(1)] == [6, 2]
    assert policy.frame(TERMS._replace(blob_bytes=2_000_000)) == 1_000_000
    assert OpChannels(max_channel_duration=150).ripe(TERMS, None) == (130_020, 30 * MINUTE)
    assert OpChannels().ripe(TERMS, None) == (130_020, 3590 * 12 * SECOND)


def channels(*settings: str) -> Log:
    """A chain that makes 20 blobs of data, with nine blobs to a block of L1 (Prague)."""
    base = (
        "duration=14min", "chains.l1.begins=2025-06-01T00:00:00+00:00", "chains.arb.block_overhead=130020 B",
        "chains.arb.sequencer.block_time=20s", "agents.traders.rate=0.1 /s", "chains.arb.batch_poster.target_blob_fee=1000 gwei",
        "chains.arb.batch_poster.full=null", "chains.arb.batch_poster.max_delay=null",  # which a channel does not go by
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


def test_at_its_age_a_batch_goes_at_any_fee() -> None:
    policy = BlobPriceThreshold(threshold="2 gwei", max_age="90min")  # type: ignore[arg-type]
    ages = (90 * MINUTE - 1, 90 * MINUTE)
    assert [policy.posts(look(age, FULL, blob_fee=2 * GWEI + 1), TERMS, None) for age in ages] == [False, True]
    assert policy.posts(look(0, FULL, blob_fee=2 * GWEI), TERMS, None)


# ---- calldata


@pytest.mark.parametrize(
    ("fork", "floor", "gas"),
    [
        ("cancun", "null", (50_000, 16)), ("prague", "null", (21_000, 40)), ("bpo2", "null", (21_000, 40)),
        ("cancun", "true", (21_000, 40)), ("prague", "false", (50_000, 16)),
    ],
)  # fmt: skip
def test_calldata_costs_what_eip_7623_asks_from_its_fork_on(fork: str, floor: str, gas: tuple[int, int]) -> None:
    poster = "chains.arb.batch_poster"
    base = "duration=4min", f"{poster}.data=calldata", f"{poster}.zeros=0", f"{poster}.gas=50000 gas"
    log = run(Scenario.load(SCENARIOS / "posting.yaml", (*base, f"chains.l1.fork={fork}", f"{poster}.calldata_floor={floor}")))
    batch = log.frame("BatchPosted").iloc[0]
    once, each = gas
    assert batch["cost"] * ETH / (5 * GWEI) == pytest.approx(once + each * batch["size"], rel=1e-9)


def test_what_is_cheaper_changes_with_the_floor() -> None:
    """A blob costs as much as 28 gas a byte of the batch: more than calldata in blocks before slot 25, less in those of the next fork."""
    fork = "target: 6, maximum: 9, update_fraction: 5007716"
    forks = f"{{old: {{begins: 1000000000, {fork}}}, new: {{begins: {10**9 + 25 * 12}, {fork}, calldata_floor: 10}}}}"
    chain = "chains.l1.fork=old", f"chains.l1.blob_fee.forks={forks}", "chains.l1.blob_fee.minimum=6 gwei"
    log = run(with_poster("duration=10min", *chain, data="cheaper", full="7000 B", gas="21000 gas", zeros="0", poll="1s"))
    batches = log.frame("BatchPosted")
    next_slot = batches["submitted"] // (12 * SECOND) + 1
    assert (batches["blobs"] == (next_slot >= 25)).all()
    assert {24, 25} <= set(next_slot)
    assert (batches["l1_block"] == next_slot).all()
    paid = batches["cost"] * ETH
    assert paid.to_numpy() == pytest.approx((21_000 * 5 * GWEI + (batches["blobs"] * 2**17 * 6 * GWEI).where(
        batches["blobs"] == 1, batches["size"] * 16 * 5 * GWEI)).to_numpy(), rel=1e-9)  # fmt: skip


def with_poster(*settings: str, **poster: str) -> Scenario:
    fields = (f"chains.arb.batch_poster.{name}={value}" for name, value in poster.items())
    return Scenario.load(SCENARIOS / "posting.yaml", ("duration=3h", *fields, *settings))


UNREAD = {"max_delay": "null", "full": "null"}
"""What channels do not read is left at its default."""
OSAKA_COMES = "chains.l1.begins=2025-12-03T20:00:00+00:00"
"""An hour and 49 minutes before."""


@pytest.mark.parametrize(
    ("poster", "settings", "message"),
    [
        ({"data": "calldata", "full": "450 kB"}, (), "uses 16777216 gas at most at the start, and the largest of a full batch 17968290"),
        ({"data": "calldata", "full": "450 kB"}, (OSAKA_COMES,), "uses 16777216 gas at most from fork 'osaka' on"),
        ({"gas": "17 Mgas"}, (), "the largest of a full batch 17000000"),
        ({"gas": "200 kgas"}, ("chains.l1.gas_limit=150 kgas",), "uses 150000 gas at most"),
        ({"full": "900 kB"}, (), "carries 6 blobs at most at the start, not 7"),
        ({"full": "900 kB", "policy": "{kind: backlog_and_urgency}"}, (), "carries 6 blobs at most at the start, not 7"),
        ({"full": "1 MB", "data": "cheaper"}, (), "carries 6 blobs at most at the start, not 8"),
        ({"data": "calldata", **UNREAD, "policy": "{kind: op_channels, target_blobs: 6}"}, (), "the largest of a full batch 31140150"),
    ],
)
def test_a_batch_that_no_block_may_hold_is_refused(poster: dict[str, str], settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        with_poster(*settings, **poster)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("poster", "settings"),
    [
        ({"data": "calldata", "full": "420 kB"}, ()),
        ({"data": "calldata", "full": "450 kB"}, (OSAKA_COMES, "duration=1h")),
        ({**UNREAD, "policy": "{kind: op_channels, target_blobs: 12}"}, ()),
        ({"data": "calldata", **UNREAD, "policy": "{kind: op_channels, target_blobs: 6, blobs_per_transaction: 1}"}, ()),
        ({"full": "1 MB"}, ("chains.arb.availability={kind: committee}",)),
        ({"full": "700000 B", "fill": "0.9"}, ()),
    ],
)
def test_a_batch_that_blocks_may_hold_is_not(poster: dict[str, str], settings: tuple[str, ...]) -> None:
    with_poster(*settings, **poster)


@pytest.mark.parametrize(("funds", "batches"), [("0 ETH", 0), ("0.0035 ETH", 3), ("0.003001 ETH", 3), ("100 ETH", 13)])
def test_a_poster_that_cannot_pay_waits(funds: str, batches: int) -> None:
    """A batch costs 0.001 ETH, whatever is in it; what nobody posts is backlog, and the sequencer is throttled by it."""
    behind = "chains.arb.backlog_limit=300 kB", "chains.arb.throttled_gas_limit=130 kgas"
    log = run(with_poster("duration=20min", *behind, funds=funds))
    assert len(log.frame("BatchPosted")) == batches
    paid = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")
    assert (paid["closing"] >= -1e-15).all()
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(0.001 * batches, abs=1e-8)
    gas = log.frame("BlockSealed").query("chain == 'arb'")["gas"].to_numpy()[-1000:].max()
    assert (gas <= 130_000) == (batches < 13)


def test_a_committee_that_nobody_pays_certifies_nothing() -> None:
    paid = "chains.arb.availability={kind: committee, fee: 0.1 ETH}"
    log = run(with_poster("duration=20min", paid, funds="0.002 ETH"))
    assert len(log.frame("BatchPosted")) == 0
    closing = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")["closing"]
    assert (closing >= 0.0).all()


def test_batches_are_posted_where_they_are_not_refused() -> None:
    """Five blobs with a share of each left empty are five; and what is too much for calldata goes in blobs, though these cost more."""
    blobs = with_poster(full="null", blobs="5", fill="0.33", data="blobs")
    assert blobs.chains["arb"].batch_poster._terms(1).full == 5 * int(0.33 * 130_044)  # type: ignore[attr-defined]
    dear = "chains.l1.blob_fee.minimum=10000 gwei", "agents.traders.rate=100 /s", "chains.arb.batch_poster.target_blob_fee=100000 gwei"
    for full, expected in (("450 kB", 4), ("400 kB", 0)):
        log = run(with_poster("duration=5min", *dear, full=full, data="cheaper", max_delay="2min"))
        assert set(log.frame("BatchPosted").query("size > 390000")["blobs"]) == {expected}, full


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
