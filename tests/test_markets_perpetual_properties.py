"""The perpetual under any sequence of actions: money is conserved, refusals change nothing, no trigger is missed."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sim.events import BadDebtIncurred, PositionLiquidated
from l2sim.markets import Opening
from l2sim.markets.perpetual import Perpetual, PerpetualBook
from l2sim.markets.perpetual.book import CLOSE, DEPOSIT, LIQUIDATE, OPEN, QUOTE, WITHDRAW
from l2sim.markets.perpetual.positions import Position, net
from l2sim.markets.perpetual.triggers import Triggers, triggered
from l2sim.state import PriceSource, State
from l2sim.transactions import Status
from l2sim.units import HOUR

VAULT, TRADERS, MAKERS = 0, (1, 2, 3, 4), (4, 5, 6)
WEALTH = 20_000.0


def venue(**rules: object) -> tuple[PerpetualBook, PriceSource, list[float]]:
    index, usd = PriceSource(100.0), [0.0] + [WEALTH] * 6
    terms = Perpetual.model_validate({"on": "arb", "index": "eth", "insurance_fund": "50 USD", **rules})
    usd[VAULT] += terms.insurance_fund
    return terms.open(Opening("perp", VAULT, lambda asset: usd, lambda name: index, State(7))), index, usd


def state(book: PerpetualBook) -> str:
    """Everything that an action could change, to the last bit."""
    return repr((book.usd, book.state.save(), book.facts))


def check(book: PerpetualBook, total: float) -> None:
    """What must hold after every action."""
    assert book.audit() < 1e-12
    assert sum(book.usd) == pytest.approx(total, rel=1e-12)
    assert min(book.usd) >= -1e-9
    assert book.long == pytest.approx(sum(p.size for p in book.positions.values() if p.size > 0), abs=1e-9)
    assert book.short == pytest.approx(-sum(p.size for p in book.positions.values() if p.size < 0), abs=1e-9)
    mark, rate = book.mark, book.terms.maintenance_margin
    listed = [row.account for row in book.view().liquidatable()]
    assert len(set(listed)) == len(listed)
    assert book.calls() >= len(listed)
    for account, position in book.positions.items():
        slack = position.equity(mark, book.funding) - rate * abs(position.size) * mark
        if abs(slack) > 1e-9 * abs(position.size) * mark:
            assert (account in listed) == (slack < 0.0)
    assert set(listed) <= book.positions.keys()


sizes = st.one_of(st.floats(-50.0, 50.0), st.sampled_from([0.0, nan, inf, 1e308, 5e-324, 1e-9]))
limits = st.sampled_from([inf, inf, 0.01])
actions = st.one_of(
    st.tuples(
        st.just(OPEN), st.sampled_from(TRADERS), sizes, st.sampled_from([1.0, 5.0, 20.0, 25.0, 26.0, 0.0, nan]), st.just(0.0), limits
    ),
    st.tuples(st.just(CLOSE), st.sampled_from(TRADERS), st.sampled_from([1.0, 0.5, 0.1, 0.0, 1.5, nan]), *[st.just(0.0)] * 2, limits),
    st.tuples(
        st.just(LIQUIDATE), st.sampled_from([1, 4, 6]), st.sampled_from([*TRADERS, 1.0, 99.0, -1.0, nan]), *[st.just(0.0)] * 2, limits
    ),
    st.tuples(
        st.sampled_from([DEPOSIT, WITHDRAW]), st.integers(1, 6), st.sampled_from([1.0, 50.0, 2_000.0, 1e9, 0.0, nan]), *[st.just(0.0)] * 3
    ),
    st.tuples(
        st.just(QUOTE),
        st.sampled_from(MAKERS),
        st.sampled_from([0.0, 0.001, 0.02, 1.0]),
        st.sampled_from([0.0, 3.0, 100.0, inf]),
        st.sampled_from([0.0, 0.002, -0.01]),
        st.just(inf),
    ),
)
moves = st.tuples(st.floats(-0.06, 0.06), st.integers(0, 9))
RULES = [
    {},
    {"premium_scale": "20 kUSD", "interest": "20 bps"},
    {"taker_fee": 0, "liquidation_discount": "3 %", "initial_margin": "4 %", "maintenance_margin": "1 %", "premium_scale": "2 kUSD"},
]


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(actions, actions, moves), max_size=60))
def test_any_sequence_conserves_money_and_refusals_change_nothing(rules: dict[str, object], steps: list[tuple[float, ...]]) -> None:
    book, index, usd = venue(**rules)
    book.establish(np.array([1, 2]), np.array([30.0, -20.0]), np.array([101.0, 98.0]), np.array([300.0, 100.0]))
    usd[VAULT] += 400.0
    book.adopt(5, 0.5)
    for account in (4, 5):
        book.apply(DEPOSIT, account, 5_000.0, 0.0, 0.0, inf, 0.0)
        book.apply(QUOTE, account, 0.001, 40.0, 0.0, inf, 0.0)
    total = sum(usd)
    check(book, total)
    for step in steps:
        if len(step) == 2:
            index.price *= 1.0 + step[0]
            book.begin(book.now + int(step[1]) * HOUR)
        else:
            action, sender, a, b, c, slippage = step
            before, foreseen = state(book), book.quote(int(action), a, b, c)
            assert state(book) == before
            outcome = book.apply(int(action), int(sender), a, b, c, slippage, book.mid())
            if outcome.status:
                assert (outcome.x, outcome.y) == (0.0, 0.0)
                assert state(book) == before
            elif action == LIQUIDATE:
                assert outcome == foreseen
        check(book, total)
    unpaid = [fact.amount for fact in book.facts if isinstance(fact, BadDebtIncurred)]
    assert book.bad_debt == pytest.approx(sum(unpaid), abs=1e-9)
    for fact in book.facts:
        if isinstance(fact, PositionLiquidated):
            assert fact.shortfall == 0.0 or fact.penalty == fact.returned == 0.0


def test_a_crash_settles_every_position_to_the_cent() -> None:
    """Three hundred longs through a fall of 30 %: the owners, the fund, the keeper and the maker share the loss exactly."""
    rng = np.random.Generator(np.random.Philox(7))
    n = 300
    index, usd = PriceSource(100.0), [0.0] * (n + 3)
    maker, keeper = n + 1, n + 2
    usd[maker], usd[keeper] = 1e6, 1e3
    terms = Perpetual.model_validate({"on": "arb", "index": "eth", "insurance_fund": "500 USD", "interest": 0})
    usd[VAULT] = 500.0
    book = terms.open(Opening("perp", VAULT, lambda asset: usd, lambda name: index, State(n + 3)))
    size, leverage = rng.uniform(1.0, 20.0, n), rng.uniform(2.0, 24.0, n)
    margin = size * 100.0 / leverage
    book.establish(np.arange(1, n + 1), size, np.full(n, 100.0), margin)
    usd[VAULT] += margin.sum()
    book.adopt(maker)
    book.apply(DEPOSIT, maker, 1e6, 0.0, 0.0, inf, 0.0)
    total, taken = sum(usd), 0
    for price in np.linspace(100.0, 70.0, 4).tolist():
        index.price = price
        book.apply(QUOTE, maker, 0.001, 1e6, 0.0, inf, 0.0)
        while found := book.view().liquidatable(5):
            for account, _, reward, kept in found:
                status, mark, gain = book.apply(LIQUIDATE, keeper, float(account), 0.0, 0.0, inf, 0.0)
                assert (status, mark, gain, kept) == (Status.SUCCEEDED, price, pytest.approx(reward, rel=1e-12), 0.0)
                taken += 1
    fallen = (size * 70.0 * 0.02 >= margin - size * 30.0).sum()
    assert taken == fallen
    assert 200 < taken < n
    assert book.bad_debt > 0.0
    check(book, total)
    own = usd[VAULT] - sum(claim.amount for claim in book.claims())
    assert own == pytest.approx(book.insurance_fund + book.fees - book.bad_debt, abs=1e-6)


positions = st.builds(
    Position,
    size=st.one_of(st.floats(0.01, 100.0), st.floats(-100.0, -0.01)),
    entry=st.floats(50.0, 150.0),
    margin=st.floats(0.0, 2_000.0),
    funding=st.floats(-5.0, 5.0),
)


@given(positions, st.floats(40.0, 200.0), st.floats(-20.0, 20.0), st.sampled_from([0.0, 0.005, 0.025, 0.5]))
def test_a_trigger_is_the_maintenance_margin_whatever_funding_did(position: Position, mark: float, funding: float, rate: float) -> None:
    slack = position.equity(mark, funding) - rate * abs(position.size) * mark
    if abs(slack) > 1e-9 * (position.margin + abs(position.size) * mark):
        assert triggered(position, mark, funding, rate) == (slack < 0.0)
    price = position.liquidation_price(funding, rate)
    assert position.equity(price, funding) == pytest.approx(rate * abs(position.size) * price, abs=1e-8)
    assert position.equity(position.bankruptcy_price(funding), funding) == pytest.approx(0.0, abs=1e-8)


@given(positions, st.floats(0.01, 200.0), st.booleans(), st.floats(50.0, 150.0), st.floats(-5.0, 5.0))
def test_netting_creates_no_value(old: Position, size: float, buying: bool, price: float, funding: float) -> None:
    size = size if buying else -size
    change = net(old, size, price, 0.1, funding)
    after = 0.0 if change.position is None else change.position.equity(price, funding)
    assert after + change.released - change.posted == pytest.approx(old.equity(price, funding), abs=1e-7)
    held = 0.0 if change.position is None else change.position.size
    assert held == pytest.approx(old.size + size, abs=1e-12)
    assert change.closed * old.size >= 0.0


@given(st.lists(st.tuples(st.integers(0, 8), st.one_of(st.none(), positions)), max_size=80), st.data())
def test_the_heaps_find_what_a_sweep_finds(changes: list[tuple[int, Position | None]], data: st.DataObject) -> None:
    held: dict[int, Position] = {}
    triggers = Triggers(held)
    for account, position in changes:
        if position is None:
            held.pop(account, None)
        else:
            held[account] = position
        triggers.watch(account)
        mark, funding = data.draw(st.floats(40.0, 200.0)), data.draw(st.floats(-20.0, 20.0))
        sweep = {account for account, position in held.items() if triggered(position, mark, funding, 0.02)}
        found = list(triggers.all(mark, funding, 0.02))
        assert len(found) == len(sweep)
        assert set(found) == sweep
        assert triggers.any(mark, funding, 0.02) == bool(sweep)


def test_changing_positions_for_ever_does_not_fill_the_memory() -> None:
    held: dict[int, Position] = {}
    triggers = Triggers(held)
    for i in range(10_000):
        held[i % 10] = Position(1.0, 100.0 + i, 10.0, 0.0)
        triggers.watch(i % 10)
        assert not triggers.any(1e6, 0.0, 0.02)
    assert len(triggers._longs.waiting) < 1_100
    assert sorted(triggers.all(100.0, 0.0, 0.02)) == list(range(10))
    for i in range(10_000):
        held[i % 10] = Position(1.0, 1e4 + i, 10.0, 0.0)
        triggers.watch(i % 10)
        assert len(list(triggers.all(100.0, 0.0, 0.02))) == 10
    assert len(triggers._longs._leaving) < 1_100


def test_a_hundred_thousand_positions_come_in_order() -> None:
    n = 100_000
    rng = np.random.Generator(np.random.Philox(3))
    index, usd = PriceSource(100.0), [1e9] * (n + 2)
    opening = Opening("perp", VAULT, lambda asset: usd, lambda name: index, State(n + 2))
    book = Perpetual.model_validate({"on": "arb", "index": "eth"}).open(opening)
    size = rng.normal(0.0, 10.0, n)
    margin = np.abs(size) * 100.0 / rng.uniform(2.0, 20.0, n)
    book.establish(np.arange(1, n + 1), size, np.full(n, 100.0), margin)
    assert not book.calls()
    index.price = 96.0
    due = size * 96.0 * 0.02 >= margin + size * -4.0
    found = [row.account for row in book.view().liquidatable()]
    assert sorted(found) == (np.flatnonzero(due & (size > 0)) + 1).tolist()
    assert 100 < len(found) < n // 4
    assert [row.account for row in book.view().liquidatable(7)] == found[:7]
    prices = [book.view().liquidation_price(account) for account in found]
    assert prices == sorted(prices, reverse=True)
    assert book.calls() == len(found)
    index.price = 99.9
    assert book.view().liquidatable() == []
    index.price = 96.0
    assert book.calls() == 2 * len(found)  # who recovers and falls again counts again


@pytest.mark.parametrize(
    ("accounts", "size", "entry", "margin"),
    [([1, 1], 1.0, 100.0, 9.0), ([4], 1.0, 100.0, 9.0), ([1], 0.0, 100.0, 9.0), ([1], 1.0, 0.0, 9.0), ([1], 1.0, 100.0, nan)],
)
def test_impossible_positions_are_refused(accounts: list[int], size: float, entry: float, margin: float) -> None:
    book, _, _ = venue()
    one, many = np.ones(1), np.ones(len(accounts))
    book.establish(np.array([4]), one, 100.0 * one, one)
    before = state(book)
    with pytest.raises(ValueError, match="perp"):
        book.establish(np.array(accounts), size * many, entry * many, margin * many)
    assert state(book) == before
