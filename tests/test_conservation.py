"""Money: whatever people write into a scenario, the books close and profits sum to zero; a market that cheats is found out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import SMALL, lived, small

from l2sim.events import AccountClosed
from l2sim.log import Log
from l2sim.markets import Opening
from l2sim.markets.constant_product import ConstantProduct, ConstantProductBook
from l2sim.markets.perpetual import Perpetual
from l2sim.markets.perpetual.book import PerpetualBook
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.simulation import experiment, simulate
from l2sim.transactions import Rows
from l2sim.world.ledger import BooksDoNotClose


def gap(log: Log) -> float:
    """Sum of all profits, relative to what is held."""
    closing, price, value = log.select(AccountClosed, "closing", "price", "value")
    return float(abs(value.sum()) / max(1.0, np.abs(closing * price).sum()))


SHARES = st.floats(0.0, 1.0).map(lambda share: round(share, 3))
GAS_PRICES = st.sampled_from(["0 wei", "1 gwei", "50 gwei"])
MONEY = st.sampled_from(["0 USD", "100 USD", "50 kUSD", "20 MUSD"])
SOMETIME = st.integers(0, 240).map(lambda seconds: f"{seconds}s")

CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "prices.eth.volatility": st.sampled_from(["0 %", "100 %", "1000 %"]),
    "prices.eth.shocks.fall": st.fixed_dictionaries(
        {"at": SOMETIME, "size": st.floats(-0.7, 1.5), "over": st.sampled_from(["0s", "1min"])}
    ),
    "chains.arb.ordering": st.sampled_from([{"kind": "first_come_first_served"}, {"kind": "priority_fee"}, {"kind": "random"}]),
    "chains.arb.fee": st.sampled_from([{"kind": "constant", "fee": "0 wei"}, {"kind": "eip1559", "initial": "5 gwei", "elasticity": 6}]),
    "chains.arb.block_gas_limit": st.sampled_from(["500 kgas", "2 Mgas", "32 Mgas"]),
    "chains.arb.sequencer.blocks": st.sampled_from(["fixed", "poisson"]),
    "chains.outside.impact": st.sampled_from(["none", "trades"]),
    "chains.outside.exponent": st.sampled_from([0.3, 0.5, 1.0]),
    "chains.outside.recovery": st.sampled_from(["never", "1s", "10min"]),
    "chains.outside.depth": st.sampled_from(["50 kUSD", "40 MUSD"]),
    "chains.outside.fee": st.sampled_from([0, "10 bps"]),
    "markets.eth_perp.premium_scale": st.sampled_from([None, "1 MUSD"]),
    "markets.eth_perp.insurance_fund": MONEY,
    "markets.eth_perp.funding_interval": st.sampled_from(["10s", "1min"]),
    "markets.eth_perp.index": st.sampled_from(["eth", "eth_feed"]),
    "markets.pool.fee": SHARES.map(lambda share: 0.99 * share),
    "markets.pool.base_reserve": st.sampled_from([0.01, 5, 1e6]),
    "agents.leveraged.long_share": SHARES,
    "agents.leveraged.when_silent": st.sampled_from(["wait", "cancel", "go_outside"]),
    "agents.leveraged.rate": st.sampled_from(["0 /s", "2 /s"]),
    "agents.leveraged.gas": GAS_PRICES.map(lambda price: price.replace("gwei", "Mwei")),
    "agents.leveraged.collateral": MONEY,
    "agents.maker.capital": MONEY,
    "agents.maker.depth": st.sampled_from(["1 USD", "10 kUSD", "50 MUSD"]),
    "agents.maker.hedge_ratio": SHARES,
    "agents.maker.loss_limit": st.sampled_from([None, "1 USD", "1 MUSD"]),
    "agents.maker.count": st.integers(1, 3),
    "agents.keepers.capital": MONEY,
    "agents.keepers.tip": GAS_PRICES,
    "agents.keepers.overlap": SHARES,
    "agents.traders.rate": st.sampled_from(["0.1 /s", "5 /s"]),
    "agents.traders.excitation": st.sampled_from([0, 0.7]),
    "agents.traders.wealth": MONEY,
    "agents.traders.tip": GAS_PRICES,
    "agents.traders.fee_cap": st.sampled_from([None, 1.0]),
    "agents.arbitrageur.capital": MONEY,
    "agents.arbitrageur.count": st.integers(1, 3),
    "attacks.outage": st.fixed_dictionaries({"begins": SOMETIME, "lasts": st.sampled_from(["1s", "1min", "1h"])}),
    "attacks.spike": st.fixed_dictionaries(
        {"kind": st.just("l1_fee_spike"), "on": st.just("l1"), "begins": SOMETIME, "lasts": st.just("1min"), "gas": st.just("60 Mgas")}
    ),
}
LEAVE_OUT = (
    "agents.keepers",
    "agents.leveraged",
    "agents.maker",
    "agents.reporter",
    "agents.traders",
    "agents.arbitrageur",
    "attacks.outage",
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """The small market with some values and without some members, a few minutes long."""
    chosen = draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=10, unique=True))
    absent = draw(st.lists(st.sampled_from(LEAVE_OUT), max_size=3, unique=True))
    changes = {path: draw(CHANGES[path]) for path in chosen if not path.startswith(tuple(absent))}
    return small("duration=4min", "prices.eth.shocks.fall.at=30s").without(*absent).vary(changes)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(scenarios(), st.integers(0, 3))
def test_the_books_close_whatever_the_scenario(scenario: Scenario, seed: int) -> None:
    log = lived(scenario, seed)  # raises BooksDoNotClose
    assert log.digest
    assert gap(log) <= 1e-9


# ---- markets that cheat


@pytest.fixture
def cheats() -> Iterator[None]:
    """Markets from a dishonest package, known for one test."""
    before = dict(room("markets").kinds())

    class Generous(ConstantProductBook):
        """Pays a cent more than it has taken in, now and then."""

        def run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], list[float], list[float]]:
            self.usd[rows.sender[start]] += 0.01
            return super().run(rows, start, stop)

    class GenerousPool(ConstantProduct):
        """A pool that makes money."""

        def open(self, opening: Opening) -> ConstantProductBook:
            return Generous(self, opening)

    class Promising(PerpetualBook):
        """Promises its insurance fund a dollar that nobody paid, at each block."""

        def begin(self, now: int) -> None:
            super().begin(now)
            self.insurance_fund += 1.0

    class PromisingPerpetual(Perpetual):
        """A perpetual that owes more than it holds."""

        def open(self, opening: Opening) -> PerpetualBook:
            return Promising(self, opening)

    yield
    ROOMS["markets"]._kinds = before


@pytest.mark.usefixtures("cheats")
@pytest.mark.parametrize(
    ("market", "kind", "message"),
    [
        ("pool", "generous_pool", r"usd on arb: .* was brought in, but .* is held"),
        ("eth_perp", "promising_perpetual", r"market 'eth_perp': what it holds and what it owes differ by"),
    ],
)
def test_a_market_that_cheats_fails_loudly_and_leaves_nothing(market: str, kind: str, message: str, tmp_path: Path) -> None:
    plan = small("duration=2min").resolved()
    plan["markets"][market]["kind"] = kind
    scenario = Scenario.of(plan)
    with pytest.raises(BooksDoNotClose, match=message):
        simulate(scenario)
    with pytest.raises(BooksDoNotClose, match=message):
        experiment(scenario, out=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_a_leak_of_a_millionth_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ConstantProductBook.run

    def leaking(book: ConstantProductBook, rows: Rows, start: int, stop: int) -> Any:
        book.base[rows.sender[start]] *= 1.0 - 1e-6
        return run(book, rows, start, stop)

    scenario = Scenario.load(SMALL, ["duration=2min"])
    assert gap(lived(scenario)) <= 1e-9
    monkeypatch.setattr(ConstantProductBook, "run", leaking)
    with pytest.raises(BooksDoNotClose, match="eth on arb"):
        lived(scenario)
