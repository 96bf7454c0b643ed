"""The grace period of a lending pool: who is spared after an outage, until when, and how liquidators and borrowers live with it."""

from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lending import ANN, BOB, ETH, ETH_USD, FLAT, LIQUIDATOR, USD, Compiled, Venue
from pydantic import ValidationError
from worlds import one_rollup

from l2sim.events import LoanLiquidated, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.lending_pool import LendingPool
from l2sim.scenario import Scenario
from l2sim.state import Journal
from l2sim.streams import Streams
from l2sim.transactions import Status
from l2sim.units import DAY, HOUR, MINUTE, SECOND
from l2sim.world.world import World

RESERVES = {"eth": FLAT | {"liquidity": 100}, "usd": FLAT | {"liquidity": "1 MUSD"}}


def owing(kind: type[Venue] = Venue, **terms: Any) -> Venue:
    """Ann owes 16,000 usd against 10 eth, a minute before; each price p gives her the health factor 8.3 p / 16,000."""
    made = kind({"eth": 2000.0}, **{"reserves": RESERVES, "grace_period": "1h", **terms})
    made.give(ANN, eth=10.0)
    made.give(BOB, eth=10.0)
    made.give(LIQUIDATOR, usd=1e6)
    made.block(MINUTE)
    assert made.do("supply", ANN, ETH, 10.0)[0] == 0
    assert made.do("borrow", ANN, USD, 16_000.0)[0] == 0
    assert made.do("supply", BOB, ETH, 10.0)[0] == 0
    return made


def at(health: float) -> float:
    """The price at which Ann's health factor is that."""
    return health * 16_000.0 / 8.3


def wait(made: Venue, time: int) -> None:
    """Blocks every minute, and one at the end."""
    for after in (*[MINUTE] * (time // MINUTE), time % MINUTE):
        made.block(after)


def liquidation(made: Venue) -> int:
    return made.do("liquidate", LIQUIDATOR, ANN, ETH_USD, 100.0)[0]


@pytest.mark.parametrize("kind", [Venue, Compiled])
def test_after_an_outage_loans_that_are_not_far_gone_are_spared_until_the_grace_is_over(kind: type[Venue]) -> None:
    made = owing(kind)
    made.block(30 * MINUTE, eth=at(0.96))
    assert liquidation(made) == Status.GRACE_PERIOD
    assert made.do("borrow", BOB, USD, 10.0)[0] == Status.GRACE_PERIOD
    wait(made, HOUR)
    assert liquidation(made) == Status.GRACE_PERIOD, "Aave asks for more than the grace period"
    made.block(1)
    assert liquidation(made) == 0
    assert made.do("borrow", BOB, USD, 10.0)[0] == 0


@pytest.mark.parametrize(("health", "status"), [(0.9500001, Status.GRACE_PERIOD), (0.9499999, 0), (1.0000001, Status.NOT_LIQUIDATABLE)])
def test_whoever_is_below_the_threshold_is_not_spared(health: float, status: int) -> None:
    made = owing()
    made.block(30 * MINUTE, eth=at(health))
    assert made.book.quote(made.code("liquidate"), ANN, ETH_USD, 100.0).status == status
    assert (made.view.best(ANN) is not None) == (status == 0) == (made.view.liquidatable() == [ANN])
    assert liquidation(made) == status


def test_borrowers_may_do_all_that_helps_them_in_the_meantime() -> None:
    made = owing()
    made.block(30 * MINUTE, eth=at(0.97))
    assert made.do("repay", ANN, USD, 500.0)[0] == 0
    assert made.do("withdraw", BOB, ETH, 1.0)[0] == 0
    assert made.do("repay", ANN, USD, 500.0)[0] == 0
    wait(made, HOUR + 1)
    assert liquidation(made) == Status.NOT_LIQUIDATABLE


def test_a_gap_is_an_outage_when_it_is_longer_than_the_longest_that_is_none() -> None:
    for gap, status in ((2 * MINUTE, 0), (2 * MINUTE + 1, Status.GRACE_PERIOD)):
        made = owing()
        made.block(gap, eth=at(0.97))
        assert liquidation(made) == status
    made = owing(outage_after="1d")
    made.block(DAY, eth=at(0.97))
    assert liquidation(made) == 0


def test_without_a_grace_period_no_gap_changes_anything() -> None:
    made = owing(grace_period=0)
    made.block(30 * DAY, eth=at(0.97))
    assert liquidation(made) == 0
    assert made.view.liquidated_below == 1.0
    assert made.view.grace_ends is None


def test_another_outage_begins_another_grace_period() -> None:
    made = owing()
    made.block(30 * MINUTE, eth=at(0.97))
    assert made.view.grace_ends == made.now + HOUR
    made.block(50 * MINUTE)
    assert made.view.grace_ends == made.now + HOUR
    wait(made, HOUR)
    assert liquidation(made) == Status.GRACE_PERIOD
    made.block(1)
    assert liquidation(made) == 0


def test_the_pool_calls_again_when_the_grace_is_over_and_when_somebody_falls_below_the_threshold() -> None:
    made = owing()
    made.block(SECOND, eth=at(0.99))
    assert (made.book.calls(), made.book.overdue()) == (1, [ANN])
    made.block(30 * MINUTE, eth=at(0.97))
    assert (made.book.calls(), made.book.overdue()) == (1, []), "spared"
    made.block(SECOND, eth=at(0.94))
    assert (made.book.calls(), made.book.overdue()) == (2, [ANN]), "far gone"
    made.block(SECOND, eth=at(0.96))
    assert (made.book.calls(), made.book.overdue()) == (2, [])
    wait(made, HOUR)
    assert (made.book.calls(), made.book.overdue()) == (3, [ANN]), "over"
    assert made.view.come_up(2) == [ANN]


# ---- whatever happens

steps = st.lists(
    st.tuples(
        st.sampled_from([SECOND, SECOND, MINUTE, 10 * MINUTE, HOUR]), st.floats(0.93, 1.06), st.floats(0.97, 1.03), st.integers(0, 9)
    ),
    min_size=4,
    max_size=30,
)
TWO = {"eth": FLAT | {"liquidity": 50}, "btc": FLAT | {"liquidity": 5}, "usd": FLAT | {"liquidity": "1 MUSD"}}


V = TypeVar("V", bound=Venue)


def crowded(kind: type[V], **more: Any) -> V:
    """Six accounts with a loan each, two of them against two assets."""
    made = kind({"eth": 2000.0, "btc": 50_000.0}, reserves=TWO, grace_period="1h", grace_threshold=0.93, **more)
    made.give(7, usd=1e6)
    for account in range(1, 7):
        made.give(account, eth=10.0, btc=0.4)
        made.do("supply", account, 0, 10.0)
        if account > 4:
            made.do("supply", account, 1, 0.4)
        made.do("borrow", account, 2, (32_000.0 if account > 4 else 16_000.0) * (1.0 - 0.02 * account))
    return made


def play(made: Venue, step: tuple[int, float, float, int]) -> Any:
    after, eth, btc, account = step
    made.block(after, eth=made.source("eth").price * eth, btc=made.source("btc").price * btc)
    return made.do("liquidate", 7, account, 2.0, 300.0) if 0 < account < 7 else None


@given(steps)
@settings(max_examples=60, deadline=None)
def test_nobody_who_may_be_liquidated_is_missed_and_nobody_else_is_called(history: list[tuple[int, float, float, int]]) -> None:
    made, twin = crowded(Venue), crowded(Compiled)
    for step in history:
        assert play(made, step) == play(twin, step)
        limit = made.view.liquidated_below
        health = {account: made.view.position(account).health_factor for account in range(1, 7)}
        assert limit == (0.93 if made.view.grace_ends is not None else 1.0)
        surely = {account for account in health if health[account] < limit * (1.0 - 1e-12)}
        perhaps = {account for account in health if health[account] < limit * (1.0 + 1e-12)}
        assert surely <= set(made.book.overdue()) <= perhaps
        assert np.array_equal(np.array(made.book.cells), twin.columns[0])
        assert np.array_equal(np.array(made.book.codes), twin.columns[1])


@given(steps, steps)
@settings(max_examples=40, deadline=None)
def test_a_grace_period_can_be_undone(before: list[Any], undone: list[Any]) -> None:
    journal = Journal()
    made = crowded(Venue, journal=journal)
    for step in before:
        play(made, step)
    kept = list(made.book.cells), list(made.book.codes)
    mark = journal.mark()
    for step in undone:
        play(made, step)
    made.book.restored(journal.undo(mark))
    assert (list(made.book.cells), list(made.book.codes)) == kept


@pytest.mark.parametrize("wrong", [{"grace_threshold": 0}, {"grace_threshold": 1.01}, {"outage_after": "0s"}, {"grace_period": 60}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LendingPool.model_validate({"on": "arb", "reserves": RESERVES, **wrong})
    assert LendingPool.model_validate({"on": "arb", "reserves": RESERVES, "grace_period": "90min"}).grace_period == 90 * MINUTE


# ---- in a world

OUTAGE, GRACE = (20 * MINUTE, 40 * MINUTE), 30 * MINUTE
WORLD: dict[str, Any] = {
    "duration": "100min",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "2000 USD", "volatility": "60 %",
                       "shocks": {"fall": {"at": "15min", "size": "-9 %", "over": "25min"}}}},
    "network": {"within": {"kind": "lognormal", "median": "20ms", "sigma": 1.0}},
    "chains": one_rollup("arb", "0.01 gwei", "2s"),
    "markets": {
        "pool": {"kind": "lending_pool", "on": "arb", "reserves": {"eth": {}, "usd": {"liquidity": "5 MUSD"}}, "grace_period": "30min"}
    },
    "agents": {
        "borrowers": {
            "kind": "crowd_of_borrowers", "market": "pool", "size": 300, "collateral": {"eth": 1},
            "health_factor": {"kind": "uniform", "low": 1.03, "high": 1.3},
            "protect": 0.5, "attention": "20min", "groups": 10, "acts_below": 1.02, "restores": 1.1, "wallet": "30 %",
        },
        "keepers": {"kind": "loan_liquidator", "market": "pool", "count": 2, "capital": {"usd": "5 MUSD"}, "reaction": "100ms"},
    },
    "attacks": {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20min", "lasts": "20min"}},
}  # fmt: skip


def lived(engine: Any = None, **changes: Any) -> tuple[World, Log]:
    scenario = Scenario.of(WORLD).vary(changes)
    world = World(scenario, Streams(3), None, engine) if engine else World(scenario, Streams(3))
    return world, world.run()


@pytest.mark.parametrize("colocated", [False, True])
def test_liquidators_leave_the_spared_alone_and_come_back_when_the_grace_is_over(colocated: bool) -> None:
    _, log = lived(**{"agents.keepers.colocated": colocated, "agents.keepers.sells": "never", "agents.keepers.count": 1})
    time, health = log.select(LoanLiquidated, "time", "health_factor")
    first = OUTAGE[1] + GRACE
    within = (time > OUTAGE[1]) & (time <= first)
    assert not np.any((time > OUTAGE[0]) & (time < OUTAGE[1]))
    assert np.all(health[within] < 0.95)
    assert np.any(health[time > first] >= 0.95)
    assert np.min(time[time > first]) <= first + 4 * SECOND, "the pool called in the first block after it"
    status = log.select(TransactionIncluded, "status")[0]
    vain = np.count_nonzero(status == Status.GRACE_PERIOD)
    assert vain <= (0 if colocated else 5), "but for what recovered on the way"


def test_what_was_on_the_way_when_the_chain_stopped_is_refused_and_done_later() -> None:
    fall = {"at": "19min57s", "size": "-6 %", "over": "100ms"}  # seen in the last block but one, acted upon after the last
    _, log = lived(**{"prices.eth.shocks.fall": fall, "agents.keepers.reaction": "2500ms", "agents.keepers.patience": "1h"})
    time, status = log.select(TransactionIncluded, "time", "status")
    refused = time[status == Status.GRACE_PERIOD]
    assert len(refused) > 10
    assert np.max(refused) <= OUTAGE[1] + 2 * SECOND
    assert np.any(log.select(LoanLiquidated, "time")[0] > OUTAGE[1] + GRACE)


def test_borrowers_who_look_after_their_loans_save_them_in_the_grace() -> None:
    lost = {}
    for grace in ("0s", "30min"):
        _, log = lived(**{"markets.pool.grace_period": grace})
        time, account = log.select(LoanLiquidated, "time", "account")
        lost[grace] = set(account[time > OUTAGE[1]].tolist())
        repaid = log.select(TransactionIncluded, "time")[0]
        assert np.any((repaid > OUTAGE[1]) & (repaid <= OUTAGE[1] + GRACE))
    assert len(lost["30min"]) < 0.8 * len(lost["0s"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"agents.keepers.colocated": True, "agents.keepers.sells": "never"},
        {"agents.keepers.repays": "two_steps", "markets.pool.grace_threshold": 0.97},
    ],
    ids=["networked", "colocated", "two_steps"],
)
def test_both_engines_write_the_same_log(changes: dict[str, Any]) -> None:
    (_, lists), (world, arrays) = lived("lists", **changes), lived("arrays", **changes)
    assert world.engines["arb"] == "arrays"
    assert len(lists.tables["LoanLiquidated"]) > 10
    assert lists.digest == arrays.digest


def test_groups_look_in_turn() -> None:
    """The same people, all at once or a tenth of them every two minutes: nobody twice within the time, nobody later than that."""
    repaid = {}
    for groups in (1, 10):
        _, log = lived(**{"agents.borrowers.groups": groups, "agents.keepers": None, "attacks": {}})
        time = log.select(TransactionIncluded, "time")[0]
        repaid[groups] = len(np.unique(time // MINUTE))
    assert repaid[1] <= 5
    assert repaid[10] > 2 * repaid[1]
