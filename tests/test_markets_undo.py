"""Undoing what a perpetual and its feed did: as if it had never been, to the last bit; with nothing kept outside the state."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2sim.markets import Book, Opening
from l2sim.markets.perpetual import Perpetual, PerpetualBook
from l2sim.markets.perpetual.accounts import Cell, PerpetualAccounts
from l2sim.markets.perpetual.book import CLOSE, DEPOSIT, LIQUIDATE, OPEN, QUOTE, WITHDRAW
from l2sim.markets.perpetual.positions import Position
from l2sim.markets.perpetual.triggers import Triggers, triggered
from l2sim.markets.price_feed import PriceFeed, PriceFeedBook
from l2sim.state import Journal, PriceSource, State
from l2sim.units import HOUR, SECOND

VAULT, ANN, BEN, KIM, MAKER, RIVAL, REPORTER, ORACLE = range(8)
TRADERS, MAKERS = (ANN, BEN, KIM), (KIM, MAKER, RIVAL)
RULES = {"on": "arb", "index": "oracle", "insurance_fund": "50 USD", "premium_scale": "20 kUSD", "interest": "20 bps"}
BLOCK, LOOK = -1, -2
Steps = Sequence[tuple[Any, ...]]


class Deck:
    """A perpetual marked to a feed, over the state of one chain: one long, one short, two makers, everybody with 20,000."""

    def __init__(self, kind: type[PerpetualBook] = PerpetualBook, arrays: bool = False, journal: bool = True) -> None:
        self.state = State(8, arrays, Journal() if journal else None)
        self.now = 0
        self.usd = self.state.purses[self.state.purse("usd")]
        rules = Perpetual.model_validate(RULES)
        names: dict[str, Callable[[], PriceSource]] = {"eth": lambda: PriceSource(100.0), "oracle": lambda: self.feed.source}
        self.feed: PriceFeedBook = PriceFeed(on="arb", of="eth").open(self.opening("oracle", ORACLE, names))
        self.feed.admit(REPORTER)
        self.book = kind(rules, self.opening("perp", VAULT, names))
        self.books: tuple[Book, ...] = self.feed, self.book
        for account in range(1, 7):
            self.usd[account] = 20_000.0
        self.usd[VAULT] = rules.insurance_fund + 250.0
        self.book.establish(np.array([ANN, BEN]), np.array([30.0, -20.0]), np.array([101.0, 98.0]), np.array([150.0, 100.0]))
        self.book.adopt(RIVAL, 0.5)
        self.play([(DEPOSIT, maker, 5_000.0) for maker in (MAKER, RIVAL)])
        self.play([(QUOTE, maker, 0.001, 40.0) for maker in (MAKER, RIVAL)])

    def opening(self, name: str, account: int, names: dict[str, Callable[[], PriceSource]]) -> Opening:
        return Opening(name, account, lambda asset: self.usd, lambda price: names[price](), self.state)

    def play(self, steps: Steps) -> list[Any]:
        """What happens, and what is told of it: a block begins with a report of the price and a look, where there is one."""
        outcomes: list[Any] = []
        for action, *fields in steps:
            if action == BLOCK:
                hours, move = fields
                self.now += hours * HOUR + SECOND
                for book in self.books:
                    book.begin(self.now)
                outcomes.append(self.feed.apply(0, REPORTER, self.feed.mid() * (1.0 + move), 0.0, 0.0, inf, 0.0))
            elif action == LOOK:
                outcomes.append(self.book.view().liquidatable())
            else:
                sender, a, b, c = (*fields, 0.0, 0.0)[:4]
                outcomes.append(self.book.apply(action, sender, a, b, c, 0.02, self.book.mid()))
        outcomes += [fact for book in self.books for fact in book.facts]
        for book in self.books:
            book.facts.clear()
        return outcomes

    def undo(self, mark: tuple[int, int]) -> None:
        assert self.state.journal is not None
        place, self.now = mark
        touched = self.state.journal.undo(place)
        for book in self.books:
            book.restored(touched)

    def load(self, saved: dict[str, Any], now: int) -> None:
        self.state.load(saved)
        self.now = now
        for book in self.books:
            book.restored(None)

    def mark(self) -> tuple[int, int]:
        assert self.state.journal is not None
        return self.state.journal.mark(), self.now

    def shown(self) -> Any:
        """Everything that can be seen or asked for, to the last bit."""
        view, book = self.book.view(), self.book
        sums = [getattr(book, name) for name, cell in vars(PerpetualAccounts).items() if isinstance(cell, Cell)]
        each = [(view.position(account), view.inventory(account), view.liquidation_price(account)) for account in range(7)]
        quoted = [book.quote(OPEN, size, 5.0, 0.0) for size in (-30.0, 1.0, 70.0)]
        general = view.mark, view.index, view.index_time, view.open_interest, view.quotes, self.feed.view(), book.mid()
        return repr((self.state.digest(), list(self.usd), sums, each, quoted, general, book.claims(), book.audit(), view.liquidatable()))


sizes = st.one_of(st.floats(-40.0, 40.0), st.sampled_from([-20.0, 0.0, 5.0, 25.0]))
actions = st.one_of(
    st.tuples(st.just(OPEN), st.sampled_from(TRADERS), sizes, st.sampled_from([2.0, 5.0, 20.0, 25.0, 26.0])),
    st.tuples(st.just(CLOSE), st.sampled_from(TRADERS), st.sampled_from([1.0, 0.5, 0.1, 1.5])),
    st.tuples(st.just(LIQUIDATE), st.sampled_from([ANN, KIM, MAKER]), st.sampled_from([1.0, 2.0, 3.0])),
    st.tuples(st.sampled_from([DEPOSIT, WITHDRAW]), st.integers(1, 6), st.sampled_from([1.0, 50.0, 2_000.0, 1e9])),
    st.tuples(
        st.just(QUOTE),
        st.sampled_from(MAKERS),
        st.sampled_from([0.0, 0.001, 0.02]),
        st.sampled_from([0.0, 3.0, 100.0]),
        st.sampled_from([0.0, 0.002, -0.01]),
    ),
)
blocks = st.tuples(st.just(BLOCK), st.sampled_from([0, 0, 1, 5, 9, 20]), st.floats(-0.06, 0.06))
doings = st.lists(st.one_of(actions, actions, actions, blocks), max_size=25)
with_looks = st.lists(st.one_of(actions, actions, blocks, st.just((LOOK,))), max_size=25)

BUSY: dict[str, Steps] = {
    "before": [(BLOCK, 5, 0.01), (OPEN, KIM, 10.0, 20.0), (QUOTE, KIM, 0.02, 3.0, 0.002), (BLOCK, 5, -0.01)],
    "undone": [
        *[(OPEN, KIM, 15.0, 24.0), (CLOSE, BEN, 0.5), (DEPOSIT, MAKER, 100.0), (QUOTE, MAKER, 0.0, 100.0, -0.01), (BLOCK, 9, -0.06)],
        *[(LIQUIDATE, MAKER, 3.0), (BLOCK, 0, -0.06), (LIQUIDATE, MAKER, 1.0), (LOOK,), (OPEN, KIM, -5.0, 5.0), (WITHDRAW, RIVAL, 50.0)],
    ],
    "after": [
        *[(BLOCK, 7, 0.02), (CLOSE, KIM, 0.5), (OPEN, BEN, 4.0, 5.0), (BLOCK, 1, -0.03), (LIQUIDATE, MAKER, 3.0)],
        *[(BLOCK, 0, -0.06), (BLOCK, 0, -0.06), (LOOK,), (LIQUIDATE, MAKER, 1.0), (WITHDRAW, MAKER, 50.0), (BLOCK, 9, 0.0)],
    ],
}
"""Settlements of funding, liquidations, bad debt and changed quotes, in what is undone and in what follows."""


def undo_holds(before: Steps, undone: Steps, after: Steps, kind: type[PerpetualBook] = PerpetualBook) -> None:
    """What was undone was never there: afterwards everything goes as in a world without it, and twice it goes the same way."""
    back, straight = Deck(kind), Deck(kind)
    assert back.play(before) == straight.play(before)
    shown, mark, saved = back.shown(), back.mark(), back.state.save()
    assert shown == straight.shown()
    first = back.play(undone), back.state.digest()
    back.undo(mark)
    assert back.state.save() == saved
    assert back.shown() == shown
    assert (back.play(undone), back.state.digest()) == first
    back.undo(mark)
    assert back.play(after) == straight.play(after)
    assert back.shown() == straight.shown()
    if (LOOK,) not in undone:
        assert back.book.view().come_up() == straight.book.view().come_up()


@settings(max_examples=150, deadline=None)
@given(doings, st.one_of(doings, with_looks), doings)
def test_what_is_undone_was_never_there(before: Steps, undone: Steps, after: Steps) -> None:
    undo_holds(before, undone, after)


def test_a_busy_day_is_undone() -> None:
    deck = Deck()
    deck.play(BUSY["before"])
    told = {type(fact).__name__ for fact in deck.play(BUSY["undone"])}
    assert told >= {"FundingSettled", "PositionLiquidated", "BadDebtIncurred", "PositionClosed", "PositionOpened", "QuotesChanged"}
    undo_holds(**BUSY)


def outside(name: str) -> type[PerpetualBook]:
    """A book that keeps one of its numbers in an attribute, where no journal sees it."""
    return type("Outside", (PerpetualBook,), {name: 0.0})


class Unrepaired(PerpetualBook):
    """A book that does not mend what follows from its state."""

    def restored(self, touched: Any) -> None: ...


class StaleLevels(PerpetualBook):
    """A book that forgets the levels of quotes."""

    def restored(self, touched: Any) -> None:
        self._triggers.restored(None)


class StaleTriggers(PerpetualBook):
    """A book that forgets to watch positions that are there again."""

    def restored(self, touched: Any) -> None:
        self.makers.arrange()


class Detached(PerpetualBook):
    """A book whose positions are in a dict of its own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.positions = {}
        self._triggers = Triggers(self.positions)


CELLS = sorted(name for name, cell in vars(PerpetualAccounts).items() if isinstance(cell, Cell))


@pytest.mark.parametrize("kind", [*map(outside, CELLS), Unrepaired, StaleLevels, StaleTriggers, Detached], ids=str)
def test_state_kept_outside_is_noticed(kind: type[PerpetualBook]) -> None:
    with pytest.raises(AssertionError):
        undo_holds(**BUSY, kind=kind)


@settings(max_examples=60, deadline=None)
@given(st.lists(doings, max_size=5), st.integers(0, 5))
def test_digests_follow_what_changes(parts: list[Steps], back_to: int) -> None:
    deck = Deck()
    digests, marks = [deck.state.digest()], [deck.mark()]
    for steps in parts:
        deck.play(steps)
        digests.append(deck.state.digest_after(digests[-1], marks[-1][0]))
        marks.append(deck.mark())
        assert digests[-1] == deck.state.digest()
    back_to = min(back_to, len(parts))
    deck.undo(marks[back_to])
    assert deck.state.digest() == digests[back_to]


@settings(max_examples=60, deadline=None)
@given(with_looks, doings)
def test_a_saved_state_goes_on_in_a_fresh_book(before: Steps, after: Steps) -> None:
    deck, fresh = Deck(), Deck()
    fresh.play([(OPEN, BEN, 5.0, 5.0), (QUOTE, MAKER, 0.02, 7.0), (BLOCK, 3, -0.05), (LOOK,)])
    deck.play(before)
    fresh.load(deck.state.save(), deck.now)
    assert fresh.shown() == deck.shown()
    assert all(isinstance(position, Position) for position in fresh.book.positions.values())
    assert set(fresh.book.triggered()) <= set(fresh.book.view().come_up())
    assert fresh.play(after) == deck.play(after)
    assert fresh.shown() == deck.shown()


@settings(max_examples=40, deadline=None)
@given(with_looks)
def test_columns_of_any_kind_give_the_same(steps: Steps) -> None:
    plain, *others = (Deck(arrays=arrays, journal=journal) for arrays in (False, True) for journal in (False, True))
    outcomes = plain.play(steps)
    for other in others:
        assert other.play(steps) == outcomes
        assert other.shown() == plain.shown()


# ---- news

positions = st.builds(
    Position,
    size=st.sampled_from([1.0, -1.0, 2.0]),
    entry=st.sampled_from([90.0, 100.0, 110.0]),
    margin=st.sampled_from([1.0, 5.0, 20.0]),
    funding=st.just(0.0),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.dictionaries(st.integers(0, 5), st.none() | positions, max_size=6), st.floats(70.0, 130.0)), max_size=30))
def test_news_is_what_has_changed_between_two_looks(looks: list[tuple[dict[int, Position | None], float]]) -> None:
    """Whatever happened in between, undone or not: an account comes up when it is triggered and was not so as it is, once."""
    held: dict[int, Position] = {}
    triggers = Triggers(held)
    seen: dict[int, tuple[float, bool]] = {}
    for changes, mark in looks:
        for account, position in changes.items():
            held.pop(account, None)
            if position is not None:
                held[account] = position
        triggers.restored(changes)
        known = len(triggers.history)
        triggers.come_up(mark, 0.0, 0.02)
        due = {account: position for account, position in held.items() if triggered(position, mark, 0.0, 0.02)}
        now = {account: (position.trigger(), position.size > 0) for account, position in due.items()}
        assert sorted(triggers.history[known:]) == sorted(account for account in now if seen.get(account) != now[account])
        assert set(triggers.all(mark, 0.0, 0.02)) == now.keys()
        seen = now


def test_who_was_liquidated_comes_up_again_when_that_is_undone() -> None:
    deck = Deck()
    deck.play([(BLOCK, 0, -0.08), (LOOK,)])
    view, mark = deck.book.view(), deck.mark()
    assert view.come_up() == [ANN]
    deck.play([(LIQUIDATE, MAKER, ANN)])
    deck.undo(mark)
    assert view.come_up(1) == []  # nobody looked while it was gone
    deck.play([(LIQUIDATE, MAKER, ANN), (LOOK,)])
    assert view.liquidatable() == []
    deck.undo(mark)
    assert view.come_up(1) == [ANN]
    assert [row.account for row in view.liquidatable()] == [ANN]


class Counted(dict[int, Position]):
    """Positions that count how often they are looked at."""

    looks = 0

    def get(self, *args: Any) -> Any:
        self.looks += 1
        return super().get(*args)


def test_an_undo_costs_what_it_touches() -> None:
    n = 20_000
    held = Counted({account: Position(1.0, 100.0, 5.0 + account * 1e-4, 0.0) for account in range(n)})
    triggers = Triggers(held)
    triggers.restored(None)
    assert triggers.come_up(98.0, 0.0, 0.02) == 0
    held.looks = 0
    held[7] = Position(1.0, 100.0, 1.0, 0.0)
    triggers.restored([7, 8])
    assert triggers.come_up(98.0, 0.0, 0.02) == 1
    assert held.looks < 10


def test_a_feed_shows_the_time_of_the_report_that_stands() -> None:
    deck = Deck()
    deck.play([(BLOCK, 1, 0.01)])
    shown, mark = deck.feed.view(), deck.mark()
    deck.play([(BLOCK, 1, 0.05)])
    assert deck.book.view().index_time == deck.feed.now > shown.time
    deck.undo(mark)
    assert (deck.feed.view(), deck.book.view().index_time) == (shown, shown.time)
