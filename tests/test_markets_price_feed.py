"""The price feed: it shows what its reporters last told it."""

from math import inf, nan

import pytest

from l2sim.events import OracleUpdated
from l2sim.markets import Opening
from l2sim.markets.price_feed import PriceFeed, PriceFeedBook
from l2sim.state import PriceSource, State
from l2sim.transactions import Status

REPORTER, STRANGER = 1, 2


@pytest.fixture
def feed() -> PriceFeedBook:
    market = PriceFeed.model_validate({"on": "arb", "of": "eth"})
    balances: dict[str, list[float]] = {}
    book = market.open(Opening("oracle", 0, balances.__getitem__, lambda name: PriceSource({"eth": 3000.0}[name]), State(3)))
    book.admit(REPORTER)
    return book


def report(feed: PriceFeedBook, sender: int, price: float) -> tuple[int, float, float]:
    return feed.apply(0, sender, price, 0.0, 0.0, inf, 0.0)


def test_it_opens_at_the_outside_price_and_shows_the_last_report(feed: PriceFeedBook) -> None:
    shown = feed.source
    assert (shown.price, shown.time, feed.view()) == (3000.0, 0, (3000.0, 0))
    feed.begin(12)
    assert report(feed, REPORTER, 2990.0) == (Status.SUCCEEDED, 2990.0, 3000.0)
    feed.begin(14)
    assert (shown.price, shown.time, feed.mid(), feed.view()) == (2990.0, 12, 2990.0, (2990.0, 12))
    assert feed.facts == [OracleUpdated("oracle", 2990.0)]


@pytest.mark.parametrize(("sender", "price"), [(STRANGER, 1.0), (REPORTER, 0.0), (REPORTER, -1.0), (REPORTER, nan), (REPORTER, inf)])
def test_strangers_and_nonsense_are_refused(feed: PriceFeedBook, sender: int, price: float) -> None:
    feed.begin(12)
    assert report(feed, sender, price) == (Status.INVALID, 0.0, 0.0)
    assert (feed.view(), feed.facts) == ((3000.0, 0), [])


def test_a_quote_changes_nothing(feed: PriceFeedBook) -> None:
    assert feed.quote(0, 2990.0, 0.0, 0.0) == (Status.SUCCEEDED, 2990.0, 3000.0)
    assert feed.mid() == 3000.0


def test_it_keeps_no_positions(feed: PriceFeedBook) -> None:
    with pytest.raises(ValueError, match="no positions"):
        feed.adopt(1)
