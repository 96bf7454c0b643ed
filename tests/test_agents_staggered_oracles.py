"""A lending pool that reads two feeds with heartbeats of their own: what one says is older than what the other says."""

from typing import Any

import pytest
from worlds import one_rollup

from l2sim.events import AccountClosed, LoanLiquidated, OracleUpdated
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import MINUTE, SECOND
from l2sim.world.world import World

FALL = {"0s": "100 USD", "10min": "100 USD", "11min": "80 USD"}
"""Both assets fall by a fifth together: against each other they are worth what they were."""

PLAN: dict[str, Any] = {
    "duration": "70min",
    "prices": {"eth": {"kind": "path", "points": FALL}, "btc": {"kind": "path", "points": FALL}},
    "network": {"within": "0s"},
    "chains": one_rollup("arb"),
    "markets": {
        "eth_feed": {"kind": "price_feed", "on": "arb", "of": "eth"},
        "btc_feed": {"kind": "price_feed", "on": "arb", "of": "btc"},
        "pool": {"kind": "lending_pool", "on": "arb", "reserves": {"eth": {"price": "eth_feed"}, "btc": {"price": "btc_feed"}}},
    },
    "agents": {
        "of_eth": {"kind": "oracle_reporter", "feed": "eth_feed", "deviation": None, "heartbeat": "20min", "offset": "15min"},
        "of_btc": {"kind": "oracle_reporter", "feed": "btc_feed", "deviation": None, "heartbeat": "20min", "offset": "5min"},
        "borrowers": {
            "kind": "crowd_of_borrowers", "market": "pool", "size": 1, "collateral": {"eth": 1}, "debt": {"btc": 1},
            "borrowed": "100 kUSD", "health_factor": 1.2,
        },
        "keeper": {"kind": "loan_liquidator", "market": "pool", "capital": {"btc": "1 MUSD"}},
    },
}  # fmt: skip


def lived(**changes: Any) -> Log:
    return World(Scenario.of(PLAN).vary(changes), Streams(1)).run()


def blocks(log: Log, feed: str) -> list[int]:
    """The blocks in which a feed was told something, in seconds."""
    (times,) = log.select(OracleUpdated, "time", market=feed)
    return [int(time) // SECOND for time in times]


def test_feeds_move_in_blocks_of_their_own() -> None:
    log = lived()
    assert blocks(log, "btc_feed") == [60 * minute + 1 for minute in (5, 25, 45, 65)]
    assert blocks(log, "eth_feed") == [60 * minute + 1 for minute in (15, 35, 55)]
    together = lived(**{"agents.of_btc.offset": "15min"})
    assert blocks(together, "btc_feed") == blocks(together, "eth_feed")
    unset = lived(**{"agents.of_eth.offset": 0})
    assert blocks(unset, "eth_feed") == [60 * minute + 1 for minute in (20, 40, 60)]


def test_between_two_updates_loans_are_liquidated_at_prices_that_never_were() -> None:
    log = lived()
    columns = "time", "repaid", "seized", "repaid_value", "seized_value", "health_factor"
    times, repaid, seized, repaid_value, seized_value, health = log.select(LoanLiquidated, *columns)
    assert 15 * MINUTE < times[0] <= times[-1] < 25 * MINUTE, "after the collateral's feed has fallen and before the debt's"
    assert health[0] == pytest.approx(1.2 * 0.8, rel=1e-4)
    assert repaid_value == pytest.approx(100.0 * repaid)
    assert seized_value == pytest.approx(80.0 * seized)
    # Outside, both are worth 80 USD: the liquidator gains the bonus less the protocol's tenth of it, on a debt that counts a quarter more.
    profit = sum(log.select(AccountClosed, "value", group="keeper")[0])
    assert profit == pytest.approx(80.0 * repaid.sum() * (1.25 * 1.045 - 1.0), rel=1e-6)

    together = lived(**{"agents.of_btc.offset": "15min"})
    assert not len(together.select(LoanLiquidated, "time")[0]), "against each other they are worth what they were"
