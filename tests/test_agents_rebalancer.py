"""Rebalancing: inventory that goes through a bridge is there late, and nobody has it meanwhile."""

from typing import Any

import pytest
from validation import SCENARIOS, run_file
from worlds import SMALL

from l2sim.log import Log
from l2sim.scenario import Scenario, ScenarioError
from l2sim.streams import Streams
from l2sim.world.world import World

HOUR = 3.6e12
"""ns."""


def repaid(log: Log) -> tuple[float, float]:
    """US dollars that liquidators repaid in the first shock and in the second."""
    loans = log.frame("LoanLiquidated")
    late = loans["time"] > 2.5 * HOUR
    return float(loans[~late]["repaid_value"].sum()), float(loans[late]["repaid_value"].sum())


def profit(log: Log, group: str) -> float:
    closed = log.frame("AccountClosed")
    return float(closed[closed["group"] == group]["value"].sum())


def test_what_is_stuck_behind_a_long_delay_is_missing_in_the_second_shock() -> None:
    quick = run_file("stuck_inventory")
    slow = run_file("stuck_inventory", "chains.op.settlement.window=7d")
    provider = "agents.provider={kind: fast_withdrawal_provider, market: ether, capital: 5 MUSD, rate: 5 %}"
    advanced = run_file("stuck_inventory", "chains.op.settlement.window=7d", provider, "agents.keepers.rebalance.ether.urgency=100 %")
    first, second = repaid(slow)
    # What it had is all that it repays: nothing comes back but what it made on the shares it sold ahead of the price.
    assert first + second < 750_000
    assert repaid(quick)[0] == pytest.approx(first, rel=0.02)
    assert repaid(quick)[1] > 2.0 * second
    # With somebody who pays at once, a long delay does no harm; the provider is paid for that.
    assert repaid(advanced)[1] == pytest.approx(repaid(quick)[1], rel=0.2)
    assert len(advanced.frame("WithdrawalAdvanced")) > 0
    fees = advanced.frame("WithdrawalAdvanced")["fee"].sum() * 3000.0
    assert 0.0 < fees < 0.01 * repaid(advanced)[0]
    # Carrying neither makes money nor loses any: what the keepers gain is the bonus, less what the price fell until they had it.
    assert 0.0 < profit(quick, "keepers") < 0.05 * sum(repaid(quick))


def test_little_goes_through_where_nothing_is_to_be_moved() -> None:
    log = run_file(
        "stuck_inventory", "agents.keepers.rebalance.ether.high=1 bnUSD", "agents.keepers.rebalance.dollars.low=0", "duration=2h"
    )
    assert not len(log.frame("FundsCarried"))
    assert not len(log.frame("WithdrawalInitiated"))


ALONE = (
    "agents.desk={kind: rebalancer, bridge: dollars, low: 100 USD, target: 200 USD, high: 300 USD, capital: %s USD,"
    " outside_capital: 1000 USD, venue_delay: 10min}"
)
GONE = "agents.reporter", "agents.borrowers", "agents.keepers", "markets.loans", "markets.feed", "metrics.loans"
BARE = ("duration=2h", *(f"{name}=null" for name in GONE))


def alone(capital: int) -> Any:
    plan = Scenario.load(SCENARIOS / "stuck_inventory.yaml", [ALONE % capital, *BARE])
    world = World(plan, Streams(1, 0))
    return world, world.run()


@pytest.mark.parametrize(("capital", "here", "outside"), [(50, 200, 850), (150, 150, 1000), (900, 200, 1700)])
def test_it_keeps_between_its_bounds(capital: int, here: float, outside: float) -> None:
    world, log = alone(capital)
    assert world.ledger.held("op", "usd", "desk") == here
    assert world.ledger.held("outside", "usd", "desk") == outside
    carried = log.frame("FundsCarried")
    if capital == 50:
        # It looks at once; ten minutes at the venue, a slot, four confirmations and a block.
        assert carried[["time", "amount"]].to_numpy().tolist() == [[0, 150.0]]
        waited = log.frame("DepositCredited")["time"][0] / 1e9
        assert 600 + 5 * 12 <= waited <= 600 + 6 * 12 + 20
    elif capital == 900:
        assert carried["amount"].tolist() == [-700.0]
        assert carried["time"][0] == log.frame("WithdrawalFinalized")["time"][0] + 600e9
    else:
        assert not len(carried)


def test_it_takes_nothing_that_a_position_owes() -> None:
    """Short outside against what it holds on the rollup, it has dollars there, but none of its own."""
    log = run_file("stuck_inventory", "chains.op.settlement.window=7d", "duration=2h", "prices.eth.volatility=0.0001 %")
    assert len(log.frame("LoanLiquidated")) > 50
    closed = log.frame("AccountClosed").query("group == 'keepers' and place == 'outside'")
    assert closed.query("asset == 'usd'")["closing"].sum() + closed.query("asset == 'eth'")["closing"].sum() * 2550.0 > -1000.0


REBALANCE = "{own: {bridge: dollars, low: 150 kUSD, target: 200 kUSD, high: 400 kUSD%s}}"
SETTLED = (
    "chains.arb.settlement={kind: validity_proof, proving_time: 1min}",
    "chains.arb.proposer={kind: proposer, interval: 1min, head: latest}",
    "markets.dollars={kind: bridge, on: arb, escrow: 1000000000}",
)


def test_makers_and_liquidators_of_a_perpetual_have_it_too() -> None:
    own = (
        f"agents.keepers.rebalance={REBALANCE % ''}",
        f"agents.maker.rebalance={REBALANCE % ', margin: eth_perp'}",
        "agents.maker.loss_limit=null",
    )
    world = World(Scenario.load(SMALL, [*SETTLED, *own]), Streams(1, 0))
    log = world.run()
    groups = log.about["groups"]
    movers = set(log.frame("FundsCarried")["account"])
    assert groups["maker"]["first"] in movers
    deep = log.frame("AccountClosed").query("group == 'maker' and place == 'eth_perp'")["closing"].sum()
    assert deep < 1_000_000.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("low: 2 USD, target: 1 USD", "'target' is at least 'low'"),
        ("low: 1 USD, target: 3 USD, high: 2 USD", "'target' lies between 'low' and 'high'"),
        ("urgency: -1 %", "0 or more"),
        ("low: -1 USD", "0 or more"),
    ],
)
def test_nonsense_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(SCENARIOS / "stuck_inventory.yaml", [f"agents.keepers.rebalance={{own: {{bridge: dollars, {setting}}}}}"])


def test_a_colocated_liquidator_cannot_rebalance() -> None:
    with pytest.raises(ScenarioError, match="no 'rebalance'"):
        Scenario.load(SCENARIOS / "stuck_inventory.yaml", ["agents.keepers.colocated=true"])
