"""A fault of prover and verifier: what it cannot make final, which upgrade mends it, and what a council does once for many thefts."""

from typing import Any

import pytest
from test_settlement_disputes import plan as disputed
from test_settlement_disputes import played
from test_settlement_governance import STOLEN, acts, proved, stolen, watching

from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.units import MINUTE

# ---- proofs that are late


def scattered(delay: str = "0 s", *settings: str) -> Scenario:
    """Assertions every five minutes and a false one among them, whose proofs are ready out of order; the fault is there from the start."""
    proving = "proving_time: {kind: exponential, mean: 40min}"
    settlement = f"chains.arb.settlement={{kind: validity_proof, {proving}, execution_delay: {delay}, faulty_from: 0}}"
    return disputed(settlement, "agents.validators=null", "chains.arb.proposer.interval=5min", "duration=4h", *settings)


def confirmed(log: Log) -> Any:
    """What became final, and what had become final before."""
    final = log.frame("AssertionConfirmed").reset_index(drop=True)
    return final.assign(before=final["last"].cummax().shift(fill_value=0))


OFTEN = "attacks.fraud.again=7min", "attacks.fraud.lasts=1h"


@pytest.mark.parametrize("delay", ["0 s", "30min"])
def test_what_is_false_does_not_become_final_behind_what_is_true_and_final(delay: str) -> None:
    _, log = played(scattered(delay, *OFTEN))
    final, rejected = confirmed(log), log.frame("AssertionRejected")
    late = final.query("last <= before")
    assert set(late["valid"]) == {1}
    assert final.query("last > before")["valid"].tolist().count(0) == 2  # those in front of it do, through the fault
    assert set(rejected["valid"]) == {0}
    assert len(rejected) >= 5
    # Whoever asserts truly gets a late proof through as if nobody had lied.
    calm = confirmed(played(scattered(delay, "attacks.fraud=null"))[1]).query("last <= before")
    assert set(calm["last"]) - set(late["last"]) == set()
    assert len(calm) > 10


@pytest.mark.parametrize(("seed", "pays"), [(1, True), (2, False), (3, True), (4, False), (5, False), (6, False)])
def test_a_late_proof_of_a_theft_pays_nothing(seed: int, pays: bool) -> None:
    _, log = played(scattered(), seed)
    (number,), (last,) = (log.frame("AssertionMade").query("valid == 0")[column] for column in ("number", "last"))
    verified = int(log.frame("ProofsVerified").set_index("last")["time"][number])
    final = log.frame("AssertionConfirmed").query("valid == 1")
    assert (final["last"][final["time"] < verified].max() < last) == pays
    assert (stolen(log) > 0.0) == pays


# ---- an upgrade before the fault


@pytest.mark.parametrize(("faulty_from", "takes"), [("40min", STOLEN), ("0", 0.0)])
def test_an_upgrade_mends_the_fault_that_there_is_and_none_that_comes_after_it(faulty_from: str, takes: float) -> None:
    """A council that was warned pauses and upgrades in the first twenty minutes; the false assertion is of the 55th."""
    warned = watching("70min", pauses_at="10min", upgrade_delay="10min")
    _, log = played(proved(f"chains.arb.settlement.faulty_from={faulty_from}", *warned))
    assert acts(log)[:3] == [("pause", 1), ("upgrade", 1), ("resume", 1)]
    assert stolen(log) == takes


def test_a_council_that_has_upgraded_upgrades_again_for_a_fault_that_came_later() -> None:
    warned = watching("30min", pauses_at="10min", upgrade_delay="10min")
    _, log = played(proved("chains.arb.settlement.faulty_from=40min", *warned))
    assert acts(log)[3:] == [("invalidate", 1), ("upgrade", 1)]
    assert stolen(log) == 0.0


# ---- many thefts, one upgrade


def test_a_council_pauses_and_upgrades_once_for_all_that_it_finds_meanwhile() -> None:
    thrice = "duration=8h", "attacks.fraud.again=10min", "attacks.fraud.lasts=30min"
    _, log = played(proved(*thrice, *watching("30min", pauses="true", upgrade_delay="3h")))
    assert acts(log) == [("pause", 1), *[("invalidate", 1)] * 3, ("upgrade", 1), ("resume", 1)]
    paused, _, _, _, upgraded, _ = log.frame("GuardianActed")["time"]
    assert 180 * MINUTE <= upgraded - paused < 182 * MINUTE
    assert stolen(log) == 0.0
    _, log = played(proved(*thrice, *watching("30min", pauses="true", upgrade_delay="null")))
    assert acts(log) == [("pause", 1), *[("invalidate", 1)] * 3]


def test_a_council_does_not_upgrade_for_what_was_proved_before_it_did() -> None:
    """When it has met about the second and third theft, the upgrade for the first is done."""
    thrice = "duration=8h", "attacks.fraud.again=10min", "attacks.fraud.lasts=30min", "chains.arb.settlement.execution_delay=2h"
    _, log = played(proved(*thrice, *watching("30min", upgrade_delay="5min")))
    assert acts(log) == [("invalidate", 1), ("upgrade", 1), ("invalidate", 1), ("invalidate", 1)]
    assert stolen(log) == 0.0


def test_a_pause_that_stands_already_is_not_asked_for_at_its_time() -> None:
    """It pauses for a theft at about 1 h 45 min, and would have paused in any case a quarter of an hour later."""
    _, log = played(proved("duration=8h", *watching("30min", pauses="true", pauses_at="2h", upgrade_delay="2h")))
    assert acts(log) == [("pause", 1), ("invalidate", 1), ("upgrade", 1), ("resume", 1)]


def test_an_upgrade_that_is_over_is_followed_by_another_for_what_comes_later() -> None:
    """Under ``optimistic`` nothing is mended: a second theft is answered by a pause of its own, as long as the first."""
    again = "attacks.fraud.again=4h", "attacks.fraud.lasts=5h", "duration=9h", "agents.leavers.until=1h"
    watch = watching("10min", pauses="true", upgrade_delay="1h")
    _, log = played(disputed("agents.validators=null", "chains.arb.proposer=null", *again, *watch))
    assert acts(log) == [("pause", 1), ("invalidate", 1), ("resume", 1)] * 2
