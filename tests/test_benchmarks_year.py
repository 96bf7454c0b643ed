"""The benchmark of a year, and what it rests on: both sides end with the same fees, and empty blocks leave what they would one by one."""

from typing import Any

import numpy as np
import pytest
from validation import run

from benchmarks.year import FILE, Usage, looped, simulated
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world import idle as idle_blocks
from l2sim.world import rollup
from l2sim.world.batches import Batches
from l2sim.world.world import World


def brief(**changes: Any) -> Scenario:
    return Scenario.load(FILE).vary({"duration": "1d"} | changes)


def test_the_loop_ends_with_the_same_fees() -> None:
    scenario = brief()
    assert simulated(scenario)[1] == looped(scenario, Usage(scenario).blocks)[1]


def one_by_one(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> Log:
    """The same with every empty block made by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(rollup, "may_idle", lambda chain: False)
        return run(scenario)


@pytest.mark.parametrize("changes", [
    {},
    {"chains.op.sequencer.blocks": "poisson"},
    {"chains.op.fee": {"kind": "eip1559", "denominator": 50, "elasticity": 6}},
    {"chains.op.block_overhead": "2 kB"},  # batches are full before they are old
    {"chains.op.batch_poster": {"kind": "batch_poster", "poll": "7s", "max_delay": "90s", "target_blob_fee": "3 Mwei", "bump": "30s"}},
    {"chains.op.sequencer.block_time": "13s", "chains.op.batch_poster.poll": "13s"},
    {"attacks.outage": {"kind": "sequencer_outage", "on": "op", "begins": "3h", "lasts": "1h"}},
])  # fmt: skip
def test_idle_blocks_leave_what_they_would_one_by_one(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = brief(**{"duration": "6h"} | changes)
    at_once, singly = run(scenario), one_by_one(scenario, monkeypatch)
    assert len(singly.tables["BatchPosted"]) > 50
    assert at_once.digest == singly.digest


def test_idle_blocks_are_not_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    idle = idle_blocks.idle

    def counted(*arguments: Any) -> int:
        made.append(idle(*arguments))
        return made[-1]

    monkeypatch.setattr(rollup, "idle", counted)
    for block_time, each in (("2s", 1800), ("250ms", 14400)):
        made.clear()
        world = World(brief(**{"duration": "2h", "chains.op.sequencer.block_time": block_time}), Streams(1), {})
        world.run()
        assert world.chains["op"].height == 2 * each
        assert sum(made) > 0.95 * 2 * each
        assert len(made) < 300  # as many looks whatever the time between blocks


def test_blocks_that_wait_together_are_taken_apart_again() -> None:
    class Chain:
        class world:  # noqa: N801
            clock = None

        class rules:  # noqa: N801
            batch_poster, block_overhead = "somebody", 10

    batches = Batches(Chain)  # type: ignore[arg-type]
    batches.add(5, 90)
    batches.add_idle(range(10, 60, 10))
    batches.add(60, 990)
    assert (batches.undoable(), batches.backlog, batches.oldest()) == (7, 100 + 50 + 1000, 5)
    assert batches.take(125) == (1, 3, 120)
    assert batches.oldest() == 30
    assert batches.take(5) == (4, 4, 10)
    batches.remove()
    batches.remove()
    assert batches.take(10**6) == (5, 5, 10)
    assert (batches.unsent, batches.oldest()) == (0, None)
    batches.add(70, 5000)
    assert batches.take(100) == (6, 6, 5010)


def test_memory_does_not_grow_with_empty_blocks() -> None:
    world = World(brief(**{"duration": "20d", "chains.op.sequencer.block_time": "10ms"}), Streams(1), {})
    assert isinstance(world.chains["op"].instants(), range)
    assert np.asarray(world.chains["op"].instants()[-1]) == 20 * 86_400 * 10**9
