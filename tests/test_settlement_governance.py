"""The permissioned game and the security council: who may play, what is paused, taken out, and proved again."""

from typing import Any

import numpy as np
import pytest
from test_settlement_dispute_game import FALSE, first
from test_settlement_dispute_game import plan as of_game
from test_settlement_disputes import plan as disputed
from test_settlement_disputes import played
from validation import SCENARIOS

from l2sim.agents import Agent, Waiting
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import ScenarioError
from l2sim.units import HOUR, MINUTE

COUNCIL = "chains.op.settlement.guardian=council"


def council(**fields: str) -> str:
    about = ", ".join(f"{name}: {value}" for name, value in ({"convenes": "10min"} | fields).items())
    return f"agents.council={{kind: security_council, on: op, {about}}}"


def plan(*settings: str, **fields: str) -> Scenario:
    return of_game(COUNCIL, council(**fields), *settings)


CALM = ("attacks.delay=null", "agents.validators=null")
PERMISSIONED = "chains.op.settlement={kind: permissioned, clock: 1h, extension: 5min, preimage_challenge: 0 s, airgap: 1h, bond_delay: 1h}"
LEFT_ALONE = (*FALSE, "agents.validators=null", "chains.op.proposer=null")
"""A false assertion that nobody challenges."""


def acts(log: Any) -> list[tuple[str, int]]:
    return [(str(act), int(done)) for act, done in zip(log.frame("GuardianActed")["act"], log.frame("GuardianActed")["done"], strict=True)]


# ---- a guardian in the airgap


def test_what_nobody_challenged_is_taken_out_in_the_airgap_and_bonds_go_back() -> None:
    world, log = played(plan(*LEFT_ALONE))
    assert log.frame("GameResolved")["stands"].tolist() == [1]
    assert acts(log) == [("invalidate", 1)]
    assert log.frame("AssertionRejected")["valid"].tolist() == [0]
    assert "AssertionConfirmed" not in log.tables or not len(log.frame("AssertionConfirmed"))
    (paid,) = log.frame("BondsPaid").itertuples()
    assert (paid.account, paid.amount) == (first(world, "delay"), pytest.approx(0.08))
    assert -world.ledger.held("l1", "gas", "delay") == pytest.approx(log.frame("AssertionMade")["cost"].sum())


@pytest.mark.parametrize("fields", [{"convenes": "2h"}, {"failure": "100 %"}, {"invalidates": "false"}])
def test_a_council_that_is_too_slow_or_does_not_see_it_lets_it_pass(fields: dict[str, str]) -> None:
    _, log = played(plan(*LEFT_ALONE, **fields))
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    assert all(not done for act, done in acts(log) if act == "invalidate") if "GuardianActed" in log.tables else True


def test_nobody_else_may_govern() -> None:
    """Whom the settlement does not name pays for gas and changes nothing; a council that is to do so is refused beforehand."""

    class Usurper(Agent):
        """Asks for what only the guardian may."""

        def arrive(self, me: Any) -> None:
            me.endow("l1", me.gas_token, 1.0)

        def run(self, me: Any) -> Waiting:
            docket = me.settlement("op")
            while not docket.number():
                yield docket.made()
            for act in ("pause", "invalidate", "fall back"):
                posted = yield docket.govern(act, 0)
                assert not posted.answer

    _, log = played(of_game("agents.usurper={kind: usurper}", *LEFT_ALONE))
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    assert "GuardianActed" not in log.tables or not len(log.frame("GuardianActed"))
    with pytest.raises(ScenarioError, match=r"names no guardian, so this council may do nothing: write 'guardian: council' under"):
        of_game(council())


# ---- pause


def test_nothing_is_paid_during_a_pause_and_everything_after_it() -> None:
    settings = (*FALSE, "agents.validators=null", "chains.op.settlement.airgap=2h")
    free = played(of_game(*settings))[1].frame("WithdrawalFinalized")
    _, log = played(plan(*settings, pauses="true", upgrade_delay="4h"))
    assert acts(log) == [("pause", 1), ("invalidate", 1), ("resume", 1)]
    paused, _, resumed = log.frame("GuardianActed")["time"]
    paid = log.frame("WithdrawalFinalized")
    assert len(paid) == len(free) > 100
    assert free["time"].min() < resumed
    assert not paid["time"].between(paused, resumed, inclusive="neither").any()
    assert (paid["time"] >= resumed).all()
    assert (log.frame("BondsPaid")["time"] >= resumed).all()


# ---- the fallback


def test_after_a_fall_back_withdrawals_are_proved_again_against_a_permissioned_game() -> None:
    """Proved against a game that is retired, they wait for the next assertion, its game and its airgap."""
    settings = (*CALM, "chains.op.proposer.interval=3h", "duration=20h")
    calm = played(of_game(*settings))[1]
    world, log = played(plan(*settings, falls_back_at="2h", upgrade_delay="9h"))
    assert acts(log) == [("fall back", 1), ("restore", 1)]
    fell, restored = log.frame("GuardianActed")["time"]
    proven, paid = log.frame("WithdrawalProven"), log.frame("WithdrawalFinalized")
    assert len(paid) == len(calm.frame("WithdrawalFinalized")) > 100
    twice = proven.groupby(["account", "withdrawal" if "withdrawal" in proven else "number"]).size()
    assert (twice == 2).all()  # each of them: the first proof was against assertion 0
    assert (proven.groupby("assertion")["time"].min().diff().dropna() > 0).all()
    # Paid two hours of game and airgap after the assertion made at four o'clock instead of the one at one.
    later = np.sort(paid["time"].to_numpy()) - np.sort(calm.frame("WithdrawalFinalized")["time"].to_numpy())
    assert later.mean() == pytest.approx(3 * HOUR, rel=0.02)
    rejected = log.frame("AssertionRejected")
    assert (rejected["valid"] == 1).all()  # true ones are retired with the rest
    assert rejected["time"].isin([fell, restored]).all()
    # Who lost nothing but gas: bonds of retired games are given back.
    bonds = log.frame("BondsPaid")["amount"].sum() + world.ledger.held("l1", "gas", "op.settlement")
    assert bonds == pytest.approx(0.08 * len(log.frame("AssertionMade")))


def test_in_the_permissioned_game_only_those_who_were_appointed_assert_and_play() -> None:
    _, open_ = played(of_game(*FALSE))
    assert set(open_.frame("AssertionMade")["valid"]) == {0, 1}
    world, log = played(of_game(PERMISSIONED, *FALSE))
    assert log.frame("AssertionMade")["valid"].tolist() == [1]  # the attacker's is not taken up
    _, log = played(of_game(PERMISSIONED))
    assert len(log.frame("ClaimMade")) == 1  # nor is its challenge
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]
    assert world.ledger.held("l1", "gas", "validators") == 1000.0


def test_an_appointed_challenger_stops_a_proposer_that_lies() -> None:
    """The proposer's own key is what the permissioned game trusts; the challenger is there for when that is wrong."""
    import l2sim.agents.proposer as room

    class Liar(room.Proposer):
        """Asserts a digest of its own invention."""

        def run(self, me: Any) -> Any:
            docket = me.settlement(me.duty.name)
            yield me.sleep_until(self.phase)
            last = docket.head("latest")
            yield docket.propose(last, 7, digests=lambda block: 7 if block == last else docket.digest(block))

    from l2sim.part import ROOMS

    try:
        lies = (PERMISSIONED, "chains.op.proposer={kind: liar, phase: 1h}", "attacks.delay=null")
        _, log = played(of_game(*lies, "chains.op.settlement.challenger=validators"))
        assert log.frame("AssertionRejected")["valid"].tolist() == [0]
        _, log = played(of_game(*lies))
        assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    finally:
        del ROOMS["agents"]._kinds["liar"]


def test_the_permissionless_game_comes_back_with_the_upgrade() -> None:
    settings = ("chains.op.proposer.interval=3h", "duration=24h", "attacks.delay.most=9", "attacks.delay.budget=2 ETH")
    _, log = played(plan(*settings, falls_back_at="30min", upgrade_delay="9h"))
    fell, restored = log.frame("GuardianActed")["time"]
    answers = log.frame("ClaimMade").query("parent >= 0")
    assert len(answers) > 0
    games = log.frame("AssertionMade").set_index("number")["time"]
    begun = answers["number"].map(games)
    assert ((begun < fell) | (begun > restored)).all()


# ---- a guardian of other settlements


def stolen(log: Any) -> float:
    """What was paid on L1 of withdrawals that nobody made."""
    if "WithdrawalFinalized" not in log.tables:
        return 0.0
    paid = log.frame("WithdrawalFinalized")
    return float(paid[paid["valid"] == 0]["amount"].sum())


def robbed(kind: str, *settings: str) -> Scenario:
    """A false assertion that nobody answers or challenges, after which the bridge is emptied."""
    if kind == "optimistic":
        return disputed("agents.validators=null", "chains.arb.proposer=null", *settings)
    fraud = "attacks.fraud={kind: invalid_assertion, bridge: bridge, begins: 12h, lasts: 1h}"
    calm = "attacks.rivals=null", "chains.arb.proposer=null", "duration=2d", "metrics.disputes=null"
    return Scenario.load(
        SCENARIOS / "delay.yaml", (f"chains.arb.settlement={{kind: {kind}, challenge_period: 6h}}", fraud, *calm, *settings)
    )


def watching(convenes: str, **fields: str) -> tuple[str, str]:
    more = "".join(f", {name}: {value}" for name, value in fields.items())
    return f"agents.council={{kind: security_council, on: arb, convenes: {convenes}{more}}}", "chains.arb.settlement.guardian=council"


@pytest.mark.parametrize(
    ("kind", "soon", "late"),
    [("optimistic", "10min", "40min"), ("bold", "2h", "7h"), ("tournament", "2h", "7h"), ("partial_concurrency", "2h", "7h")],
)
def test_whatever_settles_a_council_stops_a_theft_if_it_is_quick_enough(kind: str, soon: str, late: str) -> None:
    assert stolen(played(robbed(kind))[1]) == pytest.approx(100_000.0)
    world, log = played(robbed(kind, *watching(soon)))
    assert stolen(log) == 0.0
    assert acts(log) == [("invalidate", 1)]
    assert log.frame("AssertionRejected")["valid"].tolist() == [0]
    # The stake goes back to who put it down: the thief has lost its gas.
    assert -world.ledger.held("l1", "gas", "fraud") == pytest.approx(log.frame("AssertionMade")["cost"].sum(), rel=1e-6)
    assert stolen(played(robbed(kind, *watching(late)))[1]) == pytest.approx(100_000.0)
    # A pause without more holds the money back until an upgrade.
    paused = watching(soon, invalidates="false", pauses="true", upgrade_delay="null")
    assert stolen(played(robbed(kind, *paused))[1]) == 0.0


def test_a_council_leaves_to_others_what_they_dispute() -> None:
    _, log = played(disputed(*watching("30s")))
    assert "GuardianActed" not in log.tables
    assert len(log.frame("DisputeEnded")) == 1


def test_under_bold_a_council_undoes_a_challenge_in_the_grace_period() -> None:
    """The defender is kept from L1 till the false assertion has won; its stakes and the winner's go back, and what is true is final."""
    kept = "chains.arb.proposer.censored_from=1d", "chains.arb.proposer.censored_for=2d", "attacks.rivals.margin=null"
    short = "chains.arb.settlement={kind: bold, challenge_period: 6h, grace: 2h}", "duration=3d", "attacks.rivals.lasts=2d"
    settings = (*short, *kept, "chains.arb.proposer.interval=3d")

    def fought(*more: str) -> Any:
        return played(Scenario.load(SCENARIOS / "delay.yaml", (*settings, *more)))

    _, log = fought(*watching("3h"))
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [0]
    world, log = fought(*watching("1h"))
    assert acts(log) == [("invalidate", 1)]
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]
    assert "StakeForfeited" not in log.tables
    posted, returned = log.frame("StakePosted"), log.frame("StakeReturned")
    assert posted["amount"].sum() == returned["amount"].sum() == 7200
    assert world.ledger.held("l1", "gas", "arb.settlement") == 0


def test_under_bold_who_is_left_after_a_rival_was_taken_out_argues_anew() -> None:
    """Of three that contest an assertion one wins and is taken out; the others have still to be decided about."""
    kept = "chains.arb.proposer.censored_from=1d", "chains.arb.proposer.censored_for=12h", "attacks.rivals.margin=null"
    short = "chains.arb.settlement={kind: bold, challenge_period: 6h, grace: 2h}", "duration=4d", "attacks.rivals.lasts=3d"
    settings = (*short, *kept, "chains.arb.proposer.interval=4d", "attacks.rivals.rivals=2")
    _, log = played(Scenario.load(SCENARIOS / "delay.yaml", (*settings, *watching("1h"))))
    assert acts(log)[0] == ("invalidate", 1)
    assert log.frame("AssertionConfirmed")["valid"].tolist() == [1]
    assert log.frame("AssertionRejected")["valid"].tolist() == [0, 0]
    posted = log.frame("StakePosted")["amount"].sum()
    lost = log.frame("StakeForfeited")["amount"].sum() if "StakeForfeited" in log.tables else 0.0
    assert log.frame("StakeReturned")["amount"].sum() + lost == posted


# ---- a guardian of proofs


STOLEN = 90_000.0
"""Nine of ten parts of the escrow: some of it went to those who left."""


def proved(*settings: str) -> Scenario:
    """A false assertion of the 55th minute, proved through a fault in 20 minutes, and final an hour after that."""
    settlement = "chains.arb.settlement={kind: validity_proof, proving_time: 20min, execution_delay: 1h, faulty_from: 0}"
    return disputed(settlement, "agents.validators=null", *settings)


def test_a_fault_of_prover_and_verifier_lets_a_theft_through_and_none_does_not() -> None:
    assert stolen(played(proved())[1]) == STOLEN
    assert stolen(played(proved("chains.arb.settlement.faulty_from=2h"))[1]) == 0.0  # the false assertion came before
    assert stolen(played(proved("chains.arb.settlement.faulty_from=null"))[1]) == 0.0


def test_a_council_takes_out_what_was_falsely_proved_in_the_execution_delay() -> None:
    _, log = played(proved(*watching("30min")))
    assert stolen(log) == 0.0
    assert acts(log) == [("invalidate", 1)]
    assert log.frame("AssertionRejected")["valid"].tolist() == [0]
    (asserted,) = log.frame("AssertionMade").query("valid == 0")["time"]
    acted = log.frame("GuardianActed")["time"].iloc[0] - asserted
    assert 50 * MINUTE <= acted < 52 * MINUTE  # twenty minutes of proving, half an hour of meeting
    calm = played(proved("attacks.fraud=null"))[1]
    honest = [set(one.frame("AssertionConfirmed").query("valid == 1")["last"]) for one in (log, calm)]
    assert honest[0] == honest[1]
    assert stolen(played(proved(*watching("70min")))[1]) == STOLEN


def test_a_pause_keeps_what_is_proved_from_becoming_final_until_the_upgrade_and_everything_is_paid_after_it() -> None:
    settings = "duration=8h", "agents.leavers.until=3h"
    _, calm = played(proved(*settings, "attacks.fraud=null"))
    world, log = played(proved(*settings, *watching("30min", pauses="true", upgrade_delay="2h")))
    assert acts(log) == [("pause", 1), ("invalidate", 1), ("upgrade", 1), ("resume", 1)]
    paused, _, _, resumed = log.frame("GuardianActed")["time"]
    final, verified = log.frame("AssertionConfirmed"), log.frame("ProofsVerified")
    assert not final["time"].between(paused, resumed, inclusive="neither").any()
    # A proof that was sent before the pause may be in the block after it; nothing is sent later.
    assert not verified["time"].between(paused + 12 * 10**9, resumed, inclusive="neither").any()
    assert final["time"].between(resumed, resumed + HOUR // 60).sum() > 3  # what was held is final at once
    assert len(log.frame("WithdrawalFinalized")) == len(calm.frame("WithdrawalFinalized")) > 100
    assert stolen(log) == 0.0
    assert world.ledger.held("l1", "usd", "bridge") == pytest.approx(100_000 - log.frame("WithdrawalFinalized")["amount"].sum())


def test_the_upgrade_mends_the_fault() -> None:
    """A second theft, four hours later, is proved like the first without the upgrade, and not at all after it."""
    again = "duration=9h", "attacks.fraud.again=4h", "attacks.fraud.lasts=5h", "agents.leavers.until=1h"
    held = (*again, *watching("30min", upgrade_delay="1h"))
    _, log = played(proved(*held))
    assert acts(log) == [("invalidate", 1), ("upgrade", 1)]
    assert len(log.frame("AssertionMade").query("valid == 0")) == 2
    _, log = played(proved(*again, *watching("30min", upgrade_delay="null")))
    assert acts(log) == [("invalidate", 1), ("invalidate", 1)]


@pytest.mark.parametrize("kind", ["optimistic", "validity_proof"])
def test_a_warned_council_pauses_at_its_time_whatever_settles(kind: str) -> None:
    settlement = "chains.arb.settlement={kind: %s}" % (
        kind + (", execution_delay: 10min" if kind == "validity_proof" else ", window: 30min")
    )
    watch = watching("30min", pauses_at="1h30min", upgrade_delay="30min")
    _, log = played(disputed(settlement, "agents.validators=null", "attacks.fraud=null", *watch))
    upgraded = [("upgrade", 1)] if kind == "validity_proof" else []
    assert acts(log) == [("pause", 1), *upgraded, ("resume", 1)]
    paused, *_, resumed = log.frame("GuardianActed")["time"]
    assert 90 * MINUTE <= paused < resumed
    assert not log.frame("WithdrawalFinalized")["time"].between(paused, resumed, inclusive="neither").any()
    # Only where proofs decide does nothing become final meanwhile.
    stands_still = not log.frame("AssertionConfirmed")["time"].between(paused, resumed, inclusive="neither").any()
    assert stands_still == (kind == "validity_proof")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("chains.arb.settlement.faulty_from=null", *watching("1h")),
            r"would never act: write 'pauses_at' here, or",
        ),
        (("agents.watch={kind: validator, on: arb}",), r"agents.watch.on: 'arb' settles by 'validity_proof', .* leave 'watch' out; a 'sec"),
        (("agents.watch={kind: staker, on: arb}",), r"nobody can contest an assertion: leave 'watch' out; a 'security_council'"),
        (("attacks.noise={kind: stalled_game, on: arb, begins: 1h, lasts: 1h}",), r"leave 'noise' out, or write 'challenges: false'"),
        (("attacks.noise={kind: delay_attack, on: arb, begins: 1h, lasts: 1h}",), r"nobody can contest an assertion: leave 'noise' out"),
    ],
)
def test_who_has_nothing_to_do_where_proofs_decide_is_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        proved(*settings)


def test_what_a_council_cannot_do_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"'arb' settles by 'bold', which has nothing to fall back to: leave 'falls_back_at' out"):
        robbed("bold", *watching("1h", falls_back_at="2h"))
    with pytest.raises(ScenarioError, match=r"the guardian of 'arb' is 'council', so this council may do nothing"):
        robbed("bold", *watching("1h"), "agents.other={kind: security_council, on: arb}")


@pytest.mark.parametrize("kind", ["bold", "tournament", "partial_concurrency"])
def test_a_validator_where_nobody_may_merely_challenge_is_refused(kind: str) -> None:
    with pytest.raises(ScenarioError, match=rf"'arb' settles by '{kind}', .* a validator can do nothing: use an agent of kind 'staker'"):
        robbed(kind, "agents.watch={kind: validator, on: arb}")
