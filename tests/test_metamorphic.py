"""Relations between runs that hold without any closed form, to the last bit: scale, time, onlookers, conservation."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import differences, frames, lived, multiplied, remade, small

from l2sim.agents import Agent, Waiting
from l2sim.events import AccountClosed
from l2sim.log import Log
from l2sim.markets.constant_product import ConstantProductBook
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.world.chain import LiveChain
from l2sim.world.ledger import BooksDoNotClose
from l2sim.world.seat import Seat

PLAIN_FEES = "chains.arb.fee={kind: constant, fee: 0.02 gwei}", "chains.arb.data_fee={kind: scalar, scalar: 1}"
"""Arbitrum One's own rules round to hundredths of a percent and of a unit, so that they do not scale exactly."""


@pytest.fixture(scope="module")
def market() -> Scenario:
    return small(*PLAIN_FEES)


@pytest.fixture(scope="module")
def history(market: Scenario) -> Log:
    return lived(market)


def test_the_small_market_is_worth_comparing(history: Log) -> None:
    # Relations between runs in which nothing happens would hold, too.
    tables = set(history)
    assert {"BatchPosted", "FundingSettled", "OracleUpdated", "OutsideTraded", "QuotesChanged", "TransactionDropped"} <= tables
    assert len(history.tables["PositionLiquidated"]) > 50
    assert len(history.tables["BadDebtIncurred"]) > 0
    transactions = history.frame("TransactionIncluded")
    assert set(transactions["action"]) >= {"buy", "sell", "open", "close", "liquidate", "quote", "report"}
    assert (transactions["status"] > 0).sum() > 100


# ---- M1: everybody's money times 1024, a power of two, so that floats are exact

SCALE = 1024
MONEY = re.compile(r".* (?:wei|[kMg]wei|ETH|USD|[kM]USD|bnUSD)")
NOT_SCALED = ("prices.", "chains.l1.", "chains.arb.batch_poster.")
"""A price is not an amount; and L1's fees, which round to whole wei, do not scale exactly, so those who pay them are as rich as before."""
NUMBERS = ("markets.pool.base_reserve", "chains.arb.data_fee.scalar")
"""Amounts that are written without a unit."""
MONEY_COLUMNS = {
    "TransactionIncluded": ("execution_fee", "data_fee"),
    "OutsideTraded": ("quantity", "cost"),
    "PositionOpened": ("size", "margin"),
    "PositionClosed": ("size", "profit"),
    "PositionLiquidated": ("size", "reward", "penalty", "returned", "shortfall"),
    "BadDebtIncurred": ("amount",),
    "QuotesChanged": ("size",),
}
MONEY_OUTCOMES = {"x": ("buy", "sell", "deposit"), "y": ("buy", "sell", "deposit", "open", "close", "liquidate")}


def richer(scenario: Scenario, but: str = "") -> Scenario:
    """The same market with 1024 times the money, except for one value."""
    scaled = set()

    def change(path: str, value: Any) -> Any:
        money = path in NUMBERS or (isinstance(value, str) and MONEY.fullmatch(value))
        if not money or path.startswith(NOT_SCALED) or path == but:
            return value
        scaled.add(path)
        return multiplied(value, Decimal(SCALE))

    made = remade(scenario, change)
    assert len(scaled) > 30
    return made


def enriched(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What the log says, with all amounts of money times 1024."""
    made = {name: frame.copy() for name, frame in tables.items()}
    for name, columns in MONEY_COLUMNS.items():
        made[name][list(columns)] *= SCALE
    included = made["TransactionIncluded"]
    for column, actions in MONEY_OUTCOMES.items():
        included.loc[included["action"].isin(actions), column] *= SCALE
    sealed, accounts = made["BlockSealed"], made["AccountClosed"]
    sealed.loc[sealed["chain"] == "arb", "base_fee"] *= SCALE
    accounts.loc[accounts["place"] != "l1", ["opening", "closing", "value"]] *= SCALE
    return made


def test_scaling_all_money_scales_all_profits_and_nothing_else(market: Scenario, history: Log) -> None:
    assert differences(enriched(frames(history)), frames(lived(richer(market)))) == []


@pytest.mark.parametrize("but", ["chains.outside.depth", "chains.arb.fee.fee", "agents.keepers.capital"])
def test_an_amount_that_does_not_scale_is_noticed(market: Scenario, history: Log, but: str) -> None:
    assert differences(enriched(frames(history)), frames(lived(richer(market, but)))) != []


# ---- M2: everything four times as slow, volatility halved


SLOWER = 4
DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ns|us|ms|s|min|h|d)\s*)+")
RATE = re.compile(r".* ?/(?:s|min|h|d|week|year)")

# No chance that hangs on the time itself: delays are constant, trades are given, nobody draws arrivals by the hour or
# estimates volatility by the minute, and no two kinds of agent send messages at the same time.
STILL = {
    "network.within": "2ms",
    "chains.outside.thinning": 0,
    "agents.maker.volatility_spread": 0,
    "agents.maker.reaction": "30ms",
    "agents.maker.depth": "10 MUSD",  # it takes whatever keepers sell on, so that they never send two messages at a time
    "agents.keepers.count": 1,
    "agents.leveraged.rate": 0,
    "agents.leveraged.stop_loss": None,
    "agents.robot": {
        "kind": "scripted",
        "reaction": "70ms",
        "holdings": {"arb": {"usd": "1 MUSD", "eth": 100}},
        "steps": {
            "buy": {"at": "1min", "market": "pool", "action": "buy", "fields": {"quote_in": "50 kUSD"}},
            "long": {"at": "2min", "market": "eth_perp", "action": "open", "fields": {"size": 5, "leverage": 20}, "deadline": "1min"},
            "sell": {"at": "10min", "market": "pool", "action": "sell", "fields": {"base_in": 20}},
            "outside": {"at": "11min", "action": "trade", "fields": {"eth": -20}},
        },
    },
}


UNREAD = ("chains.arb.batch_poster.urgency", "chains.arb.batch_poster.bump")
"""Defaults that the policy of Arbitrum's poster does not read, and that may therefore not be set."""


def slower(scenario: Scenario, but: str = "") -> Scenario:
    """The same market in slow motion, except for one value."""

    def change(path: str, value: Any) -> Any:
        if path == but or path in UNREAD:
            return value
        if isinstance(value, str) and DURATION.fullmatch(value):
            return multiplied(value, Decimal(SLOWER))
        if isinstance(value, str) and RATE.fullmatch(value):
            return multiplied(value, 1 / Decimal(SLOWER))
        return multiplied(value, 1 / Decimal(SLOWER).sqrt()) if path.endswith("volatility") else value

    return remade(scenario, change)


def slowed(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What the log says, with all times four times as long."""
    return {
        name: frame.assign(**{column: frame[column] * SLOWER for column in ("time", "submitted") if column in frame})
        for name, frame in tables.items()
    }


@pytest.fixture(scope="module")
def still(market: Scenario) -> Scenario:
    return market.without("agents.traders").vary(STILL)


def test_slow_motion_changes_times_and_nothing_else(still: Scenario) -> None:
    history = frames(lived(still))
    assert len(history["PositionLiquidated"]) > 50
    assert differences(slowed(history), frames(lived(slower(still)))) == []


@pytest.mark.parametrize("but", ["prices.eth.volatility", "chains.outside.recovery", "agents.keepers.reaction"])
def test_a_rate_or_delay_that_does_not_slow_down_is_noticed(still: Scenario, but: str) -> None:
    still = still.vary(duration="8min")
    assert differences(slowed(frames(lived(still))), frames(lived(slower(still, but)))) != []


POOL: dict[str, Any] = {
    "duration": "5min",
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "200 %"}},
    "chains": {
        "arb": {"preset": "minimal", "settles_on": None, "batch_poster": None, "sequencer": {"block_time": "1s", "blocks": "poisson"}},
        "outside": {"kind": "outside", "impact": "none"},
    },
    "markets": {"pool": {"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": 100, "fee": "5 bps"}},
    "agents": {
        "traders": {"kind": "crowd_of_traders", "market": "pool", "rate": "0.5 /s", "size": 50},
        "arbitrageur": {"kind": "arbitrageur", "market": "pool", "reaction": "200ms"},
    },
}


def figures(scenario: Scenario, replications: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Trades of the crowd, trades of the arbitrageur and its profit, a row for each replication."""
    rows = []
    for replication in range(replications):
        log = lived(scenario, replication=replication)
        tables = frames(log)
        senders = tables["TransactionIncluded"]["sender"].str.partition("/")[0].value_counts()
        accounts = tables["AccountClosed"]
        rows.append([senders["traders"], senders["arbitrageur"], accounts.loc[accounts["group"] == "arbitrageur", "value"].sum()])
    return np.array(rows, np.float64)


def test_slow_motion_changes_no_mean_where_arrivals_are_drawn() -> None:
    fast = Scenario.of(POOL)
    one, other = figures(fast, 24), figures(slower(fast), 24)
    error = np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / 24)
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) <= 4 * error).all()
    mistaken = figures(slower(fast, "agents.traders.rate"), 3)
    assert mistaken[:, 0].mean() > one[:, 0].mean() + 8 * error[0]


# ---- M4: an onlooker


@pytest.fixture
def onlooker() -> Any:
    """An agent without means that does nothing but wake up now and then, known for one test."""
    before = dict(room("agents").kinds())

    class Onlooker(Agent):
        """Somebody who looks and never acts."""

        members: int = 1
        """Accounts."""

        def accounts(self) -> int:
            return self.members

        def run(self, me: Seat) -> Waiting:
            while True:
                yield me.any(me.block("arb"), me.sleep(10_000_000_000))
                me.view("eth_perp").liquidatable()
                me.rng("idle", me.height("arb")).random()

    yield
    ROOMS["agents"]._kinds = before


@pytest.mark.usefixtures("onlooker")
@pytest.mark.parametrize("name", ["aaa", "lookers", "zzz"])
def test_an_onlooker_changes_nothing(market: Scenario, history: Log, name: str) -> None:
    # Its accounts lie before, between or behind the others', whose numbers shift; everything else is the same to the last bit.
    watched = market.vary({f"agents.{name}": {"kind": "onlooker", "count": 2, "members": 3}})
    assert differences(frames(history), frames(lived(watched))) == []


def test_a_market_without_visitors_and_an_attack_after_the_end_change_nothing(market: Scenario, history: Log) -> None:
    more = market.vary(
        markets__aside={"kind": "constant_product", "on": "l1", "base": "eth", "base_reserve": 1},
        attacks__late={"kind": "l1_fee_spike", "on": "l1", "gas": "1 Mgas", "begins": "1h", "lasts": "1h"},
        agents__nobody={"kind": "scripted", "gas": 0},
    )
    other = frames(lived(more))
    other["AccountClosed"] = other["AccountClosed"][other["AccountClosed"]["group"] != "aside"].reset_index(drop=True)
    assert differences(frames(history), other) == []


# ---- M7: nothing comes from nowhere


class Witness:
    """Looks at every book and balance after every block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks = 0
        make = LiveChain.make_block

        def witnessed(chain: LiveChain, *args: Any, **more: Any) -> Any:
            made = make(chain, *args, **more)
            chain.world.ledger.check()
            for book in chain.books:
                assert abs(book.audit()) <= 1e-9, (chain.name, self.blocks, book.audit())
            self.blocks += 1
            return made

        monkeypatch.setattr(LiveChain, "make_block", witnessed)


def test_every_asset_is_conserved_after_every_block(market: Scenario, history: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(monkeypatch)
    assert lived(market).digest == history.digest
    assert witness.blocks > 4_000


def test_a_block_that_makes_money_is_found_at_that_block(market: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(monkeypatch)
    run = ConstantProductBook.run

    def generous(book: ConstantProductBook, *args: Any) -> Any:
        if witness.blocks == 500:
            book.usd[book.account] += 1.0
        return run(book, *args)

    monkeypatch.setattr(ConstantProductBook, "run", generous)
    with pytest.raises(BooksDoNotClose, match="usd on arb"):
        lived(market.vary(agents__traders__rate="20 /s"))
    assert witness.blocks == 500


def test_profits_sum_to_zero_at_any_price(history: Log) -> None:
    asset, opening, closing = history.select(AccountClosed, "asset", "opening", "closing")
    rng = np.random.Generator(np.random.Philox(1))
    for _ in range(20):
        price = rng.lognormal(5.0, 3.0, len(history.names.all))[asset]
        profits = (closing - opening) * price
        assert np.abs(profits).sum() > 0
        assert abs(profits.sum()) <= 1e-9 * (np.abs(closing) * price).sum()


# ---- M9: metrics look on


def test_metrics_change_nothing(market: Scenario, history: Log) -> None:
    before = history.digest
    for metric in market.metrics.values():
        metric.measure(history)
    assert history.digest == before
    assert lived(market.without("metrics")).digest == before
