"""Channels on L1: how long their transactions take, what they offer meanwhile, and which can never be in time."""

from collections import Counter

import pytest
from test_posting_policies import UNREAD, channels, with_poster
from worlds import offers

from l2sim.metrics.posting_cost import PostingCost
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.units import GWEI, MINUTE, SECOND


def test_an_inclusion_raises_no_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five transactions of six blobs go into five blocks, for one fits into nine blobs; none of them waits for ``bump`` in vain."""
    sent = offers(monkeypatch)
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 30}", "duration=24min")
    batches = log.frame("BatchPosted")
    assert len(batches) == 2
    times = Counter(time for time, tip in sent if tip == GWEI)
    assert len(sent) == times.total()  # nobody offered more
    assert list(times.values())[:2] == [5, 5]
    assert batches["submitted"].tolist() == list(times)[:2]
    blocks = log.frame("BlockSealed").query("chain == 'l1' and blobs > 0")["number"].tolist()
    assert blocks[:5] == list(range(blocks[0], blocks[0] + 5))
    assert (batches["time"] - batches["submitted"]).between(4 * 12 * SECOND, 5 * 12 * SECOND).all()


def test_a_patience_that_ran_out_raises_the_offers_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two transactions before others take all blobs, three after: these are sent once more, at twice the tip, five minutes after the first
    offer and not after the last inclusion. The batch was sent when it was first offered."""
    sent = offers(monkeypatch)
    starts = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 30}").frame("BatchPosted")["submitted"].iloc[0]
    first = starts // (12 * SECOND) + 1
    sent.clear()
    full = ", ".join(["0"] * (first + 2) + ["1"] * 30 + ["0"] * 200)
    log = channels(
        "chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 30}", f"chains.l1.blob_demand.fractions=[{full}]",
        "chains.l1.background_tip=10 gwei", "chains.arb.batch_poster.target_blob_fee=100000 gwei", "duration=20min",
    )  # fmt: skip
    batch = log.frame("BatchPosted").iloc[0]
    tried = [(time, tip) for time, tip in sent if time < batch["time"]]
    assert tried == [(starts, GWEI)] * 5 + [(starts + 5 * MINUTE, 2 * GWEI)] * 3
    assert batch["submitted"] == starts


BUSY = (
    "chains.l1.blob_demand.fractions=[0, 1, 0, 1, 1, 0, 0, 0, 0, 0]", "chains.l1.background_tip=10 gwei", "duration=40min",
    "chains.arb.batch_poster.target_blob_fee=100000 gwei",
)  # fmt: skip
"""Others take all blobs of some slots, so that two transactions of a channel are one, two or three slots apart."""


def test_a_channel_that_takes_too_long_counts_for_nothing() -> None:
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 12, channel_timeout: 1, sub_safety_margin: 0}", *BUSY)
    late, batches = log.frame("ChannelTimedOut"), log.frame("BatchPosted")
    assert len(late) >= 2
    assert (late["blocks"] > 1).all()
    assert set(late["first"]) <= {*batches["first"], batches["last"].iloc[-1] + 1}  # the same blocks again, until they are in time
    assert len(batches) >= 3


def test_a_channel_has_its_timeout_whole() -> None:
    """Two blocks from the first frame to the last are in time where two are allowed, and too late where one is."""
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 18, channel_timeout: 2, sub_safety_margin: 0}")
    posted = log.frame("BatchPosted")
    blocks = log.frame("BlockSealed").query("chain == 'l1' and blobs > 0")["number"].to_numpy()
    assert len(posted) >= 1
    assert "ChannelTimedOut" not in log
    assert blocks[2] - blocks[0] == 2
    assert posted["l1_block"].iloc[0] == blocks[2]


def test_what_timed_out_is_in_the_posting_cost() -> None:
    """The metric leaves out the first batch, with what its channels cost that timed out; the ledger has all that was paid."""
    log = channels("chains.arb.batch_poster.policy={kind: op_channels, target_blobs: 12, channel_timeout: 1, sub_safety_margin: 0}", *BUSY)
    batches, late = log.frame("BatchPosted"), log.frame("ChannelTimedOut")
    found = PostingCost(delay_cost="0.36 USD").measure(log).loc["arb"]  # type: ignore[arg-type]
    ours = late["last"].isin(batches["last"].iloc[1:])
    told = found["cost_eth"] + batches["cost"].iloc[0] + late[~ours]["cost"].sum()
    paid = log.frame("AccountClosed").query("group == 'arb.batch_poster' and asset == 'gas'")
    assert (paid["opening"] - paid["closing"]).sum() == pytest.approx(told, rel=1e-9)  # nothing is on its way
    assert late[ours]["cost"].sum() > 0.1 * found["cost_eth"]


# ---- channels that are never in time

PRAGUE = "chains.l1.fork=prague"
"""Nine blobs to a block."""
FORKS = "{many: {target: 6, maximum: 9, update_fraction: 5007716, begins: 0}, few: {target: 2, maximum: 3, update_fraction: 1, begins: %d}}"
FEWER = "chains.l1.begins=2025-06-15T15:06:40+00:00", f"chains.l1.blob_fee.forks={FORKS % 1_750_003_600}"
"""The same, and three from an hour after the start on."""


@pytest.mark.parametrize(
    ("policy", "settings", "message"),
    [
        ("target_blobs: 24, channel_timeout: 2", (PRAGUE,), "at least 3 blocks of 'l1' apart at the start, and may be 2"),
        ("target_blobs: 19, channel_timeout: 1, blobs_per_transaction: 3", (PRAGUE,), "at least 2 blocks of 'l1' apart"),
        ("target_blobs: 12, channel_timeout: 1, blobs_per_transaction: 3", FEWER, "at least 3 blocks of 'l1' apart from fork 'few' on"),
        (
            "target_blobs: 13, blobs_per_transaction: 1, channel_timeout: 1",
            ("chains.l1.gas_limit=32 Mgas", "chains.arb.batch_poster.data=calldata"), "at least 2 blocks of 'l1' apart",
        ),
    ],
)  # fmt: skip
def test_a_channel_that_is_never_in_time_is_refused(policy: str, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        with_poster(*settings, **UNREAD, policy=f"{{kind: op_channels, sub_safety_margin: 0, {policy}}}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        ("target_blobs: 24, channel_timeout: 3", (PRAGUE,)),
        ("target_blobs: 9, channel_timeout: 1", (PRAGUE,)),
        ("target_blobs: 18, channel_timeout: 1, blobs_per_transaction: 3", (PRAGUE,)),
        ("target_blobs: 12, channel_timeout: 1, blobs_per_transaction: 3", (*FEWER, "duration=30min")),
        ("target_blobs: 12, blobs_per_transaction: 1, channel_timeout: 1",
         ("chains.l1.gas_limit=32 Mgas", "chains.arb.batch_poster.data=calldata")),
    ],
)  # fmt: skip
def test_a_channel_that_may_be_in_time_is_not(policy: str, settings: tuple[str, ...]) -> None:
    with_poster(*settings, **UNREAD, policy=f"{{kind: op_channels, sub_safety_margin: 0, {policy}}}")


def test_a_channel_whose_transactions_no_block_takes_is_refused() -> None:
    chains = {"l1": {"preset": "ethereum", "fork": "cancun", "blob_fee": {"forks": {"cancun": {"target": 1, "maximum": 3}}}}}
    with pytest.raises(ScenarioError, match="carries 3 blobs at most at the start, not 6"):
        Scenario.of({"duration": "1h", "chains": {**chains, "it": {"preset": "op_mainnet"}}})
    fits = {"preset": "op_mainnet", "batch_poster": {"policy": {"blobs_per_transaction": 3}}}
    assert Scenario.of({"duration": "1h", "chains": {**chains, "it": fits}}).chains["it"].batch_poster.policy.target_blobs == 6
