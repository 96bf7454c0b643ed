"""The sequencer's margin and what is paid on L1, component by component, against the ledger."""

from typing import Any

import pytest
from test_validation_inclusion import ROLLUPS, censored, scenario, sent, usual
from validation import SCENARIOS
from worlds import lived

from l2sim.events import AccountClosed, AssertionMade, BatchPosted, DisputeMoved
from l2sim.events.availability import ChannelTimedOut
from l2sim.events.proofs import ProofMade, ProofPaid, ProverFined
from l2sim.events.stakes import DefenderPaid, StakeForfeited
from l2sim.log import Log
from l2sim.metrics.cost_per_transaction import CostPerTransaction
from l2sim.metrics.fee_components import COMPONENTS, FeeComponents
from l2sim.metrics.sequencer_margin import COSTS, SequencerMargin
from l2sim.metrics.settlement_cost import SettlementCost
from l2sim.scenario import Scenario
from l2sim.units import DAY

ETHER = 2000.0
PROVED: dict[str, Any] = {
    "duration": "4h",
    "prices": {"eth": {"kind": "path", "points": {"0": "2000 USD"}}},
    "chains": {
        "l1": {"preset": "ethereum"},
        "zk": {
            "kind": "rollup",
            "settles_on": "l1",
            "ordering": {"kind": "priority_fee"},
            "fee": {"kind": "constant", "fee": "0.01 gwei"},
            "sequencer": {"kind": "sequencer", "block_time": "10s"},
            "batch_poster": {"kind": "batch_poster", "max_delay": "10min"},
            "proposer": {"kind": "proposer", "interval": "30min"},
            "settlement": {
                "kind": "validity_proof", "proving_time": "10min", "proof_cost": "0.01 ETH", "verification_gas": "400000 gas",
            },
        },
    },
    "markets": {
        "pool": {"kind": "constant_product", "on": "zk", "base": "eth", "base_reserve": 200},
        "exit": {"kind": "bridge", "on": "zk", "escrow": 20e6, "proof_maturity": "30min"},
    },
    "agents": {
        "calm": {"kind": "crowd_of_traders", "size": 50, "market": "pool", "rate": "0.1 /s", "wealth": "20 kUSD"},
        "leavers": {"kind": "crowd_of_withdrawers", "size": 50, "market": "exit", "rate": "20 /h", "amount": "1 kUSD"},
    },
    "metrics": {},
}  # fmt: skip


def gained(log: Log, *groups: str) -> float:
    """What groups gained in ether, on all chains, bonds that are kept for them included."""
    frame = log.frame("AccountClosed").query("group in @groups and asset == 'gas'")
    return float((frame["closing"] - frame["opening"]).sum())


def margin(log: Log, chain: str) -> Any:
    """The figures, which must be what the ledger says that the fee account, the batch poster and the proposer gained."""
    found = SequencerMargin().measure(log).loc[chain]
    staff = [f"{chain}.batch_poster", f"{chain}.proposer", f"{chain}.sequencer"]
    assert found["margin"] == pytest.approx(gained(log, chain, *staff), rel=1e-6)
    assert found["revenue"] == pytest.approx(gained(log, chain), rel=1e-6)
    assert found["batch_cost"] + found["committee_cost"] == pytest.approx(-gained(log, f"{chain}.batch_poster"), rel=1e-9)
    assert found["settlement_cost"] + found["other_cost"] == pytest.approx(-gained(log, f"{chain}.proposer"), rel=1e-9)
    assert found["revenue"] == pytest.approx(sum(found[f"{name}_revenue"] for name in COMPONENTS))
    assert found["margin"] == pytest.approx(found["revenue"] - sum(found[f"{name}_cost"] for name in COSTS))
    return found


def proved(**zk: Any) -> Scenario:
    return Scenario.of(PROVED | {"chains": PROVED["chains"] | {"zk": PROVED["chains"]["zk"] | zk}})


@pytest.fixture(scope="module")
def own() -> Log:
    return lived(proved())


# ---- the margin


def test_proofs_that_the_proposer_makes_and_their_verification_are_costs(own: Log) -> None:
    found = margin(own, "zk")
    number = len(own.frame("AssertionMade"))
    assert number >= 6
    assert found["other_cost"] == 0.0
    assert found["proof_cost"] == pytest.approx(0.01 * number) == pytest.approx(gained(own, "expenses"))
    verified = own.frame("ProofsVerified")
    assert len(verified) == number
    assert found["verification_cost"] == verified["cost"].sum() > found["assertion_cost"] > 0.0


def test_proofs_that_are_bought_are_costs_at_their_price() -> None:
    bought = PROVED["agents"] | {"machines": {"kind": "prover", "on": "zk", "machines": 4, "proving_time": "20min", "cost": "25 USD"}}
    plain = proved(settlement={"kind": "validity_proof"}).resolved() | {"agents": bought}
    plain["chains"]["zk"]["settlement"] = {"kind": "validity_proof", "market": {}}
    log = lived(Scenario.of(plain))
    found = margin(log, "zk")
    assert found["other_cost"] == 0.0
    assert found["proof_cost"] == pytest.approx(log.frame("ProofMade")["price"].sum()) != 0.0
    assert found["proof_cost"] == pytest.approx(gained(log, "machines") + gained(log, "expenses"))  # their profit, and what it took them


def test_several_proofs_are_verified_together_and_paid_once() -> None:
    log = lived(proved(settlement=PROVED["chains"]["zk"]["settlement"] | {"aggregate": 3}))
    found = margin(log, "zk")
    assert found["other_cost"] == 0.0
    assert 0 < len(log.frame("ProofsVerified")) <= len(log.frame("AssertionMade")) // 3
    assert found["verification_cost"] > 0.0


def test_the_committee_of_a_validium_is_a_cost() -> None:
    log = lived(proved(availability={"kind": "committee", "members": 6, "threshold": 5, "fee": "0.001 ETH"}))
    found = margin(log, "zk")
    assert found["other_cost"] == 0.0
    assert found["committee_cost"] == pytest.approx(gained(log, "zk.committee")) != 0.0


@pytest.mark.parametrize("asserts", [False, True])
def test_disputes_cost_gas_and_win_bonds(asserts: bool) -> None:
    settings = [
        "duration=12h", "chains.op.sequencer.block_time=2min", "chains.op.proposer.interval=4h", "chains.op.settlement.clock=1h",
        "chains.op.settlement.extension=5min", "chains.op.settlement.airgap=1h", "chains.op.settlement.bond_delay=1h",
        "markets.bridge.proof_maturity=2h", "attacks.delay.stalls=null", f"attacks.delay.asserts={str(asserts).lower()}",
    ]  # fmt: skip
    log = lived(Scenario.load(SCENARIOS / "dispute_game.yaml", settings))
    found = margin(log, "op")
    assert found["other_cost"] == 0.0
    assert found["dispute_cost"] < -1.0  # whoever challenged it wrongly lost bonds to it


@pytest.mark.parametrize(("response", "sign"), [("1s", -1), ("6min", 1)])
def test_who_answers_in_time_wins_bonds_and_who_does_not_loses_them(response: str, sign: int) -> None:
    attack = 'attacks={"late": {"kind": "stalled_game", "on": "arb", "begins": "30min", "lasts": "1h", "stalls": "1min"}}'
    log = lived(Scenario.load(SCENARIOS / "disputes.yaml", [attack, f"chains.arb.settlement.response={response}"]))
    found = margin(log, "arb")
    assert sign * found["dispute_cost"] > 1.0
    # A move that comes after its clock is none, and costs its gas.
    late = len(log.frame("BondSlashed")) if sign > 0 else 0
    assert (found["other_cost"] > 0.0) == bool(late)
    assert found["other_cost"] < 0.001 * max(late, 1)


def test_fees_of_the_queue_on_l1_are_revenue() -> None:
    log = lived(scenario("2h", steps={f"s{i}": sent("taiko", 700.0 + 13 * i) for i in range(30)}))
    found = margin(log, "taiko")
    assert 30 * 0.001 < found["inclusion_revenue"] < 30 * 0.002
    assert found["inclusion_revenue"] == pytest.approx(log.frame("MessageQueued")["fee"].sum())


def test_each_cost_is_what_the_facts_say_and_nothing_is_left_over() -> None:
    """Round numbers: what the ledger says was lost is 0.75 + 2.2 + 0.125 + 2.45 = 5.525 ETH; others' facts are not the staff's."""
    staff, other = 1, 5
    log = Log()
    log.about = {
        "duration": DAY, "chains": {"zk": {"kind": "rollup"}},
        "groups": {"zk.proposer": {"section": "agents", "first": staff, "last": 3}, "else": {"section": "agents", "first": 5, "last": 6}},
    }  # fmt: skip
    log.record(0, BatchPosted("zk", 1, 2, 100, 1, 0, 1, 0.5))
    log.record(0, ChannelTimedOut("zk", 3, 4, 60, 0.25))
    for who in (staff, other):
        log.record(0, AssertionMade("zk", 0, 0, 10, who, 1, 1, 0.0, 0.125))
        log.record(0, ProofPaid("zk", 0, who, 0.5))
        log.record(0, ProofMade("zk", 0, 0, who, 9, 0, 0, 1, 2.0, 0.1))
        log.record(0, ProverFined("zk", 0, 9, who, 0.3))
        log.record(0, DisputeMoved("zk", 0, who, "block", 0, 8, 0.4))
        log.record(0, StakeForfeited("zk", 0, who, "assertion", 3.0))
        log.record(0, DefenderPaid("zk", 0, who, 0.35, 0.6))
    log.record(DAY, AccountClosed("zk.proposer", "proposer", "l1", "gas", 10.0, 10.0 - 5.525, ETHER, 0.0))
    found = SequencerMargin().measure(log).loc["zk"]
    expected = {"batch": 0.5 + 0.25, "assertion": 0.125, "proof": 0.5 + 2.0 - 0.3, "dispute": 0.4 + 3.0 - 0.35 - 0.6, "other": 0.0}
    assert {name: found[f"{name}_cost"] for name in expected} == pytest.approx(expected)
    assert found["margin"] == pytest.approx(-5.525)


# ---- what is paid on L1 for transactions


@pytest.mark.parametrize("forced", [False, True])
def test_components_by_payer_add_up_to_what_the_payer_paid(forced: bool) -> None:
    log = censored(700.0) if forced else usual()
    fees = FeeComponents().measure(log)
    payers = [name for name in fees.index if name.startswith("user on ")]
    assert len(payers) == len(ROLLUPS)
    for chain in ROLLUPS:
        total = sum(fees.loc[f"user on {chain}", f"{name}_total_eth"] for name in COMPONENTS if name != "inclusion")
        assert total == pytest.approx(-gained_on(log, "user", chain), rel=1e-6, abs=1e-15)
    assert fees.loc[payers, "inclusion_total_eth"].sum() == pytest.approx(-gained_on(log, "user", "l1"), rel=1e-9)
    assert (fees.loc[payers, "inclusion_total_eth"] > 1e-5).all()


def gained_on(log: Log, group: str, place: str) -> float:
    frame = log.frame("AccountClosed").query("group == @group and asset == 'gas' and place == @place")
    return float((frame["closing"] - frame["opening"]).sum())


def test_a_transaction_through_l1_costs_its_message_and_the_call_that_forces_it() -> None:
    log = censored(700.0)
    queued, forced = log.frame("MessageQueued"), log.frame("MessageForced")
    cost, fees = CostPerTransaction(ether="2000 USD").measure(log), FeeComponents(ether="2000 USD").measure(log)  # type: ignore[arg-type]
    assert set(forced["chain"]) == {"arb"}
    for chain in ("op", "arb", "taiko"):
        paid = sum(float(facts.loc[facts["chain"] == chain, "cost"].sum()) for facts in (queued, forced))
        assert cost.loc[chain, "inclusion_mean_eth"] * cost.loc[chain, "transactions"] == pytest.approx(paid)
        assert fees.loc[f"user on {chain}", "inclusion_mean_usd"] == pytest.approx(2000.0 * paid)
        parts = sum(cost.loc[chain, f"{part}_mean_eth"] for part in ("execution", "data", "inclusion"))
        assert cost.loc[chain, "total_mean_eth"] == pytest.approx(parts)


@pytest.mark.parametrize("begins", ["720s", "780s"])
def test_what_l1_undid_and_took_again_was_paid_once(begins: str) -> None:
    attack = {"kind": "l1_reorg", "on": "l1", "begins": begins, "lasts": "1min", "depth": 12}
    poster = {"batch_poster": {"kind": "batch_poster", "max_delay": "1min"}}
    log = lived(scenario("1h", {"deep": attack}, {"a": sent("taiko", 700.0)}, taiko=poster))
    assert len(log.frame("MessageQueued", reverted=True)) == 2
    assert len(log.frame("BatchPosted", reverted=True)) > len(log.frame("BatchPosted"))
    fees = FeeComponents().measure(log).loc["user on taiko"]
    assert fees["inclusion_total_eth"] == pytest.approx(-gained_on(log, "user", "l1"))
    found = margin(log, "taiko")
    assert found["inclusion_revenue"] == pytest.approx(gained_on(log, "taiko", "l1"))
    assert found["other_cost"] == 0.0


def test_what_the_queue_refuses_cost_its_gas() -> None:
    poor = {"forced_inclusion": {"kind": "inclusion_queue", "fee": "2000 ETH"}}
    log = lived(scenario("1h", steps={"taiko": sent("taiko", 700.0)}, taiko=poor))
    assert "MessageQueued" not in log
    assert FeeComponents().measure(log).loc["user on taiko", "inclusion_total_eth"] == pytest.approx(-gained_on(log, "user", "l1"))


# ---- what withdrawing costs


def test_withdrawing_costs_the_gas_of_proving_and_of_asking(own: Log) -> None:
    found = SettlementCost().measure(own).loc["exit"]
    proven, paid = own.frame("WithdrawalProven")["cost"].sum(), own.frame("WithdrawalFinalized")["cost"].sum()
    assert min(proven, paid) > 0.01
    data = own.frame("TransactionIncluded").query("market == 'exit'")["data_fee"].sum()
    assert found["explicit_usd"] == pytest.approx((proven + paid + data) * ETHER, rel=1e-6)
    assert found["explicit_usd"] == pytest.approx((-gained_on(own, "leavers", "l1") + data) * ETHER, rel=1e-6)


def test_the_operator_fee_is_no_fee_for_data() -> None:
    data_fee = {"kind": "op_stack", "operator_fee_scalar": 100, "operator_fee_constant": "20 gwei"}
    log = lived(Scenario.of(proved(data_fee=data_fee).resolved() | {"duration": "1h"}))
    fees, found = FeeComponents().measure(log), SettlementCost().measure(log).loc["zk"]
    assert fees.loc["zk", "operator_mean_usd"] > fees.loc["zk", "data_mean_usd"] > 0.0
    assert found["explicit_usd"] == pytest.approx(fees.loc["zk", "data_mean_usd"], rel=1e-6)
