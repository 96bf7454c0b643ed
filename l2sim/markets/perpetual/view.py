"""What everybody may see of a perpetual: state on a public chain, read-only."""

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from l2sim.markets.perpetual.makers import Inventory, Quote
from l2sim.markets.perpetual.positions import NO_POSITION, Position

if TYPE_CHECKING:
    from l2sim.markets.perpetual import Perpetual
    from l2sim.markets.perpetual.book import PerpetualBook


class Liquidatable(NamedTuple):
    """A position that anybody may take over now."""

    account: int
    size: float
    """Units, negative for a short."""
    reward: float
    """US dollars that the first to take it over gains by selling on to the makers' quotes as they stand."""
    kept: float
    """Signed size that no maker takes, and the liquidator would keep."""


class PerpetualView:
    """The public state of a perpetual after the last block."""

    __slots__ = ("_book",)

    def __init__(self, book: "PerpetualBook") -> None:
        self._book = book

    @property
    def terms(self) -> "Perpetual":
        """Its rules: margins, fees, the discount of liquidations."""
        return self._book.terms

    @property
    def mark(self) -> float:
        """The price at which margins are valued, US dollars."""
        return self._book.mark

    @property
    def index(self) -> float:
        """The price it is marked to, US dollars."""
        return self._book.index.price

    @property
    def index_time(self) -> int:
        """When the index was last updated (ns)."""
        return self._book.index.time

    @property
    def funding(self) -> float:
        """US dollars that a unit of long has paid since the start."""
        return self._book.funding

    @property
    def open_interest(self) -> tuple[float, float]:
        """Units held long and short by takers, both positive."""
        return self._book.long, self._book.short

    @property
    def insurance_fund(self) -> float:
        """What the insurance fund holds, US dollars."""
        return self._book.insurance_fund

    @property
    def bad_debt(self) -> float:
        """Shortfalls that nobody paid so far, US dollars."""
        return self._book.bad_debt

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """What makers offer, by account; sizes as far as they are not used up."""
        mark, makers = self._book.mark, self._book.makers.accounts
        quoting = [(account, makers[account]) for account in sorted(makers) if makers[account].bids or makers[account].asks]
        return tuple(Quote(account, mark * maker.bid, maker.bids, mark * maker.ask, maker.asks) for account, maker in quoting)

    def position(self, account: int) -> Position:
        """An account's position: size (0 where it has none), entry, margin, and the funding index at its entry."""
        return self._book.positions.get(account, NO_POSITION)

    def equity(self, account: int) -> float:
        """What an account's position is worth at the mark, US dollars; 0 where it has none."""
        return self.position(account).equity(self._book.mark, self._book.funding)

    def liquidation_price(self, account: int) -> float:
        """The mark at which an account's position may be liquidated, at today's funding; NaN where it has none."""
        position = self._book.positions.get(account)
        if position is None:
            return float("nan")
        return position.liquidation_price(self._book.funding, self._book.terms.maintenance_margin)

    def inventory(self, account: int) -> Inventory:
        """What an account holds as a maker: units, cash from trades and funding, margin, and equity at the mark."""
        maker, funding = self._book.makers.accounts.get(account), self._book.funding
        if maker is None:
            return Inventory(0.0, 0.0, 0.0, 0.0)
        cash = maker.cash - maker.inventory * (funding - maker.funding)
        return Inventory(maker.inventory, cash, maker.margin, maker.equity(self._book.mark, funding))

    def liquidatable(self, n: int | None = None) -> list[Liquidatable]:
        """The positions that may be liquidated now, at most ``n``: longs first, on each side the most overdue first."""
        return self.offers(islice(self._book.triggered(), n))

    def come_up(self, since: int = 0) -> list[int]:
        """The accounts that became liquidatable, in that order, but for the first ``since``; some may be healthy again or gone.

        Nothing is ever taken back: where blocks were undone, who is liquidatable and was not so at the last look comes up once more.
        """
        return self._book.come_up(since)

    def offers(self, accounts: Iterable[int]) -> list[Liquidatable]:
        """What taking these accounts' positions over would come to, for those that may be liquidated now."""
        book = self._book
        mark = book.mark
        found = []
        for account in accounts:
            position = book.positions.get(account)
            if position is not None and book.overdue(position):
                deal = book.take_over(position, mark)
                found.append(Liquidatable(account, position.size, deal.gain, deal.kept))
        return found
