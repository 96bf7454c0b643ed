"""Market makers: quotes around the mark, and what trading by them leaves with those who posted them."""

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


class Maker:
    """A maker's account; that of the market itself, which faces what nobody faces yet, is one too."""

    __slots__ = ("account", "ask", "asks", "bid", "bids", "cash", "funding", "inventory", "margin", "terms")

    def __init__(self, account: int) -> None:
        self.account = account
        self.margin = 0.0
        self.cash = 0.0
        self.inventory = 0.0
        self.funding = 0.0
        self.bid = self.ask = 1.0  # multiples of the mark
        self.bids = self.asks = 0.0  # units left
        self.terms = (0.0, 0.0, 0.0)

    def settle(self, funding: float) -> None:
        """Pay or receive funding up to the index now."""
        self.cash -= self.inventory * (funding - self.funding)
        self.funding = funding

    def equity(self, mark: float, funding: float) -> float:
        """What the account is worth at the mark."""
        return self.margin + self.cash + self.inventory * (mark - (funding - self.funding))

    def trade(self, size: float, price: float, funding: float) -> None:
        """Be the other side of a taker who buys ``size`` units (sells, if negative)."""
        self.settle(funding)
        self.inventory -= size
        self.cash += size * price
        if size > 0:
            self.asks = max(self.asks - size, 0.0)
        else:
            self.bids = max(self.bids + size, 0.0)

    def room(self, buying: bool, mark: float, funding: float, rate: float) -> float:
        """Units a taker can still buy from it (or sell to it): as quoted, as far as its equity is initial margin for its inventory."""
        quoted, held = (self.asks, self.inventory) if buying else (self.bids, -self.inventory)
        if not quoted:
            return 0.0
        return min(quoted, max(max(self.equity(mark, funding), 0.0) / (rate * mark) + held, 0.0))


class Fill(NamedTuple):
    """A part of a taker's order that one maker takes."""

    maker: Maker
    size: float
    price: float


class Makers(dict[int, Maker]):
    """Everybody who deposited or quoted, by account, and the levels of their quotes."""

    def __init__(self) -> None:
        super().__init__()
        self._asks: list[tuple[float, list[Maker]]] = []
        self._bids: list[tuple[float, list[Maker]]] = []

    def of(self, account: int, funding: float) -> Maker:
        """The maker's account, opened when it is first needed."""
        maker = self.get(account)
        if maker is None:
            maker = self[account] = Maker(account)
            maker.funding = funding
        return maker

    def quote(self, maker: Maker, half_spread: float, size: float, offset: float) -> bool:
        """Replace a maker's quotes by new ones; whether their terms are new."""
        changed = maker.terms != (half_spread, size, offset)
        maker.bids = maker.asks = size
        if changed:
            maker.terms = half_spread, size, offset
            maker.bid, maker.ask = (1.0 + offset) * (1.0 - half_spread), (1.0 + offset) * (1.0 + half_spread)
            quoting = [self[account] for account in sorted(self) if self[account].terms[1]]
            self._asks = [(price, [m for m in quoting if m.ask == price]) for price in sorted({m.ask for m in quoting})]
            self._bids = [(price, [m for m in quoting if m.bid == price]) for price in sorted({m.bid for m in quoting}, reverse=True)]
        return changed

    def fills(self, size: float, mark: float, funding: float, rate: float) -> tuple[list[Fill], float]:
        """Who takes how much of a taker's order, best price first and pro rata between equal prices; and what nobody takes."""
        fills: list[Fill] = []
        left, side = (size, 1.0) if size > 0 else (-size, -1.0)
        for multiple, makers in self._asks if size > 0 else self._bids:
            rooms = [maker.room(size > 0, mark, funding, rate) for maker in makers]
            total = fsum(rooms)
            share = 1.0 if total <= left else left / total
            parts = [min(left, total)] if len(rooms) == 1 else [room * share for room in rooms]
            fills += [Fill(maker, side * part, mark * multiple) for maker, part in zip(makers, parts, strict=True) if part]
            if total >= left:
                return fills, 0.0
            left -= total
        return fills, side * left

    def mid(self, mark: float) -> float:
        """Halfway between the highest bid and the lowest ask that are not used up; the mark where a side is missing."""
        bid = next((multiple for multiple, makers in self._bids if any(maker.bids for maker in makers)), None)
        ask = next((multiple for multiple, makers in self._asks if any(maker.asks for maker in makers)), None)
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
