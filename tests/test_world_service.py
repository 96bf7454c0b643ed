"""A sequencer with a speed: one transaction after the other, in the order of the ordering, whatever the rhythm of blocks."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from validation import SCENARIOS
from worlds import lived

from l2sim.events import TransactionServed
from l2sim.log import Log
from l2sim.ordering import Ordering
from l2sim.ordering.first_come_first_served import FirstComeFirstServed
from l2sim.ordering.priority_fee import PriorityFee
from l2sim.ordering.random import Random
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.transactions import NEVER, Rows, Status
from l2sim.units import GAS_RATE, SECOND
from l2sim.world import rollup
from l2sim.world.inbox import Cut, Inbox
from l2sim.world.service import Service
from l2sim.world.world import World

EXPONENTIAL = "agents.traders.gas_used={kind: exponential, mean: 1 Mgas}"
PRIORITY = (
    "chains.arb.ordering={kind: priority_fee}",
    "agents.traders.tip={kind: uniform, low: 0 wei, high: 9 wei}",
    "agents.traders.gas=9 ETH",
)
SPEED = 100_000_000


def queue(*settings: str) -> Scenario:
    return Scenario.load(SCENARIOS / "queue.yaml", ("duration=30 s", EXPONENTIAL, *settings))


def services(log: Log) -> pd.DataFrame:
    """What was executed with gas and priority fee (wei per gas), in the order of execution."""
    served, rows = log.frame("TransactionServed"), log.frame("TransactionIncluded")
    assert (served["submitted"] == rows["submitted"]).all()  # blocks hold what was executed in the order in which it was
    assert (served["time"] == rows["time"]).all()
    tip = np.rint(rows["execution_fee"] * 1e18 / rows["gas"]).astype(int)
    return served.assign(gas=rows["gas"].astype(np.int64), tip=tip)


def durations(gas: pd.Series) -> pd.Series:
    return -(-gas * SECOND // SPEED)


def test_first_come_first_served_is_lindleys_recursion() -> None:
    served = services(lived(queue()))
    assert len(served) > 2000
    assert served["arrives"].is_monotonic_increasing
    end = 0
    for arrives, gas, begins, ends in served[["arrives", "gas", "begins", "ends"]].itertuples(index=False):
        assert begins == max(end, arrives)
        end = begins - -gas * SECOND // SPEED
        assert ends == end
    assert served["gas"].nunique() > 1000


def test_priority_fees_are_served_without_interruption_the_best_of_what_has_arrived() -> None:
    served = services(lived(queue(*PRIORITY)))
    assert served["tip"].nunique() > 5
    left = {row.Index: (row.tip, row.arrives) for row in served.itertuples()}
    now = 0
    for row in served.head(1500).itertuples():
        here = {i: (-tip, arrives) for i, (tip, arrives) in left.items() if arrives <= now}
        if not here:
            now = min(arrives for _, arrives in left.values())
            here = {i: (-tip, arrives) for i, (tip, arrives) in left.items() if arrives <= now}
        assert min(here, key=here.__getitem__) == row.Index
        assert row.begins == now
        now = row.ends
        del left[row.Index]


@pytest.mark.parametrize("settings", [(), PRIORITY], ids=["first_come_first_served", "priority_fee"])
def test_the_rhythm_of_blocks_changes_nothing(settings: tuple[str, ...]) -> None:
    columns = ["sender", "submitted", "arrives", "begins", "ends"]
    blocks = ["chains.arb.sequencer.block_time=2 s", "chains.arb.sequencer={block_time: 30 ms, blocks: poisson}"]
    seldom, often = (services(lived(queue(*settings, block)))[columns] for block in blocks)
    both = min(len(seldom), len(often))
    assert both > 2000
    assert seldom.head(both).equals(often.head(both))


@pytest.mark.parametrize("ordering", ["first_come_first_served", "priority_fee", "random"])
def test_a_server_never_does_two_things_and_never_idles_while_somebody_waits(ordering: str) -> None:
    served = services(lived(queue(*PRIORITY, f"chains.arb.ordering={{kind: {ordering}}}")))
    assert (served["ends"] - served["begins"] == durations(served["gas"])).all()
    assert (served["begins"] >= served["arrives"]).all()
    assert (served["ends"] <= served["time"]).all()
    gaps = served["begins"].iloc[1:].to_numpy() - served["ends"].iloc[:-1].to_numpy()
    assert (gaps >= 0).all()
    idle = served.iloc[1:][gaps > 0]
    assert len(idle) > 100
    assert (idle["begins"] == idle["arrives"]).all()
    for row in idle.itertuples():  # everything that had come before was done
        assert not ((served["arrives"] < row.begins) & (served["begins"] > row.begins)).any()


def test_a_random_order_is_another_one() -> None:
    random = services(lived(queue("chains.arb.ordering={kind: random}")))
    assert not random["arrives"].is_monotonic_increasing


# ---- block by block, by hand


def served_by(speed: int, *rows: tuple[int, int], **columns: Any) -> tuple[Service, Inbox]:
    """A server before a mempool with rows that arrived at a time (ns) and use so much gas."""
    inbox = Inbox()
    arrives, gas = [row[0] for row in rows], [row[1] for row in rows]
    inbox.admit(Cut.whole(Rows.of(len(rows), arrives=arrives, gas=gas, tie=list(range(len(rows))), **columns)))
    log = Log()
    chain: Any = SimpleNamespace(name="arb", inbox=inbox, world=SimpleNamespace(log=log, needs=frozenset({"TransactionServed"})))
    return Service(chain, speed), inbox


def block(service: Service, now: int, limit: int = 10**9, base_fee: int = 0, ordering: Ordering | None = None) -> list[int]:
    """The tie keys of what a block takes."""
    cut, _, _ = service.select(now, base_fee, limit, ordering or FirstComeFirstServed(), lambda: Streams(1).generator("ordering"))
    return cut.rows.tie[cut.start : cut.stop]


def times(service: Service) -> list[tuple[int, int]]:
    log_table: Any = service._served
    columns = log_table.arrays()
    return list(zip(columns["begins"].tolist(), columns["ends"].tolist(), strict=True))


def test_execution_goes_on_over_the_end_of_a_block() -> None:
    service, inbox = served_by(SECOND, (0, 40), (10, 40), (20, 40))  # a gas each nanosecond
    assert block(service, 79) == [0]
    assert block(service, 80) == [1]
    assert len(inbox) == 1
    assert block(service, 200) == [2]
    assert times(service) == [(0, 40), (40, 80), (80, 120)]


def test_a_part_of_a_nanosecond_counts_as_one() -> None:
    service, _ = served_by(3 * SECOND, (0, 4), (0, 3))
    assert block(service, 3) == [0, 1]
    assert times(service) == [(0, 2), (2, 3)]


def test_a_full_block_stops_the_server_until_the_next_one_begins() -> None:
    service, _ = served_by(SECOND, (0, 10), (0, 10), (0, 10), (0, 10))
    assert block(service, 100, limit=20) == [0, 1]
    assert block(service, 115, limit=20) == [2]
    assert block(service, 130, limit=20) == [3]
    assert times(service) == [(0, 10), (10, 20), (100, 110), (110, 120)]


def test_where_the_ordering_passes_over_the_server_goes_on_with_what_fits() -> None:
    service, _ = served_by(SECOND, (0, 10), (0, 15), (0, 5), (0, 95))  # the last fits into no block before it ends
    assert block(service, 100, limit=20, ordering=PriorityFee()) == [0, 2]
    assert block(service, 115, limit=95, ordering=PriorityFee()) == [1]  # who was passed over is the first
    assert block(service, 210, limit=95, ordering=PriorityFee()) == [3]
    assert times(service) == [(0, 10), (10, 15), (100, 115), (115, 210)]
    service, _ = served_by(SECOND, (0, 10), (0, 15), (30, 12), (20, 10), tip=[0, 0, 2, 1])
    assert block(service, 100, limit=20, ordering=PriorityFee()) == [0, 3]
    assert times(service) == [(0, 10), (20, 30)]


def test_what_is_dropped_takes_no_time_from_the_last_block_on() -> None:
    service, _ = served_by(SECOND, (0, 10), (1, 70), (2, 10), deadline=[NEVER, 50, NEVER])
    assert block(service, 40) == [0]  # the second is being executed, in vain
    _, reasons, dropped = service.select(60, 0, 10**9, FirstComeFirstServed(), lambda: Streams(1).generator("x"))
    assert reasons == [(0, Status.DEADLINE)]
    assert dropped is not None
    assert dropped.tie == [1]
    assert times(service) == [(0, 10), (40, 50)]
    service, _ = served_by(SECOND, (0, 10), (1, 70), (2, 10), deadline=[NEVER, 30, NEVER])
    assert block(service, 40) == [0, 2]
    assert times(service) == [(0, 10), (10, 20)]


def test_who_bids_too_little_waits_for_a_lower_fee_without_being_executed() -> None:
    service, _ = served_by(SECOND, (0, 10), (0, 10), (0, 10), cap=[5, 1, 5])
    assert block(service, 50, base_fee=3) == [0, 2]
    assert block(service, 100, base_fee=1) == [1]
    assert times(service) == [(0, 10), (10, 20), (50, 60)]


@pytest.mark.parametrize("ordering", [FirstComeFirstServed(), PriorityFee(), Random()])
def test_what_is_being_executed_is_not_put_aside(ordering: Ordering) -> None:
    service, inbox = served_by(SECOND, (0, 100), tip=[1])
    assert block(service, 50, ordering=ordering) == []
    inbox.admit(Cut.whole(Rows.of(1, arrives=[60], gas=[10], tie=[9], tip=[7])))
    assert block(service, 105, ordering=ordering) == [0]
    assert block(service, 200, ordering=ordering) == [9]
    assert times(service) == [(0, 100), (100, 110)]


def test_what_comes_at_the_instant_of_the_block_is_last_and_takes_no_time() -> None:
    service, inbox = served_by(SECOND, (0, 10), (1, 10), (2, 90), (50, 10), (50, 20), tip=[3, 4, 0, 0, 9])
    assert block(service, 50, ordering=PriorityFee()) == [0, 1, 4, 3]
    assert len(inbox) == 1
    assert times(service) == [(0, 10), (10, 20)]
    assert block(service, 110, ordering=PriorityFee()) == [2]
    service, _ = served_by(SECOND, (0, 10), (1, 90), (50, 10))
    assert block(service, 50) == [0, 2]
    assert block(service, 100) == [1]


def test_blocks_that_were_undone_are_executed_again_from_now_on() -> None:
    service, inbox = served_by(SECOND, (0, 10), (0, 10))
    assert block(service, 50) == [0, 1]
    service.restart(80)
    inbox.put_back(Rows.of(2, arrives=[0, 0], gas=[10, 10], tie=[0, 1]))
    assert block(service, 100) == [0, 1]
    assert times(service)[2:] == [(80, 90), (90, 100)]


# ---- within a world


def test_a_reorganisation_costs_time_and_loses_nobody() -> None:
    attack = {"attacks.promise": {"kind": "sequencer_reorg", "on": "arb", "depth": 4, "begins": "20500ms", "lasts": "1s"}}
    scenario = queue("chains.arb.execution_speed=200 Mgas/s").vary(attack)
    log, calm = lived(scenario), lived(scenario.without_attacks())
    everything = log.frame("TransactionServed", reverted=True)
    undone = everything[~everything["canonical"]]
    again = log.frame("TransactionServed")
    assert len(undone) > 200
    assert set(undone["submitted"]) < set(again["submitted"])
    assert (again["begins"].iloc[1:].to_numpy() >= again["ends"].iloc[:-1].to_numpy()).all()
    later = again[again["submitted"].isin(undone["submitted"])]
    assert (later["begins"] >= 20_500_000_000).all()
    assert abs(len(again) - len(calm.frame("TransactionServed"))) < 10


def test_compiled_stretches_leave_such_a_chain_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(rollup, "stretch", lambda chain, times: called.append(len(times)) or 0)
    logs = [World(queue(), Streams(1), {}, engine).run() for engine in ("lists", "arrays")]
    assert logs[0].digest == logs[1].digest
    assert not called
    World(queue("chains.arb.execution_speed=null"), Streams(1), {}, "arrays").run()
    assert called


def test_a_very_fast_sequencer_makes_the_blocks_of_one_that_takes_no_time() -> None:
    settings = (*PRIORITY, "chains.arb.sequencer.block_time=20 ms", "chains.arb.ordering={kind: first_come_first_served}")
    fast, none = (lived(queue(*settings, f"chains.arb.execution_speed={speed}")) for speed in ("1000000 Ggas/s", "null"))
    assert len(none.tables["TransactionIncluded"]) > 2000
    assert fast.digest == none.digest


def test_a_block_in_which_nothing_was_finished_tells_how_many_wait() -> None:
    log = lived(queue("agents.traders.gas_used=100 Mgas", "agents.traders.rate=2 /s", "chains.arb.sequencer.block_time=300 ms"))
    blocks = log.frame("BlockSealed")
    assert (blocks["transactions"] <= 1).all()
    nothing = blocks[blocks["transactions"] == 0]
    assert len(nothing) > 20
    assert (nothing["pending"] > 0).all()
    (arrives,) = log.select(TransactionServed, "arrives")
    assert len(arrives) == pytest.approx(30, abs=2)  # one a second, while two a second come


@pytest.mark.parametrize(
    ("speed", "why"), [("8 Mgas", "speed of execution"), ("0 gas/s", "more than 0"), ("-1 Mgas/s", "0 or more"), ("100", "no unit")]
)
def test_anything_but_gas_per_second_is_no_speed(speed: str, why: str) -> None:
    with pytest.raises(ScenarioError, match=why):
        queue(f"chains.arb.execution_speed={speed}")


def test_a_speed_is_gas_per_second() -> None:
    scenario = queue("chains.arb.execution_speed=2.5 Ggas/s")
    assert scenario.chains["arb"].execution_speed == 2_500_000_000  # type: ignore[attr-defined]
    assert scenario.resolved()["chains"]["arb"]["execution_speed"] == "2.5 Ggas/s"
    assert GAS_RATE.read("100 Mgas/s") == GAS_RATE.read("100000000 gas/s") == 100_000_000


# ---- gas of each transaction


def test_gas_like_the_markets_own_changes_nothing_and_other_gas_no_other_draw() -> None:
    base = ("chains.arb.execution_speed=null", "chains.arb.fee={kind: constant, fee: 3 wei}")
    without, same, other = (
        lived(queue(*base, f"agents.traders.gas_used={gas}")) for gas in ("null", "120000 gas", "{kind: lognormal, median: 1 Mgas}")
    )
    assert without.digest == same.digest
    one, two = without.frame("TransactionIncluded"), other.frame("TransactionIncluded")
    changed = [name for name in one if not one[name].equals(two[name])]
    assert changed == ["gas", "execution_fee"]
    assert two["gas"].nunique() > 2000
    assert two["execution_fee"].to_numpy() == pytest.approx(two["gas"].to_numpy() * 3e-18, rel=1e-12)


def test_nobody_uses_more_gas_than_a_block_holds() -> None:
    log = lived(queue("chains.arb.block_gas_limit=2 Mgas", "chains.arb.execution_speed=null", "chains.arb.sequencer.block_time=5 ms"))
    gas = log.frame("TransactionIncluded")["gas"]
    assert gas.max() == 2_000_000
    assert (gas == 2_000_000).mean() == pytest.approx(np.exp(-2.0), abs=0.03)
    assert len(gas) > 2000


def test_a_crowd_goes_by_the_fee_that_its_own_gas_costs() -> None:
    """At 3 wei a gas and 2000 USD an ether, a thousandfold gas is a thousandth of the trades with an elasticity of 1."""
    settings = ("chains.arb.execution_speed=null", "chains.arb.fee={kind: constant, fee: 1 gwei}", "agents.traders.fee_response=1")
    usual = 120_000 * 1e-9 * 2000
    counts = []
    for gas in ("null", "480000 gas"):
        log = lived(queue(*settings, f"agents.traders.usual_fee={usual} USD", f"agents.traders.gas_used={gas}"))
        counts.append(len(log.tables["TransactionIncluded"]))
    assert counts[1] == pytest.approx(counts[0] / 4, rel=0.15)
