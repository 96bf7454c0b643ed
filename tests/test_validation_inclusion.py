"""Worst-case inclusion through L1, in closed form, through the event loop: phases at random, sequencers that censor or are down.

A message sent at ``t`` is in the first L1 block after it, B = floor(t / 12 s) + 1. A block of the rollup holds what was due before it.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest
from worlds import HERE, lived

from l2sim.inclusion.delayed_inbox import buffer_after
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.units import HOUR, SECOND

PATH = HERE / "scenarios" / "forced_inclusion.yaml"
ROLLUPS = ("op", "arb", "zk", "taiko")
SLOT = 12
BLOCK = 30
"""Seconds between blocks of the rollups here: fewer of them make the test quick."""
PHASES = np.random.default_rng(7).uniform(600.0, 4000.0, 40).round(3).tolist()


def scenario(duration: str, attacks: dict[str, Any] | None = None, steps: dict[str, Any] | None = None, **chains: Any) -> Scenario:
    plain = Scenario.load(PATH, [f"chains.{name}.sequencer.block_time={BLOCK}s" for name in ROLLUPS])
    changed = plain.resolved() | {"duration": duration, "attacks": attacks or {}}
    if steps is not None:
        changed["agents"] = changed["agents"] | {"user": changed["agents"]["user"] | {"steps": steps}}
    changed["chains"] = {name: chain | chains.get(name, {}) for name, chain in changed["chains"].items()}
    return Scenario.of(changed)


def sent(chain: str, at: float) -> dict[str, Any]:
    return {"at": f"{at}s", "market": f"{chain}_pool", "action": "buy", "fields": {"quote_in": "10 USD"}, "forced_after": "0 s"}


def first_after(seconds: float) -> float:
    """The rollup's first block after a time."""
    return (seconds // BLOCK + 1) * BLOCK


def holds(at: float) -> int:
    """The L1 block that holds what is sent at a time."""
    return int(at // SLOT) + 1


def times(log: Log) -> dict[str, float]:
    frame = log.frame("MessageIncluded")
    return dict(zip(frame["chain"].astype(str), (frame["time"] / SECOND).tolist(), strict=True))


@cache
def usual() -> Log:
    steps = {f"{chain}{i}": sent(chain, at) for chain in ROLLUPS for i, at in enumerate(PHASES)}
    return lived(scenario("2h", steps=steps))


@pytest.mark.parametrize(("chain", "wait"), [("op", 4 * SLOT), ("arb", 50 * SLOT), ("zk", 10 * SLOT), ("taiko", 576)])
def test_without_censorship_messages_come_in_the_usual_delay(chain: str, wait: float) -> None:
    frame = usual().frame("MessageIncluded").query(f"chain == '{chain}'")
    assert len(frame) == len(PHASES)
    assert set(frame["how"]) == {"usual"}
    found = dict(zip((frame["submitted"] / SECOND).round(3).tolist(), (frame["time"] / SECOND).tolist(), strict=True))
    assert found == {at: first_after(holds(at) * SLOT + wait) for at in PHASES}
    # The rows are ordinary ones: executed once, with the time at which they were sent.
    rows = usual().frame("TransactionIncluded").query(f"chain == '{chain}'")
    assert sorted((rows["submitted"] / SECOND).round(3)) == sorted(PHASES)
    assert (rows["status"] == 0).all()


def censored(at: float, *, stubborn: bool = False) -> Log:
    attacks = {
        f"on_{chain}": {
            "kind": "censorship",
            "on": chain,
            "agents": ["user"],
            "begins": "0 s",
            "lasts": "60h",
            "stubborn": stubborn,
        }
        for chain in ROLLUPS
    }
    return lived(scenario("27h", attacks, {chain: sent(chain, at) for chain in ROLLUPS}))


def down(at: float) -> Log:
    attacks = {f"out_{chain}": {"kind": "sequencer_outage", "on": chain, "begins": "5min", "lasts": "60h"} for chain in ROLLUPS}
    return lived(scenario("27h", attacks, {chain: sent(chain, at) for chain in ROLLUPS}))


@pytest.mark.parametrize("at", [*PHASES[:2], 1200.0])
def test_a_censoring_sequencer_delays_to_the_bound_of_each_rule(at: float) -> None:
    block = holds(at)
    found = times(censored(at))
    # It gives in where its blocks could hold nothing else: OP at the drift from the L1 block before, Taiko at the delay.
    assert found == {
        "op": first_after((block - 1) * SLOT + 1800),
        "arb": first_after((block + 5761) * SLOT),
        "taiko": first_after(block * SLOT + 576),
    }
    assert "zk" not in found  # no deadline
    stubborn = censored(at, stubborn=True)
    assert times(stubborn) == {
        "op": first_after((block + 3600) * SLOT),
        "arb": first_after((block + 5761) * SLOT),
        "taiko": first_after(-(-(block * SLOT + 92_160) // SLOT) * SLOT),
    }
    assert set(stubborn.frame("MessageIncluded")["how"]) == {"forced"}


@pytest.mark.parametrize("at", [*PHASES[2:4], 1200.0])
def test_without_a_sequencer_the_rule_itself_makes_the_block(at: float) -> None:
    block, log = holds(at), down(at)
    assert times(log) == {"op": (block + 3600) * SLOT, "arb": (block + 5761) * SLOT, "taiko": -(-(block * SLOT + 92_160) // SLOT) * SLOT}
    assert set(log.frame("MessageIncluded")["how"]) == {"derived"}
    sealed = log.frame("BlockSealed").query("chain != 'l1' and time > 300e9")
    assert sorted(sealed["time"] / SECOND) == sorted(times(log).values())  # one block each, with nothing else in it
    assert (sealed["transactions"] == 1).all()


def test_a_window_that_is_one_block_shorter_is_seen() -> None:
    at, short = PHASES[0], {"forced_inclusion": {"kind": "op_deposits", "window": 3599}}
    attacks = {"out": {"kind": "sequencer_outage", "on": "op", "begins": "5min", "lasts": "60h"}}
    assert times(lived(scenario("27h", attacks, {"op": sent("op", at)}, op=short))) == {"op": (holds(at) + 3599) * SLOT}


def drained(number: int, gap: int = 2) -> tuple[list[int], list[int]]:
    """A message after the other, each sent once the one before is in a block of Arbitrum's that censors; delays as found, in L1 blocks,
    and as the contract's formula says they are."""
    block, buffer, before, expected = holds(700.0), 14_400, (0, 0), []
    at, steps = 700.0, {}
    for i in range(number):
        steps[f"s{i}"] = sent("arb", at)
        buffer = buffer_after(before[0], block, buffer, before[1], 150, 14_400, 500)
        expected.append(min(5760, buffer) + 1)
        # It is in the rollup's first block after the call; the L1 block of that is what the contract remembers.
        included = first_after((block + expected[-1]) * SLOT)
        before = block, int(included // SLOT)
        block = before[1] + gap
        at = block * SLOT - 5.0
    attack = {"kind": "censorship", "on": "arb", "agents": ["user"], "begins": "0 s", "lasts": "1000h"}
    log = lived(scenario(f"{int(at / 3600) + 26}h", {"attack": attack}, steps))
    queued, forced = log.frame("MessageQueued"), log.frame("MessageForced")
    assert (forced["accepted"] == 1).all()
    assert queued["number"].tolist() == forced["number"].tolist()
    return (forced["l1_block"] - queued["l1_block"]).tolist(), expected


def test_repeated_delays_drain_the_buffer_to_its_threshold() -> None:
    found, expected = drained(7)
    assert found == expected
    assert found[:2] == [5761, 5761]
    # Half of the buffer is gone after two days of silence; a day and a half later the sequencer has half an hour left.
    assert 3740 < found[2] < 3760
    assert found[-1] < 200


def test_an_inbox_without_a_buffer_asks_for_a_day_by_the_clock_too() -> None:
    at, earlier = PHASES[3], {"forced_inclusion": {"kind": "delayed_inbox", "buffer": None, "delay_time": "24h"}}
    attacks = {"out": {"kind": "sequencer_outage", "on": "arb", "begins": "5min", "lasts": "60h"}}
    found = times(lived(scenario("27h", attacks, {"arb": sent("arb", at)}, arb=earlier)))
    assert found == {"arb": (holds(at) + 7201) * SLOT}  # the first slot whose timestamp is later by more than 86 400 s


def test_the_bounds_in_hours() -> None:
    """12 h, 19.2 h and 25.6 h, and no more than a slot, a block and the wait for the first L1 block above them."""
    found = times(down(PHASES[5]))
    for chain, hours in {"op": 12.0, "arb": 24.0 * 5761 / 7200, "taiko": 25.6}.items():
        assert hours * HOUR / SECOND < found[chain] - PHASES[5] < hours * HOUR / SECOND + 2 * SLOT
