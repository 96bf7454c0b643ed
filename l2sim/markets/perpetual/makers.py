"""Market makers: quotes around the mark, and what trading by them leaves with those who posted them."""

from collections.abc import MutableMapping
from math import fsum
from typing import NamedTuple


class Quote(NamedTuple):
    """What a maker offers now."""

    account: int
    bid: float
    """Price at which it buys, US dollars."""
    bid_size: float
    """Units it still buys."""
    ask: float
    """Price at which it sells, US dollars."""
    ask_size: float
    """Units it still sells."""


class Inventory(NamedTuple):
    """What a maker holds in the market."""

    size: float
    """Units; negative is short."""
    cash: float
    """US dollars from its trades and from funding, without margin."""
    margin: float
    """US dollars it deposited."""
    equity: float
    """Margin, cash and inventory at the mark."""


class Maker(NamedTuple):
    """A maker's account, replaced when it changes; that of the market itself, which faces what nobody faces yet, is one too."""

    margin: float = 0.0
    """US dollars it deposited."""
    cash: float = 0.0
    """US dollars from trades and from funding, up to ``funding``."""
    inventory: float = 0.0
    """Units; negative is short."""
    funding: float = 0.0
    """The market's funding index when it last paid or received."""
    bids: float = 0.0
    """Units it still buys."""
    asks: float = 0.0
    """Units it still sells."""
    half_spread: float = 0.0
    """The terms of its quotes: how far each is from their middle, as a share of it,"""
    size: float = 0.0
    """for how many units,"""
    offset: float = 0.0
    """and how far the middle is from the mark."""

    @property
    def bid(self) -> float:
        """Its buying price, as a multiple of the mark."""
        return (1.0 + self.offset) * (1.0 - self.half_spread)

    @property
    def ask(self) -> float:
        """Its selling price, as a multiple of the mark."""
        return (1.0 + self.offset) * (1.0 + self.half_spread)

    def settled(self, funding: float) -> "Maker":
        """Itself, once it has paid or received funding up to the index now."""
        return self._replace(cash=self.cash - self.inventory * (funding - self.funding), funding=funding)

    def equity(self, mark: float, funding: float) -> float:
        """What the account is worth at the mark."""
        return self.margin + self.cash + self.inventory * (mark - (funding - self.funding))

    def traded(self, size: float, price: float, funding: float) -> "Maker":
        """Itself, as the other side of a taker who bought ``size`` units (sold, if negative)."""
        margin, cash, inventory, paid, bids, asks, *terms = self
        if size > 0:
            asks = max(asks - size, 0.0)
        else:
            bids = max(bids + size, 0.0)
        cash -= inventory * (funding - paid)
        return Maker(margin, cash + size * price, inventory - size, funding, bids, asks, *terms)

    def room(self, buying: bool, mark: float, funding: float, rate: float) -> float:
        """Units a taker can still buy from it (or sell to it): as quoted, as far as its equity is initial margin for its inventory."""
        quoted, held = (self.asks, self.inventory) if buying else (self.bids, -self.inventory)
        if not quoted:
            return 0.0
        return min(quoted, max(max(self.equity(mark, funding), 0.0) / (rate * mark) + held, 0.0))


class Fill(NamedTuple):
    """A part of a taker's order that one maker takes."""

    maker: int
    """Its account."""
    size: float
    price: float


class Makers:
    """Everybody who deposited or quoted, by account, and the levels of their quotes, which follow from their terms."""

    def __init__(self, accounts: MutableMapping[int, Maker]) -> None:
        self.accounts = accounts
        self.arrange()

    def arrange(self) -> None:
        """Find the levels anew: multiples of the mark, each with who quotes there, the best one first."""
        makers = self.accounts
        quoting = [account for account in sorted(makers) if makers[account].size]
        asks = {account: makers[account].ask for account in quoting}
        bids = {account: makers[account].bid for account in quoting}
        self._asks = [(price, [a for a in quoting if asks[a] == price]) for price in sorted(set(asks.values()))]
        self._bids = [(price, [a for a in quoting if bids[a] == price]) for price in sorted(set(bids.values()), reverse=True)]

    def of(self, account: int, funding: float) -> Maker:
        """The maker's account; a fresh one where there is none yet."""
        return self.accounts.get(account) or Maker(funding=funding)

    def quote(self, account: int, half_spread: float, size: float, offset: float, funding: float) -> bool:
        """Replace a maker's quotes by new ones; whether their terms are new."""
        maker = self.of(account, funding)
        self.accounts[account] = maker._replace(bids=size, asks=size, half_spread=half_spread, size=size, offset=offset)
        if (maker.half_spread, maker.size, maker.offset) == (half_spread, size, offset):
            return False
        self.arrange()
        return True

    def fills(self, size: float, mark: float, funding: float, rate: float) -> tuple[list[Fill], float]:
        """Who takes how much of a taker's order, best price first and pro rata between equal prices; and what nobody takes."""
        makers = self.accounts
        fills: list[Fill] = []
        left, side = (size, 1.0) if size > 0 else (-size, -1.0)
        for multiple, accounts in self._asks if size > 0 else self._bids:
            rooms = [makers[account].room(size > 0, mark, funding, rate) for account in accounts]
            total = fsum(rooms)
            share = 1.0 if total <= left else left / total
            parts = [min(left, total)] if len(rooms) == 1 else [room * share for room in rooms]
            fills += [Fill(account, side * part, mark * multiple) for account, part in zip(accounts, parts, strict=True) if part]
            if total >= left:
                return fills, 0.0
            left -= total
        return fills, side * left

    def mid(self, mark: float) -> float:
        """Halfway between the highest bid and the lowest ask that are not used up; the mark where a side is missing."""
        makers = self.accounts
        bid = next((multiple for multiple, accounts in self._bids if any(makers[account].bids for account in accounts)), None)
        ask = next((multiple for multiple, accounts in self._asks if any(makers[account].asks for account in accounts)), None)
        return mark if bid is None or ask is None else mark * (0.5 * (bid + ask))


def average(fills: list[Fill]) -> float:
    """The average price of fills, weighted by size."""
    if len(fills) == 1:
        return fills[0].price
    return fsum(fill.size * fill.price for fill in fills) / fsum(fill.size for fill in fills)


def worse(price: float, size: float, slippage: float, reference: float) -> bool:
    """Whether a price is beyond what a buyer (a seller, if ``size`` is negative) accepts."""
    if not reference:
        return False
    return price > reference * (1.0 + slippage) if size > 0 else price < reference * (1.0 - slippage)
