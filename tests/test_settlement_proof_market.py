"""Proofs that are bought: who makes them, who pays whom, what happens where provers stop, are late, or are made to work harder."""

from typing import Any

import numpy as np
import pytest
from worlds import HERE

from l2sim.events.proofs import ProofLost, ProofMade, ProverOpened
from l2sim.log import Log
from l2sim.metrics.proving import Proving
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.streams import Streams
from l2sim.units import HOUR, MINUTE, SECOND
from l2sim.world.world import World

PLAN = HERE / "scenarios" / "proof_market.yaml"
FIRST = HOUR + 36 * SECOND
"""When the first assertion is on L1: asserted at half past the minute after an hour, two slots later at a full one."""
SLOT = 12 * SECOND
MARKET = "chains.zk.settlement.market"
OUTAGE = "attacks.outage={kind: prover_outage, on: zk, provers: cheap, begins: 70min, lasts: 3h}"
KILLER = "attacks.killer={kind: prover_killer, market: pool, begins: 1h, lasts: 1h, budget: 1 ETH}"


def plan(*settings: str) -> Scenario:
    return Scenario.load(PLAN, settings)


def played(*settings: str) -> tuple[World, Log]:
    world = World(plan(*settings), Streams(1, 0))
    return world, world.run()


def purse(world: World, group: str) -> float:
    """Ether of a group on L1, less what it brought."""
    found = world.ledger.held("l1", "gas", group)
    return found - {"cheap": 100.0, "dear": 100.0, "zk.proposer": 1000.0}.get(group, 0.0)


def account(log: Log, group: str) -> int:
    return int(log.about["groups"][group]["first"])


def figures(log: Log, *settings: str) -> Any:
    return plan(*settings).metrics["proving"].measure(log).loc["zk"]


# ---- who makes a proof, and for what


def test_the_cheapest_free_machine_makes_it_and_is_paid_by_who_asserted() -> None:
    world, log = played()
    made, verified = log.frame("ProofMade"), log.frame("ProofsVerified")
    assert set(made["prover"]) == {account(log, "cheap")}
    assert set(made["time"] - made["begun"]) == {40 * MINUTE}
    assert made["begun"][0] == made["requested"][0] == FIRST
    # 10 USD and a fifth, at 2000 USD an ether; 10 USD went into machines.
    assert set(made["price"].round(12)) == {0.006}
    assert purse(world, "cheap") == pytest.approx(len(made) * 0.001)
    assert purse(world, "dear") == 0.0
    assert world.ledger.held("l1", "gas", "expenses") == pytest.approx(len(made) * 0.005)
    asserted = log.frame("AssertionMade")["cost"].sum()
    assert purse(world, "zk.proposer") == pytest.approx(-len(made) * 0.006 - verified["cost"].sum() - asserted)
    assert set(verified["gas"]) == {207_000 + 7_160}
    final = log.frame("AssertionConfirmed")
    assert final["time"].tolist() == (made["time"] + SLOT).tolist()


def test_where_the_cheapest_is_busy_the_next_one_makes_it_and_where_all_are_it_waits_for_the_first_that_is_free() -> None:
    _, log = played("chains.zk.proposer.interval=15min", "agents.cheap.proving_time=50min", "agents.dear.proving_time=50min")
    made = log.frame("ProofMade").sort_values("job")
    assert set(made["prover"][:2]) == {account(log, "cheap"), account(log, "dear")}
    assert made["prover"][0] == account(log, "cheap")
    wait = (made["begun"] - made["requested"]).to_numpy()
    assert (wait[2:] > 0).all()
    assert set(made["begun"][2:]) <= set(made["time"])  # a machine that became free
    assert (np.diff(made["begun"]) >= 0).all()  # the oldest first
    found = figures(log)
    assert found["waited_share"] == (wait > 0).mean()
    assert found["unmade"] >= 15  # four an hour are asked for, two machines make 2.4
    assert found["busy_share"] == pytest.approx((10 * HOUR - FIRST) / (10 * HOUR), abs=0.12)


def test_others_who_buy_proofs_make_the_rollup_wait() -> None:
    _, alone = played()
    _, log = played("agents.others={kind: proof_requester, on: zk, rate: 2.5 /h}")
    assert log.frame("ProofMade")["account"].nunique() == 2
    assert figures(log)["finality_mean"] > 1.2 * figures(alone)["finality_mean"]


def test_what_costs_too_much_or_cannot_be_paid_is_not_made() -> None:
    assert not played(f"{MARKET}.most=11 USD")[1].arrays("ProofMade")
    world, log = played("chains.zk.proposer.funds=0.02 ETH")
    assert 1 <= len(log.frame("ProofMade")) <= 3
    assert purse(world, "zk.proposer") + 1000.0 >= 0.0


def test_what_is_false_is_not_even_asked_for() -> None:
    lie = "attacks.lie={kind: invalid_assertion, bridge: bridge, begins: 90min, lasts: 1min}"
    _, log = played(lie)
    (false,) = log.frame("AssertionMade").query("valid == 0")["number"]
    assert false not in log.frame("ProofRequested")["assertion"].tolist()
    assert set(log.frame("AssertionConfirmed")["valid"]) == {1}


def test_attempts_that_fail_are_made_again() -> None:
    _, log = played("agents.cheap.failure=50 %", "agents.cheap.machines=20", "agents.cheap.proving_time=1min", "duration=60h")
    made = log.frame("ProofMade")
    attempts = made["attempts"].to_numpy()
    assert ((made["time"] - made["begun"]) == attempts * MINUTE).all()
    assert made["spent"].tolist() == pytest.approx((attempts * 0.005).tolist())
    # Geometric: the mean is 2 and the standard deviation the square root of 2.
    assert abs(attempts.mean() - 2.0) < 4.0 * np.sqrt(2.0 / len(attempts))


# ---- aggregation and delay


def test_proofs_are_aggregated_and_verified_once() -> None:
    _, log = played("chains.zk.settlement.aggregate=3", "chains.zk.settlement.aggregation_time=5min")
    verified, final = log.frame("ProofsVerified"), log.frame("AssertionConfirmed")
    assert set(verified["number"]) == {3}
    assert set(verified["gas"]) == {207_000 + 3 * 7_160}
    made = log.frame("ProofMade")
    assert final["time"].tolist() == [time for time in made["time"][2::3] + 5 * MINUTE + SLOT for _ in range(3)]
    found = figures(log)
    assert found["gas_each"] == pytest.approx(207_000 / 3 + 7_160)


def test_the_first_of_an_aggregate_does_not_wait_for_longer_than_it_may() -> None:
    _, log = played("chains.zk.settlement.aggregate=10", "chains.zk.settlement.aggregate_for=150min")
    made, verified = log.frame("ProofMade"), log.frame("ProofsVerified")
    assert set(verified["number"]) == {3}
    assert verified["time"][0] == made["time"][0] + 150 * MINUTE + SLOT + (verified["time"][0] - made["time"][0] - 150 * MINUTE) % SLOT


def test_those_who_share_an_aggregate_share_its_gas() -> None:
    """Two who assert: whoever asserted the newest posts, and the other pays half."""
    world = World(plan("chains.zk.settlement.aggregate=2"), Streams(1, 0))
    seat = next(seat for part, seat in world.seats if part.kind == "crowd_of_withdrawers")

    def asserts() -> Any:
        docket = seat.settlement("zk")
        yield seat.sleep(HOUR + 5 * MINUTE)
        yield docket.propose(docket.head("latest"), docket.digest(docket.head("latest")))

    world.ledger.mint("l1", "gas", seat.accounts.start, 5.0)
    world.start(asserts(), seat.name)
    log = world.run()
    verified, made, proofs = log.frame("ProofsVerified"), log.frame("AssertionMade"), log.frame("ProofMade")
    own = seat.accounts.start
    (asserted,) = made[made["account"] == own]["cost"]
    (price,) = proofs[proofs["account"] == own]["price"]
    paid = log.frame("WithdrawalFinalized")
    sent = paid[paid["account"] == own]["cost"].sum()
    left = world.ledger.column("l1", "gas")[own]
    # Its proof is the second of the first aggregate, so that it posts, and gets half of that back.
    assert proofs["account"][1] == own
    assert 5.05 - left == pytest.approx(asserted + price + verified["cost"][0] / 2 + sent)


def test_nothing_is_final_before_the_delay_is_over() -> None:
    _, log = played("chains.zk.settlement.execution_delay=3h")
    verified, final = log.frame("ProofsVerified"), log.frame("AssertionConfirmed")
    assert final["time"].tolist() == (verified["time"] + 3 * HOUR)[: len(final)].tolist()
    paid = log.frame("WithdrawalFinalized")["time"]
    assert paid.min() > verified["time"][0] + 3 * HOUR


# ---- provers that stop or are late


def test_what_a_stopped_prover_was_at_is_made_by_others_or_when_it_is_back() -> None:
    world, log = played(OUTAGE)
    lost, made = log.frame("ProofLost"), log.frame("ProofMade")
    assert lost["why"].tolist() == ["stopped"]
    assert lost["time"][0] == 70 * MINUTE
    hour = 60 * MINUTE
    assert made["begun"][0] == 70 * MINUTE
    assert set(made["prover"][made["begun"] < 70 * MINUTE + 3 * hour]) == {account(log, "dear")}
    assert set(made["prover"][made["begun"] > 70 * MINUTE + 3 * hour]) == {account(log, "cheap")}
    # Without the other one, all waits until the end of the outage, and is then made one after the other.
    _, alone = played(OUTAGE, "agents.dear=null")
    made = alone.frame("ProofMade")
    assert (made["begun"][:4] - (70 * MINUTE + 3 * hour)).tolist() == [i * 40 * MINUTE for i in range(4)]
    assert figures(alone)["finality_max"] > 3 * 3600.0
    assert purse(world, "cheap") < 0.001 * (made["prover"] == account(log, "cheap")).sum()  # the attempt that was lost cost 10 USD


def test_machines_that_are_down_for_two_reasons_are_back_when_both_are_over() -> None:
    whole = "attacks.whole={kind: prover_outage, on: zk, provers: cheap, begins: 0s, lasts: 6h}"
    _, log = played(OUTAGE, whole, "agents.dear=null")
    assert log.frame("ProofMade")["begun"].min() == 6 * HOUR
    assert not log.arrays("ProofLost")


def test_only_the_designated_may_prove_until_the_window_is_over() -> None:
    window = f"{MARKET}={{designated: [cheap], window: 2h}}"
    _, log = played(window, OUTAGE)
    made = log.frame("ProofMade").sort_values("job").reset_index(drop=True)
    dear = made[made["prover"] == account(log, "dear")]
    assert len(dear) >= 1
    assert ((dear["begun"] - dear["requested"]) >= 2 * HOUR).all()
    assert made["begun"][0] == made["requested"][0] + 2 * HOUR
    _, calm = played(window)
    assert set(calm.frame("ProofMade")["prover"]) == {account(calm, "cheap")}


def test_who_stops_loses_the_stake_and_who_delivers_has_it_back() -> None:
    staked = f"{MARKET}={{stake: 2 ETH, window: 4h}}"
    world, log = played(OUTAGE, staked)
    fined = log.frame("ProverFined")
    assert fined["amount"].tolist() == [2.0]
    assert fined["account"][0] == account(log, "zk.proposer")
    assert figures(log)["fined"] == 2.0
    made = log.frame("ProofMade")
    mine = made["prover"] == account(log, "cheap")
    assert purse(world, "cheap") == pytest.approx(mine.sum() * 0.001 - 0.005 - 2.0)
    # Stakes bind: with ether for one, a prover with two machines takes one job at a time.
    _, log = played(staked, "agents.dear=null", "agents.cheap={machines: 2, funds: 2.1 ETH, proving_time: 100min}")
    made = log.frame("ProofMade")
    assert (made["begun"].to_numpy()[1:] >= made["time"].to_numpy()[:-1]).all()


def test_who_is_late_loses_the_stake_and_is_overtaken() -> None:
    _, log = played(f"{MARKET}={{stake: 2 ETH, window: 1h}}", "agents.cheap.proving_time=3h", "agents.dear.proving_time=30min")
    made, lost = log.frame("ProofMade"), log.frame("ProofLost")
    first = made[made["job"] == 0].iloc[0]
    assert first["prover"] == account(log, "dear")
    assert first["begun"] == FIRST + 1 * HOUR
    assert lost["why"].tolist()[0] == "late"
    assert lost["time"][0] == first["time"]
    fined = log.frame("ProverFined")
    assert fined["time"][0] == FIRST + HOUR
    assert fined["prover"][0] == account(log, "cheap")


# ---- work


def test_a_prover_killer_makes_proofs_longer_and_pays_the_rollups_fees() -> None:
    cycles = f"{MARKET}={{cycles_per_block: 10000000, cycles_per_gas: 1700}}"
    prover = "{speed: 1e8, proving_time: 5min, cost_per_gigacycle: 1 USD}"
    killer = "attacks.killer={kind: prover_killer, market: pool, begins: 2h, lasts: 30min, budget: 1 ETH, factor: 20, share: 0.05}"
    common = cycles, f"agents.cheap={prover}", "agents.dear=null"
    world, log = played(*common, killer)
    _, calm = played(*common)
    asked, usual = log.frame("ProofRequested"), calm.frame("ProofRequested")
    # Withdrawals' gas apart, an hour of 60 empty blocks is 0.6 bn cycles.
    assert usual["cycles"].between(0.6e9, 0.6e9 + 20 * 120_000 * 1700).all()
    sent = log.frame("TransactionIncluded")
    filled = int(sent[sent["sender"] == account(log, "killer")]["gas"].sum())
    assert filled == 30 * 500_000
    assert asked["cycles"].sum() - usual["cycles"].sum() == pytest.approx(filled * 1700 * 20)
    made = log.frame("ProofMade")
    work = asked["cycles"].to_numpy()[made["job"]]
    assert ((made["time"] - made["begun"]) / SECOND).tolist() == pytest.approx((300.0 + work / 1e8).tolist())
    assert made["price"].tolist() == pytest.approx((1.2 * (10.0 + work / 1e9) / 2000.0).tolist())
    assert figures(log)["finality_max"] > 10.0 * figures(calm)["finality_max"]
    assert 1.0 - world.ledger.held("zk", "gas", "killer") >= filled * 0.01e-9


# ---- bad input


def test_a_scenario_with_all_its_defaults_reads_back() -> None:
    scenario = plan(f"{MARKET}={{designated: [cheap], window: 4h, stake: 1 ETH, most: 100 USD}}")
    assert Scenario.of(scenario.resolved()) == scenario


def test_machines_are_busy_with_work_that_is_lost_too() -> None:
    """Two machines for 100 minutes: 20 for a proof and 30 in vain are a quarter of their time."""
    log = Log()
    log.about = {"duration": 100 * MINUTE}
    log.record(0, ProverOpened("zk", 1, 2))
    log.record(20 * MINUTE, ProofMade("zk", 0, 0, 5, 1, 0, 0, 1, 0.1, 0.1))
    log.record(60 * MINUTE, ProofLost("zk", 1, 1, 30 * MINUTE, 0.1, "stopped"))
    assert Proving().measure(log).loc["zk", "busy_share"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("setting", "place", "message"),
    [
        (f"{MARKET}.designated=[leavers]", "chains.zk.settlement.market.designated", "where kind 'prover' is due"),
        (f"{MARKET}.designated=[cheap]", "chains.zk.settlement.market", "'designated' needs an end: give a 'window'"),
        (f"{MARKET}.stake=1 ETH", "chains.zk.settlement.market", "'stake' needs an end: give a 'window'"),
        (f"{MARKET}.most=0 USD", "chains.zk.settlement.market.most", "must be more than 0"),
        (f"{MARKET}.cycles_per_gas=-1", "chains.zk.settlement.market.cycles_per_gas", "greater than or equal to 0"),
        ("chains.zk.settlement.proof_cost=1 ETH", "chains.zk.settlement", "the provers have 'proof_cost' of their own"),
        ("chains.zk.settlement.aggregate=0", "chains.zk.settlement.aggregate", "greater than or equal to 1"),
        ("chains.zk.settlement.aggregate_for=1h", "chains.zk.settlement", "say under 'aggregate' how many"),
        ("agents.cheap.machines=0", "agents.cheap.machines", "greater than or equal to 1"),
        ("agents.cheap.failure=1", "agents.cheap", "a prover that always fails never comes to an end"),
        ("agents.cheap.speed=0", "agents.cheap.speed", "greater than 0"),
        ("agents.cheap.proving_time=3 USD", "agents.cheap.proving_time", "must be given in units of duration"),
        ("agents.cheap.on=l1", "agents.cheap.on", "where kind 'rollup' is due"),
        (OUTAGE.replace("cheap", "leavers"), "attacks.outage.provers", "where kind 'prover' is due"),
        (KILLER.replace("1 ETH", "0 ETH"), "attacks.killer.budget", "more than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_run(setting: str, place: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan(setting)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert any(place in one and message in one for one in told), told


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("agents.cheap=null", "agents.dear=null", "agents.others={kind: proof_requester, on: zk, rate: 1 /h}"),
        (
            "agents.cheap=null",
            "agents.dear=null",
            "attacks.killer={kind: prover_killer, market: pool, begins: 1h, lasts: 1h, budget: 1 ETH}",
        ),
    ],
)
def test_without_a_market_whoever_needs_one_says_so(settings: tuple[str, ...]) -> None:
    with pytest.raises(ScenarioError, match="give its settlement, of kind 'validity_proof', a 'market'"):
        played(f"{MARKET}=null", *settings)
