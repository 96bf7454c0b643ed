"""Agents and attacks in small worlds: what they leave in the log."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import lived, small

from l2sim.agents.arbitrageur import plan
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import MINUTE, SECOND
from l2sim.world.world import RunFailed, World

ARB = {"arb": {"preset": "minimal", "settles_on": None, "batch_poster": None}}
OUTSIDE = {"outside": {"kind": "outside", "impact": "none"}}
POOL = {"pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 1000}}
PERP = {"perp": {"kind": "perpetual", "on": "arb", "index": "eth", "maintenance_margin": 0.02}}
MAKER = {"kind": "market_maker", "market": "perp", "capital": "100 MUSD", "depth": "50 MUSD", "base_spread": 0, "volatility_spread": 0}
FALL = {"0s": "100 USD", "10s": "100 USD", "60s": "80 USD"}


def live(agents: dict[str, Any], points: dict[str, str] | None = None, **sections: Any) -> World:
    """A world after its run: a minute with a given price, without latency and with free gas unless the sections say otherwise."""
    scenario: dict[str, Any] = {
        "title": "A test",
        "duration": "1min",
        "prices": {"eth": {"kind": "path", "points": points or {"0s": "100 USD"}}},
        "network": {"within": "0s"},
        "chains": ARB | OUTSIDE,
        "markets": POOL,
        "agents": agents,
        **sections,
    }
    world = World(Scenario.of(scenario, name="test"), Streams(7))
    world.run()
    return world


def included(log: Log, **where: Any) -> pd.DataFrame:
    """Included transactions with these values."""
    frame = log.frame("TransactionIncluded")
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame


def balance(world: World, group: str, place: str, asset: str) -> float:
    return world.ledger.held(place, asset, group)


# ---- arbitrage


@pytest.mark.parametrize("after", ["110 USD", "90 USD"])
def test_an_arbitrageur_brings_the_pool_to_the_price_less_the_fee_and_keeps_no_risk(after: str) -> None:
    points = {"0s": "100 USD", "10s": "100 USD", "10001ms": after}
    world = live({"arbs": {"kind": "arbitrageur", "market": "pool"}}, points)
    pool = world.chains["arb"].books[0].mid()
    outside = float(after.split()[0])
    reserves = world.chains["arb"].books[0].view()
    assert plan(*reserves[:3], outside, 1e9, 1e9).paid < 1e-6
    assert pool == pytest.approx(outside * (0.997 if outside > 100 else 1 / 0.997), rel=2e-4)
    assert balance(world, "arbs", "arb", "eth") + balance(world, "arbs", "outside", "eth") == pytest.approx(10_000, rel=1e-9)
    assert len(included(world.log)) == 1
    dollars = balance(world, "arbs", "arb", "usd") + balance(world, "arbs", "outside", "usd")
    assert dollars > 1e6


def test_arbitrageurs_race_and_the_loser_reverts() -> None:
    points = {"0s": "100 USD", "10s": "100 USD", "10001ms": "110 USD"}
    world = live({"arbs": {"kind": "arbitrageur", "market": "pool", "count": 2}}, points)
    assert included(world.log)["status"].tolist() == [0, 1]
    assert len(world.log.tables["OutsideTraded"]) == 1


# ---- traders


def test_a_crowd_trades_at_its_rate_and_the_same_candidates_in_every_world() -> None:
    calm = {"kind": "crowd_of_traders", "market": "pool", "rate": "20 /s", "notional": "10 USD"}
    world = live({"crowd": calm})
    assert len(included(world.log)) == pytest.approx(1200, abs=4 * np.sqrt(1200))
    assert len(included(world.log, action="buy")) == pytest.approx(600, abs=4 * np.sqrt(600))
    feeling = calm | {"fee_response": 1.0, "usual_fee": "1000 USD", "attention": "5s"}
    eager = live({"crowd": feeling})
    assert len(included(eager.log)) == pytest.approx(6000, abs=4 * np.sqrt(6000))
    lazy = live({"crowd": feeling | {"usual_fee": "0.5 USD"}}, chains=ARB | OUTSIDE | {"arb": ARB["arb"] | {"fee": FEE}})
    some = set(included(lazy.log)["submitted"])
    assert some < set(included(eager.log)["submitted"])
    assert len(some) == pytest.approx(600, abs=4 * np.sqrt(600))


FEE = {"kind": "constant", "fee": f"{10**18 // 120_000 // 100 + 1} wei"}
"""At this fee a swap's 120,000 gas cost 0.01 ETH, which is 1 USD."""


def test_traders_try_again_with_a_wider_limit() -> None:
    crowd = {
        "kind": "crowd_of_traders", "market": "pool", "rate": "1 /s", "notional": "1000 USD", "slippage": "0.5 %", "attention": "1s",
    }  # fmt: skip
    # A trade costs the fee of 0.3 % and 1 % of impact, so that 0.5 % and 1 % do not suffice, but for luck, and 2 % does.
    again, once = (live({"crowd": crowd | {"retries": retries}}).log for retries in (2, 0))
    assert len(included(once, status=0)) < 0.3 * len(included(once))
    assert len(included(again, status=0)) > 0.9 * len(included(once))
    assert len(included(again)) > 2 * len(included(once))


# ---- scripted


def test_a_script_is_followed() -> None:
    steps = {
        "purchase": {"at": "1s", "market": "pool", "action": "buy", "fields": {"quote_in": "500 USD"}},
        "sale": {"at": "2050ms", "market": "pool", "action": "sell", "fields": {"base_in": 2}, "account": 1},
        "hedge": {"at": "3s", "action": "trade", "fields": {"eth": -3}, "account": 1},
        "hopeless": {"at": "4s", "market": "pool", "action": "buy", "fields": {"quote_in": "50 kUSD"}, "slippage": "1 %"},
    }
    world = live({"me": {"kind": "scripted", "holdings": {"arb": {"usd": "60 kUSD", "eth": "5 ETH"}}, "steps": steps}})
    mine = included(world.log)
    assert mine["submitted"].tolist() == [1 * SECOND, 2 * SECOND + 50_000_000, 4 * SECOND]
    # A block takes what arrived before it.
    assert mine["time"].tolist() == [11 * SECOND // 10, 21 * SECOND // 10, 41 * SECOND // 10]
    assert mine["status"].tolist() == [0, 0, 1]
    assert mine["x"].tolist()[:2] == [500.0, 2.0]
    trade = world.log.frame("OutsideTraded").iloc[0]
    assert (trade["time"], trade["quantity"], trade["cost"]) == (3 * SECOND, -3.0, -300.0)
    assert trade["sender"] == mine["sender"].tolist()[1]


# ---- oracles

FEED = {"feed": {"kind": "price_feed", "on": "arb", "of": "eth"}}


def test_a_reporter_keeps_its_heartbeat() -> None:
    reporter = {"kind": "oracle_reporter", "feed": "feed", "deviation": None, "heartbeat": "20s"}
    world = live({"reporter": reporter}, FALL, markets=FEED)
    assert included(world.log)["submitted"].tolist() == [20 * SECOND, 40 * SECOND, 60 * SECOND][:2]
    assert included(world.log)["x"].tolist() == pytest.approx([96.0, 88.0])


def test_a_reporter_reports_deviations_and_waits_for_the_chain_like_anybody_else() -> None:
    reporter = {"kind": "oracle_reporter", "feed": "feed", "deviation": "2 %", "heartbeat": "1h"}
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "29950ms", "lasts": "20s"}}
    calm = live({"reporter": reporter}, FALL, markets=FEED)
    told = included(calm.log)["x"].tolist()
    assert len(told) > 7
    steps = np.array(told) / np.array([100.0, *told[:-1]])
    assert ((steps <= 0.98) & (steps > 0.975)).all()
    hit = live({"reporter": reporter}, FALL, markets=FEED, attacks=outage)
    during = included(hit.log)[lambda frame: frame["submitted"].between(30 * SECOND, 49 * SECOND)]
    assert len(during) >= 3
    assert (during["time"] == 50 * SECOND).all()
    assert included(hit.log)["submitted"].tolist() == included(calm.log)["submitted"].tolist()


def test_a_median_of_noisy_venues_is_less_noisy() -> None:
    reporter = {"kind": "oracle_reporter", "feed": "feed", "deviation": None, "heartbeat": "1s", "noise": "1 %"}
    one = included(live({"reporter": reporter}, markets=FEED).log)["x"]
    many = included(live({"reporter": reporter | {"observers": 25}}, markets=FEED).log)["x"]
    assert 0.5 < one.std() < 1.6
    assert many.std() < 0.5 * one.std()


# ---- leveraged traders, makers, liquidators

HOLDERS = {"holders": {"kind": "crowd_of_leveraged_traders", "market": "perp", "size": 5, "leverage": 1.2}}
LONGS = {"kind": "crowd_of_leveraged_traders", "market": "perp", "size": 200, "leverage": {"kind": "uniform", "low": 3, "high": 10}}


def test_stop_losses_get_out_before_they_are_liquidated() -> None:
    crowd = LONGS | {"stop_loss": 0.5}
    world = live(HOLDERS | {"longs": crowd, "maker": MAKER, "keepers": {"kind": "liquidator", "market": "perp"}}, FALL, markets=PERP)
    closed = world.log.frame("PositionClosed")
    assert "PositionLiquidated" not in world.log.tables
    # Leverage 3, the least, stops half way to 100 (1 - 1/3) / 0.98, at 84.0; the price falls by 0.4 a second.
    assert len(closed) == 200
    assert 83.5 < closed["price"].min() < 84.6
    without = live({"longs": LONGS, "maker": MAKER, "keepers": {"kind": "liquidator", "market": "perp"}}, FALL, markets=PERP)
    assert len(without.log.frame("PositionLiquidated")) > 100
    assert "PositionClosed" not in without.log.tables


@pytest.mark.parametrize("habit", ["wait", "cancel", "go_outside"])
def test_what_traders_do_when_the_chain_is_silent(habit: str) -> None:
    crowd = LONGS | {"stop_loss": 0.2, "when_silent": habit, "patience": "2s", "slippage": None, "gas": "0 wei"}
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20s", "lasts": "20s"}}
    world = live(HOLDERS | {"longs": crowd, "maker": MAKER}, FALL, markets=PERP, attacks=outage)
    closes = included(world.log, action="close")
    during = closes["submitted"].between(23 * SECOND, 39 * SECOND)
    assert (habit == "wait") == during.any()
    trades = world.log.frame("OutsideTraded")
    theirs = trades[trades["sender"] < 200 + min(world.ledger.groups["longs"].accounts)]
    theirs = theirs[theirs["sender"] >= min(world.ledger.groups["longs"].accounts)]
    hedges = theirs[theirs["quantity"] < 0]
    assert (habit == "go_outside") == (len(hedges) > 20)
    if habit == "go_outside":
        assert hedges["time"].between(20 * SECOND, 41 * SECOND).all()
        assert abs(balance(world, "longs", "outside", "eth")) < 1e-9
        assert len(theirs) == 2 * len(hedges)
        assert set(closes["sender"]) >= set(hedges["sender"])
    assert len(closes) == closes["sender"].nunique()


def test_some_come_and_go() -> None:
    crowd = LONGS | {"notional": "1000 USD", "rate": "5 /s", "long_share": 0.5, "stop_loss": 0.9}
    world = live({"crowd": crowd, "maker": MAKER}, markets=PERP)
    opens, closes = included(world.log, action="open"), included(world.log, action="close")
    assert not opens["status"].any()
    assert not closes["status"].any()
    assert len(opens) + len(closes) == pytest.approx(300, abs=4 * np.sqrt(300))
    assert len(opens) > 60


def test_positions_are_spread_evenly_over_liquidation_prices() -> None:
    crowd = {
        "kind": "crowd_of_leveraged_traders", "market": "perp", "size": 100, "units": 3, "spread": "even",
        "liquidation_price": {"kind": "uniform", "low": "50 USD", "high": "100 USD"},
    }  # fmt: skip
    view = live({"crowd": crowd}, markets=PERP).chains["arb"].books[0].view()
    accounts = [account for account in range(1000) if view.position(account).size]
    assert sorted(view.liquidation_price(account) for account in accounts) == pytest.approx(50 + (np.arange(100) + 0.5) / 2)
    assert {view.position(account).size for account in accounts} == {3.0}


def test_liquidation_prices_on_the_wrong_side_are_an_error() -> None:
    crowd = {"kind": "crowd_of_leveraged_traders", "market": "perp", "liquidation_price": "120 USD"}
    with pytest.raises(RunFailed, match="other side of 100 USD"):
        live({"crowd": crowd}, markets=PERP)


def test_a_maker_hedges_what_it_takes_and_leaves_at_its_loss_limit() -> None:
    agents = {"longs": LONGS, "maker": MAKER, "keepers": {"kind": "liquidator", "market": "perp"}}
    world = live(agents, FALL, markets=PERP)
    book = world.chains["arb"].books[0]
    account = world.ledger.groups["maker"].accounts.start
    assert book.view().inventory(account).size == pytest.approx(-balance(world, "maker", "outside", "eth"), abs=1e-3)
    assert book.view().quotes
    # Unhedged and short, it loses when the price rises.
    rise = {"0s": "100 USD", "10s": "100 USD", "60s": "120 USD"}
    naked = live({"longs": LONGS, "maker": MAKER | {"hedge_ratio": 0, "loss_limit": "50 kUSD"}}, rise, markets=PERP)
    assert naked.log.frame("QuotesChanged")["size"].iloc[-1] == 0.0
    assert not naked.chains["arb"].books[0].view().quotes
    assert "OutsideTraded" not in naked.log.tables


def test_a_maker_sends_one_quote_at_a_time_through_an_outage() -> None:
    maker = MAKER | {"base_spread": 0.001, "volatility_spread": 5.0}
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20s", "lasts": "20s"}}
    markets = FEED | {"perp": PERP["perp"] | {"index": "feed"}}
    price = {"eth": {"kind": "geometric_brownian", "start": "100 USD", "volatility": "900 %", "step": "1s"}}
    world = live({"maker": maker}, markets=markets, attacks=outage, duration="3min", prices=price)
    quotes = included(world.log, action="quote")
    assert len(quotes) > 3
    assert quotes["submitted"].between(20 * SECOND, 40 * SECOND).sum() <= 1


def test_liquidators_race_for_positions_and_hold_nothing_unhedged() -> None:
    keepers = {"kind": "liquidator", "market": "perp", "count": 2}
    world = live({"longs": LONGS, "maker": MAKER, "keepers": keepers}, FALL, markets=PERP)
    races = included(world.log, action="liquidate")
    assert races["status"].isin([0, 4]).all()
    won = races[races["status"] == 0].groupby("sender").size()
    assert len(won) == 2
    assert won.min() > 0.2 * won.sum()
    alone = live({"longs": LONGS, "keepers": {"kind": "liquidator", "market": "perp", "minimum_profit": 0}}, FALL, markets=PERP)
    kept = alone.chains["arb"].books[0].view().position(alone.ledger.groups["keepers"].accounts.start).size
    assert kept > 0
    assert balance(alone, "keepers", "outside", "eth") == pytest.approx(-kept, abs=1e-3)


def test_liquidators_with_little_overlap_waste_less() -> None:
    def wasted(overlap: float) -> int:
        keepers = {"kind": "liquidator", "market": "perp", "count": 3, "overlap": overlap}
        return len(included(live({"longs": LONGS, "maker": MAKER, "keepers": keepers}, FALL, markets=PERP).log, status=4))

    assert wasted(0.3) < 0.6 * wasted(1.0)


def test_a_fire_sale_with_linear_impact_ends_at_its_fixed_point() -> None:
    """Collateral of 1000 units a dollar below 100, 0.0005 USD a unit sold, a shock to 95: p* = (95 - 0.5 x 100) / (1 - 0.5) = 90."""
    crowd = {
        "kind": "crowd_of_leveraged_traders", "market": "perp", "size": 20_000, "units": 5, "spread": "even",
        "liquidation_price": {"kind": "uniform", "low": "0 USD", "high": "100 USD"},
    }  # fmt: skip
    free = {"maintenance_margin": 0, "taker_fee": 0, "liquidation_penalty": 0, "liquidation_discount": 0, "interest": 0}
    agents = {
        "crowd": crowd,
        "maker": MAKER | {"capital": "1 bnUSD", "depth": "10 bnUSD", "attention": "0s"},
        "keepers": {"kind": "liquidator", "market": "perp"},
    }
    # At 95 USD, 1 % is 0.95 USD, which 0.95 / 0.0005 units of 95 USD move it by.
    outside = {"outside": {"kind": "outside", "exponent": 1, "recovery": "never", "depth": f"{0.95 / 0.0005 * 95} USD"}}
    points = {"0s": "100 USD", "10s": "100 USD", "10001ms": "95 USD"}
    world = live(agents, points, markets={"perp": PERP["perp"] | free}, chains=ARB | outside)
    assert world.prices.index("eth") == pytest.approx(90.0, abs=0.005 * 10)


# ---- attacks


def test_an_outage_leaves_a_gap_and_the_same_history_before_it() -> None:
    crowd = {"crowd": {"kind": "crowd_of_traders", "market": "pool", "rate": "20 /s", "notional": "10 USD"}}
    outage = {"outage": {"kind": "sequencer_outage", "on": "arb", "begins": "20s", "lasts": "20s"}}
    calm, hit = live(crowd), live(crowd, attacks=outage)
    times = included(hit.log)["time"]
    assert not times.between(20 * SECOND + 1, 40 * SECOND - 1).any()
    before = [included(world.log)[lambda frame: frame["time"] < 20 * SECOND].drop(columns="sender") for world in (calm, hit)]
    pd.testing.assert_frame_equal(*before, check_categorical=False)
    assert len(included(hit.log)) == len(included(calm.log))


def test_a_fee_spike_makes_blobs_dear_until_its_budget_is_spent() -> None:
    spike = {"kind": "l1_fee_spike", "on": "l1", "blobs": 21, "begins": "10min", "lasts": "20min"}
    chains = {"l1": {"preset": "ethereum"}} | OUTSIDE

    def run(**attack: Any) -> tuple[pd.DataFrame, float]:
        world = live({}, chains=chains, markets={}, duration="1h", attacks={"spike": spike | attack} if attack else {})
        spent = -balance(world, "spike", "l1", "gas") if attack else 0.0
        return world.log.frame("BlockSealed").set_index("time")["blob_base_fee"], spent

    (calm, _), (hit, spent) = run(), run(tip="20 gwei")
    assert calm.loc[: 10 * MINUTE].equals(hit.loc[: 10 * MINUTE])
    assert hit.loc[: 30 * MINUTE].iloc[-1] > 5 * calm.loc[: 30 * MINUTE].iloc[-1]
    assert hit.iloc[-1] < hit.max()
    assert spent > 0
    cheap, less = run(budget=f"{int(spent / 10 * 1e18)} wei")
    assert spent / 10 <= less < spent / 2
    assert cheap.max() < hit.max()


def test_a_liquidator_sends_no_more_than_its_ether_pays() -> None:
    """With ether for a few liquidations it sends these and nothing that would be dropped; with plenty it sends more."""
    fees = ("chains.arb.fee={kind: constant, fee: 1 gwei}", "chains.arb.data_fee={kind: scalar, scalar: 0}")
    poor, rich = (lived(small(*fees, f"agents.keepers.gas={gas}", "prices.eth.shocks.fall.at=1min")) for gas in ("0.0011 ETH", "10 ETH"))

    def sent(log: Log) -> int:
        included = log.frame("TransactionIncluded")
        return int((included.action == "liquidate").sum())

    assert 0 < sent(poor) < sent(rich)
    dropped = poor.frame("TransactionDropped")
    assert not (dropped.action == "liquidate").any()
