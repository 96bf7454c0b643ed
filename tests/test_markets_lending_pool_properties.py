"""The lending pool under any sequence of actions: money is conserved, no trigger is missed, refusals and undoing leave no trace."""

from math import exp, fsum, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lending import POOL, Compiled, Venue

from l2sim.events import BadDebtIncurred
from l2sim.markets.lending_pool import layout
from l2sim.markets.lending_pool.triggers import ROOT
from l2sim.state import Journal
from l2sim.transactions import Status
from l2sim.units import DAY, HOUR, SECOND, YEAR

PEOPLE = (1, 2, 3, 4, 5)
LIQUIDATOR = 6
PRICES = {"eth": 2000.0, "btc": 50_000.0}
WEALTH = {"eth": 50.0, "btc": 2.0, "usd": 100_000.0}
RULES: list[dict[str, Any]] = [
    {"reserves": {"eth": {}, "usd": {"liquidity": "400 kUSD"}}},
    {"reserves": {"eth": {"liquidity": 100}, "btc": {"liquidity": "100 kUSD"}, "usd": {"liquidity": "400 kUSD", "base_rate": "5 %"}}},
    {
        "reserves": {
            "eth": {"liquidity": 20, "liquidation_threshold": "97 %", "liquidation_bonus": "10 %", "slope_2": "300 %"},
            "usd": {"liquidity": "50 kUSD", "liquidation_threshold": 0, "loan_to_value": 0, "base_rate": "20 %"},
        },
        "minimum_leftover": 0,
        "close_factor": "25 %",
    },
]

assets = st.sampled_from([0, 0, 1, 1, 2])
people = st.sampled_from(PEOPLE)
shares = st.one_of(st.floats(1e-6, 1.0), st.sampled_from([1.0, 1.0, 0.5, 0.999, 1.1, inf]))
odd = st.sampled_from([nan, inf, -inf, -1.0, 0.0, 0.5, 2.0, 5e-324, 1e-18, 1e300, 99.0])
moves = st.one_of(st.floats(0.8, 1.2), st.sampled_from([1.0, 0.999, 1.001, 0.97, 0.7, 1.3]))
actions = st.one_of(
    st.tuples(st.sampled_from(["supply", "withdraw", "borrow", "borrow", "repay"]), people, assets, shares, st.just(0)),
    st.tuples(
        st.just("liquidate"), st.sampled_from([LIQUIDATOR, LIQUIDATOR, 1]), people, st.tuples(st.integers(0, 3), st.integers(0, 3)), shares
    ),
    st.tuples(st.just("odd"), st.integers(0, 4), odd, odd, odd),
)
blocks = st.tuples(st.just("block"), st.sampled_from([0, SECOND, HOUR, 30 * DAY]), moves, moves, st.just(0))
histories = st.lists(st.one_of(actions, blocks), min_size=8, max_size=40)


def opened(kind: type[Venue], rules: dict[str, Any], **more: Any) -> Venue:
    """A pool from which everybody has borrowed nearly all that it may: one asset against another, and several against several."""
    venue = kind({name: PRICES[name] for name in rules["reserves"] if name != "usd"}, **more, **rules)
    last = len(venue.terms.reserves) - 1
    for account in (*PEOPLE, LIQUIDATOR):
        venue.give(account, **{asset: WEALTH[asset] * (10.0 if account == LIQUIDATOR else 1.0) for asset in venue.terms.assets()})
    for account, collaterals, debts in (
        (1, [0], [last]),
        (2, [0], [last]),
        (3, [last], [0]),
        (4, range(last + 1), [last]),
        (5, [0, last], [0, last]),
    ):
        for asset in collaterals:
            live(venue, ("supply", account, asset, 0.2 * account, 0))
        for asset in debts:
            live(venue, ("borrow", account, asset, 0.3 if len(debts) > 1 else 0.9 + 0.02 * account, 0))
    return venue


def row(venue: Venue, step: tuple[Any, ...]) -> tuple[Any, ...]:
    """The action, the sender and the fields that a step stands for now: shares are of what there is to move."""
    what, who, a, b, c = step
    if what == "odd":
        return list(venue.terms.actions)[who], 1, a, b, c
    if what == "liquidate":
        # Rather somebody who may be liquidated, and rather what it has, but not always.
        accounts = venue.view.liquidatable() or list(PEOPLE)
        account = accounts[a % len(accounts)]
        loan, names = venue.view.position(account), venue.view.assets
        collateral, debt = (list(held)[:which] or names[:1] for held, which in zip((loan.collateral, loan.debt), b, strict=True))
        return what, who, account, venue.view.pair(collateral[-1], debt[-1]), c * loan.debt.get(debt[-1], 1.0)
    asset = min(a, len(venue.view.assets) - 1)
    name, loan = venue.view.assets[asset], venue.view.position(who)
    whole = {
        "supply": venue.purse[name][who],
        "withdraw": loan.collateral.get(name, 1.0),
        "borrow": venue.view.borrowable(who) / venue.view.price(name),
        "repay": loan.debt.get(name, 1.0),
    }[what]
    return what, who, asset, b * whole if whole else 1.0, 0.0


def live(venue: Venue, step: tuple[Any, ...]) -> tuple[int, float, float]:
    """One step of a history."""
    if step[0] != "block":
        return venue.do(*row(venue, step))
    after, *factors = step[1:4]
    changed = dict(zip(PRICES, factors, strict=True))
    venue.block(after, **{name: venue.source(name).price * changed[name] for name in venue.terms.reserves if name != "usd"})
    return 0, 0.0, 0.0


def unhealthy(venue: Venue) -> set[int]:
    """Accounts that may be liquidated, by adding up what all of them have and owe."""
    found = set()
    for account in range(venue.state.capacity):
        loan = venue.view.position(account)
        counts = fsum(n * venue.view.price(name) * venue.terms.reserves[name].liquidation_threshold for name, n in loan.collateral.items())
        owed = fsum(n * venue.view.price(name) for name, n in loan.debt.items())
        assert loan.debt_value == pytest.approx(owed, rel=1e-12)
        assert loan.health_factor == (pytest.approx(counts / owed, rel=1e-12) if owed else inf)
        if loan.health_factor < 1.0:
            found.add(account)
    return found


def check_heaps(venue: Venue) -> None:
    """Every node hangs where its links say, behind its parent, on the side of its account."""
    codes, cells, capacity = venue.book.codes, venue.book.cells, venue.state.capacity
    links, keys, heaps = codes[layout.LINKS], codes[layout.KEYS], 2 * len(venue.view.assets) ** 2
    seen = 0
    for heap in range(heaps):
        root = codes[codes[layout.ROOTS] + heap]
        nodes = [(root, ROOT)] if root else []
        while nodes:
            node, before = nodes.pop()
            seen += 1
            child, after, previous = codes[links + 3 * node : links + 3 * node + 3]
            assert previous == before
            assert (node - 1) // capacity == heap // 2
            assert codes[codes[layout.OVERDUE] + (node - 1) % capacity] == heap % 2
            nodes += [(one, node) for one in (child, after) if one]
            while child:
                assert (cells[keys + node], node) < (cells[keys + child], child)
                child = codes[links + 3 * child + layout.NEXT]
    assert seen == sum(codes[links + 3 * node + layout.PREVIOUS] != 0 for node in range(1, 1 + heaps // 2 * capacity))


def total(venue: Venue, asset: str) -> float:
    return float(np.sum(np.asarray(list(venue.purse[asset]))))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RULES), histories)
def test_books_close_and_no_trigger_is_missed(rules: dict[str, Any], history: list[Any]) -> None:
    venue = opened(Venue, rules)
    before = {asset: total(venue, asset) for asset in venue.terms.assets()}
    calls = venue.book.calls()
    for step in history:
        was = unhealthy(venue)
        _, x, y = live(venue, step)
        assert np.isfinite([x, y]).all()
        assert venue.book.audit() < 1e-12
        assert min(min(purse) for purse in venue.purse.values()) >= 0.0
        assert set(venue.view.liquidatable()) == unhealthy(venue) == set(venue.book.overdue())
        check_heaps(venue)
        assert venue.view.liquidatable() == sorted(venue.view.liquidatable(), key=lambda one: venue.view.position(one).health_factor)
        came = venue.view.come_up(calls)
        calls += len(came)
        assert calls == venue.book.calls()
        if step[0] == "block":
            assert set(came) == unhealthy(venue) - was
        else:
            assert not came, "an action makes nobody unhealthy"
    for asset, held in before.items():
        assert total(venue, asset) == pytest.approx(held, rel=1e-12)
        claims = sum(claim.amount for claim in venue.book.claims() if claim.asset == asset)
        assert claims == pytest.approx(venue.purse[asset][POOL], rel=1e-9, abs=1e-6)
    lost = [fact.amount for fact in venue.book.facts if isinstance(fact, BadDebtIncurred)]
    assert bool(lost) == any(reserve.deficit > 0.0 for reserve in venue.view.reserves.values())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RULES), histories)
def test_lists_and_arrays_have_the_same_bits(rules: dict[str, Any], history: list[Any]) -> None:
    plain, fast = opened(Venue, rules), opened(Compiled, rules)
    for step in history:
        assert repr(live(plain, step)) == repr(live(fast, step))
    for name, column in plain.state.raw.items():
        assert column == fast.state.raw[name].tolist(), name
    assert plain.state.digest() == fast.state.digest()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RULES), histories, histories)
def test_the_journal_undoes_everything(rules: dict[str, Any], history: list[Any], more: list[Any]) -> None:
    journal = Journal()
    venue = opened(Venue, rules, journal=journal)
    for step in history:
        live(venue, step)
    mark, before = journal.mark(), venue.state.save()
    digest = venue.state.digest()
    for step in more:
        live(venue, step)
    assert venue.state.digest_after(digest, mark) == venue.state.digest()
    venue.book.restored(journal.undo(mark))
    assert venue.state.save() == before
    assert venue.state.digest() == digest
    assert set(venue.view.liquidatable()) == unhealthy(venue)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RULES), histories, actions)
def test_trying_and_being_refused_change_nothing(rules: dict[str, Any], history: list[Any], action: tuple[Any, ...]) -> None:
    venue = opened(Venue, rules)
    for step in history:
        live(venue, step)
    before, facts = venue.state.save(), list(venue.book.facts)
    what, who, *fields = row(venue, action)
    tried = venue.book.tried(venue.code(what), who, *fields)
    assert venue.state.save() == before
    done = venue.do(what, who, *fields)
    assert repr(tuple(tried)) == repr(done)
    if done[0]:
        assert venue.state.save() == before
        assert venue.book.facts == facts


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RULES), histories)
def test_what_is_offered_can_be_done(rules: dict[str, Any], history: list[Any]) -> None:
    venue = opened(Venue, rules)
    for step in history:
        live(venue, step)
    for offer in venue.view.offers(range(venue.state.capacity)):
        quoted = venue.book.quote(venue.code("liquidate"), offer.account, offer.pair, offer.most)
        assert tuple(quoted) == (0, offer.most, offer.seized)
        status, repaid, seized = venue.book.tried(venue.code("liquidate"), LIQUIDATOR, offer.account, offer.pair, offer.most)
        assert status in (0, Status.INSUFFICIENT_FUNDS, Status.NO_LIQUIDITY)
        if not status:
            assert (repaid, seized) == (offer.most, offer.seized)
            more = venue.book.tried(venue.code("liquidate"), LIQUIDATOR, offer.account, offer.pair, inf)
            assert more.status in (0, Status.DUST, Status.INSUFFICIENT_FUNDS, Status.NO_LIQUIDITY)
            assert more.status or more.x == pytest.approx(offer.most, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0.85, 1.12), min_size=1, max_size=12))
def test_loans_from_before_the_start_are_as_if_they_had_been_made(seed: int, moves: list[float]) -> None:
    rules = RULES[1]
    rng = np.random.Generator(np.random.Philox(seed))
    n = 40
    collateral = {"eth": rng.lognormal(0.0, 1.0, n), "btc": rng.lognormal(-4.0, 1.0, n) * (rng.random(n) < 0.3)}
    limit = (collateral["eth"] * 2000.0 + collateral["btc"] * 50_000.0) * 0.8 * rng.random(n)
    debt = {"usd": limit * 0.9, "eth": limit * 0.1 / 2000.0 * (rng.random(n) < 0.3)}
    accounts = np.arange(5, 5 + n)
    made: list[Any] = []
    for kind in (Venue, Compiled):
        venue = kind(PRICES, 50, **rules)
        for asset, units in collateral.items():
            venue.give(POOL, **{asset: float(units.sum())})
        venue.book.establish_loans(accounts, collateral, debt)
        made.append(venue)
    plain = made[0]
    assert plain.book.audit() < 1e-15
    assert plain.view.reserves["usd"].available == 400_000.0
    assert plain.view.reserves["usd"].borrowed == pytest.approx(debt["usd"].sum(), rel=1e-12)
    one = plain.view.position(7)
    assert one.collateral["eth"] == collateral["eth"][2]
    assert one.debt["usd"] == debt["usd"][2]
    price = 2000.0
    for move in moves:
        price *= move
        for venue in made:
            venue.block(HOUR, eth=price)
            assert set(venue.view.liquidatable()) == unhealthy(venue)
        assert made[0].view.come_up(0) == made[1].view.come_up(0)
    assert plain.state.raw["pool/cells"] == made[1].state.raw["pool/cells"].tolist()
    assert plain.state.raw["pool/codes"] == made[1].state.raw["pool/codes"].tolist()


def test_a_year_of_blocks_compounds() -> None:
    """Debt at 20 % a year grows by e^0.2 in many blocks, and by the first terms of that in one."""
    for blocks, grown in ((8760, exp(0.2)), (1, 1.0 + 0.2 + 0.02 + 0.008 / 6.0)):
        venue = Venue(PRICES, reserves={"eth": {}, "usd": {"liquidity": "1 MUSD", "base_rate": "20 %", "slope_1": 0}})
        venue.give(1, eth=1.0)
        venue.do("supply", 1, 0, 1.0)
        venue.do("borrow", 1, 1, 100.0)
        for _ in range(blocks):
            venue.block(YEAR // blocks)
        assert venue.view.position(1).debt["usd"] == pytest.approx(100.0 * grown, rel=1e-5 if blocks > 1 else 1e-14)
        assert venue.view.reserves["usd"].treasury == pytest.approx(10.0 * (grown - 1.0), rel=1e-3)
        assert venue.book.audit() < 1e-14
