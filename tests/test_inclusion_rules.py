"""Forced inclusion as law: the delay buffer against the contract's own numbers, prices, waits, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2sim.inclusion import ForcedInclusion, Wait
from l2sim.inclusion.delayed_inbox import DelayBuffer, DelayedInbox, buffer_after
from l2sim.inclusion.inclusion_queue import InclusionQueue
from l2sim.inclusion.none import NONE
from l2sim.inclusion.op_deposits import OpDeposits
from l2sim.inclusion.priority_queue import PriorityQueue
from l2sim.part import room
from l2sim.units import ETH, GWEI, MINUTE, SECOND

# start, end, buffer, sequenced, threshold, most, replenish -> buffer. OffchainLabs/nitro-contracts test/foundry/DelayBuffer.t.sol
# at 6748733: testCalcBuffer (the first four), testUpdate.
OFFICIAL = [
    ((10, 10, 100, 20, 5, 1000, 333), 100),
    ((10, 11, 100, 20, 5, 1000, 333), 99),
    ((10, 110, 100, 115, 5, 1000, 333), 5),
    ((10, 210, 100, 215, 5, 1000, 333), 5),
    ((0, 20, 10, 0, 5, 1000, 333), 10),
]


@pytest.mark.parametrize(("inputs", "expected"), OFFICIAL)
def test_the_delay_buffer_is_the_contracts(inputs: tuple[int, ...], expected: int) -> None:
    assert buffer_after(*inputs) == expected


def test_a_buffer_that_forgets_the_threshold_or_rounds_up_is_not() -> None:
    def forgetful(start: int, end: int, buffer: int, sequenced: int, threshold: int, most: int, replenish: int) -> int:
        elapsed = end - start
        return max(threshold, min(most, buffer + elapsed * replenish // 10_000 - min(sequenced - start, elapsed)))

    def generous(start: int, end: int, buffer: int, sequenced: int, threshold: int, most: int, replenish: int) -> int:
        elapsed = end - start
        return max(threshold, min(most, buffer - -elapsed * replenish // 10_000 - min(max(0, sequenced - start - threshold), elapsed)))

    assert [generous(*inputs) for inputs, _ in OFFICIAL] != [expected for _, expected in OFFICIAL]
    # No official pair has a delay between the threshold and what has elapsed; this one is worked out by hand: 100 + 3 - (50 - 5).
    by_hand = (10, 110, 100, 60, 5, 1000, 333)
    assert buffer_after(*by_hand) == 58
    assert forgetful(*by_hand) == 53


small = st.integers(0, 50_000)


@given(small, small, st.integers(150, 14_400), small)
def test_the_buffer_stays_within_its_bounds_and_a_delay_never_adds_to_it(start: int, gap: int, held: int, delay: int) -> None:
    def after(delayed: int) -> int:
        return buffer_after(start, start + gap, held, start + delayed, 150, 14_400, 500)

    assert 150 <= after(delay) <= 14_400
    assert after(delay) <= after(0) == min(14_400, held + gap // 20)
    assert after(delay) >= min(held, 14_400) - gap  # what is taken is at most what has passed


def test_what_is_forced_is_due_after_the_lesser_of_delay_and_buffer() -> None:
    rules = DelayedInbox()
    memory = rules.genesis()
    assert rules.due(1000, memory) == Wait(5761)  # forceInclusion wants a block later than the message's and 5760
    # Ignored for a day, the next one not: the buffer has lost 5761 - 150 of 14 400 and regained a twentieth of what passed.
    memory = rules.read(memory, 1000, 6761)
    assert rules.due(6761, memory) == Wait(5761)  # 14 400 + 288 - 5611 = 9077 is still more than a day
    memory = rules.read(memory, 6761, 12_522)
    assert rules.due(12_522, memory) == Wait(9077 + 288 - 5611 + 1)
    assert DelayedInbox(buffer=None).due(12_522, ()) == Wait(5761)
    # A sequencer that reads the inbox in time keeps the buffer full.
    memory = rules.genesis()
    for block in range(100, 10_000, 100):
        memory = rules.read(memory, block, block + 50)
    assert memory[0] == 14_400


def test_gas_of_a_deposit_is_bought_on_l1() -> None:
    rules = OpDeposits()
    assert rules.price(9, 400_000, GWEI // 2) == (400_000, 0)  # 1 gwei a gas against a base fee below it
    assert rules.price(9, 400_000, 4 * GWEI) == (100_000, 0)
    assert rules.price(9, 40_000, GWEI) == (rules.gas, 0)
    assert rules.prepaid
    assert (rules.bars(), rules.due(7, ())) == (Wait(-1, 30 * MINUTE), Wait(3600))


def test_the_fee_of_the_queue_grows_in_proportion() -> None:
    rules = InclusionQueue()
    fees = [rules.price(pending, 0, GWEI)[1] for pending in (0, 25, 50, 100)]
    assert fees == [ETH // 1000, 3 * ETH // 2000, 2 * ETH // 1000, 3 * ETH // 1000]
    assert (rules.usual(), rules.bars(), rules.due(7, ())) == (Wait(0, 576 * SECOND), Wait(0, 576 * SECOND), Wait(0, 92_160 * SECOND))


def test_some_chains_promise_nothing() -> None:
    assert PriorityQueue().due(7, ()) is None
    assert PriorityQueue(expiration="5d").due(7, ()) == Wait(0, 5 * 86_400 * SECOND)  # type: ignore[arg-type]
    assert NONE().due(7, ()) is None
    assert not NONE().queues


def test_the_room_knows_its_kinds() -> None:
    assert {"none", "op_deposits", "delayed_inbox", "inclusion_queue", "priority_queue"} <= set(room("inclusion").kinds())


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"kind": "delayed_inbox", "buffer": {"most": 100, "threshold": 150}}, "'most' must not be less"),
        ({"kind": "op_deposits", "window": 0}, "greater than or equal to 1"),
        ({"kind": "op_deposits", "drift": 0}, "must be more than 0"),
        ({"kind": "inclusion_queue", "delay": 576}, "has no unit"),
        ({"kind": "delayed_inboxes"}, "did you mean 'delayed_inbox'"),
    ],
)
def test_what_makes_no_sense_is_refused(written: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ForcedInclusion.model_validate(written)


def test_a_buffer_has_the_values_of_arbitrum_one() -> None:
    assert DelayBuffer().model_dump() == {"most": 14_400, "threshold": 150, "replenish": 500}
