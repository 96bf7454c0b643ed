"""The benchmark of a day: everybody who lives it ends with the same numbers, to the last transaction."""

import numpy as np
import pytest

from benchmarks import final, limit, naive
from benchmarks.day import FILE
from benchmarks.drawn import SEED
from l2sim.events import LoanLiquidated, TransactionIncluded
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.engine import Engine
from l2sim.world.world import World

CHANGES = {"duration": "40min", "agents.borrowers.size": 3000, "prices.eth.shocks.slide": {"at": "10min", "size": "-6 %", "over": "20min"}}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario.load(FILE).vary(CHANGES)


def lived(scenario: Scenario, engine: Engine) -> tuple[final.Final, Log]:
    world = World(scenario, Streams(SEED), {}, engine)
    log = world.run()
    return final.of(world, log), log


def test_everybody_ends_with_the_same_numbers(scenario: Scenario) -> None:
    (by_arrays, arrays), (by_lists, lists) = lived(scenario, "arrays"), lived(scenario, "lists")
    at_the_limit, facts = limit.lived(scenario)
    assert arrays.digest == lists.digest
    assert by_arrays == by_lists
    assert at_the_limit.differences(by_arrays) == []
    assert naive.Naive(scenario).lived().differences(by_arrays) == []
    assert by_arrays.rows["LoanLiquidated"] > 50
    assert by_arrays.rows["BatchPosted"] > 5
    assert by_arrays.profits["sandwicher"] > 10.0
    # The limit writes the very same rows.
    for fact, written in ((TransactionIncluded, facts.rows), (LoanLiquidated, facts.liquidated)):
        told = arrays.arrays(fact.__name__)
        for name in {"time", "block", "submitted", "status", "gas", "execution_fee", "data_fee", "x", "y", "repaid", "seized"} & {*told}:
            assert np.array_equal(told[name], getattr(written, name)[: len(told[name])]), name


def test_a_difference_is_noticed(scenario: Scenario) -> None:
    _, by_lists = lived(scenario, "lists"), naive.Naive(scenario.vary({"markets.pool.fee": "31 bps"})).lived()
    found = [difference.split(":")[0] for difference in by_lists.differences(limit.lived(scenario)[0])]
    assert {"base", "quote", "profits", "statuses"} <= {*found}


def test_blocks_of_250_ms_agree_too(scenario: Scenario) -> None:
    brief = scenario.vary({"duration": "15min", "chains.op.sequencer.block_time": "250ms"})
    at_the_limit, _ = limit.lived(brief)
    assert at_the_limit.differences(lived(brief, "arrays")[0]) == []
    assert at_the_limit.differences(naive.Naive(brief).lived()) == []
