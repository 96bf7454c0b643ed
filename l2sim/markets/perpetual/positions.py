"""One account's position: size, average entry, isolated margin, and what follows from them."""

from math import copysign, fsum
from typing import NamedTuple


class Position(NamedTuple):
    """A net position with margin of its own; replaced, never changed."""

    size: float
    """Units of the base asset; negative is short."""
    entry: float
    """Average price at which it was entered, US dollars a unit."""
    margin: float
    """US dollars set aside for it alone."""
    funding: float
    """The market's funding index at its entry, averaged like the price."""

    def equity(self, price: float, funding: float) -> float:
        """What it is worth at a price: margin, plus profit, less funding paid: ``m + s (P - e) - s (F - F0)``."""
        return self.margin + self.size * (price - self.entry) - self.size * (funding - self.funding)

    def trigger(self) -> float:
        """The number K that no later price or funding changes: ``e - F0 - m / s``.

        With maintenance margin μ on the notional at mark M, equity is at most ``μ |s| M`` iff ``M (1 - μ) - F <= K`` for a
        long, and iff ``M (1 + μ) - F >= K`` for a short. So one comparison with K, whatever funding has done, decides.
        """
        return self.entry - self.funding - self.margin / self.size

    def bankruptcy_price(self, funding: float) -> float:
        """The price at which nothing is left: ``K + F``, which is ``P0 (1 ∓ 1 / leverage)`` at first."""
        return self.trigger() + funding

    def liquidation_price(self, funding: float, maintenance: float) -> float:
        """The mark at which it may be liquidated: ``(K + F) / (1 ∓ μ)``."""
        return self.bankruptcy_price(funding) / (1.0 - copysign(maintenance, self.size))


NO_POSITION = Position(0.0, 0.0, 0.0, 0.0)


class Netting(NamedTuple):
    """What becomes of a position when a trade is added to it."""

    position: Position | None
    """The position afterwards; None where nothing is left."""
    posted: float
    """Margin newly set aside for what was opened."""
    released: float
    """Margin and profit paid out for what was closed; negative where the margin does not cover the loss."""
    closed: float
    """Signed size that was closed."""
    profit: float
    """Profit realised on it, funding included."""


def net(old: Position | None, size: float, price: float, rate: float, funding: float) -> Netting:
    """Add a trade to a position: in its direction it averages, against it it closes pro rata, and beyond it turns it over.

    What is opened gets margin ``rate`` times its notional at ``price``; ``funding`` is the funding index now.
    """
    if old is None:
        opened = Position(size, price, abs(size) * price * rate, funding)
        return Netting(opened, opened.margin, 0.0, 0.0, 0.0)
    if (old.size > 0) == (size > 0):
        posted = abs(size) * price * rate
        total = old.size + size
        weight = size / total
        entry = old.entry + (price - old.entry) * weight
        entered = old.funding + (funding - old.funding) * weight
        return Netting(Position(total, entry, old.margin + posted, entered), posted, 0.0, 0.0, 0.0)
    rest: Position | None
    if abs(size) < abs(old.size):
        closed, share = -size, abs(size / old.size)
        freed = old.margin * share
        rest = Position(old.size + size, old.entry, old.margin - freed, old.funding)
    else:
        closed, freed = old.size, old.margin
        over = old.size + size
        rest = Position(over, price, abs(over) * price * rate, funding) if over else None
    profit = closed * (price - old.entry) - closed * (funding - old.funding)
    posted = rest.margin if rest is not None and (rest.size > 0) == (size > 0) else 0.0
    return Netting(rest, posted, freed + profit, closed, profit)


def discrepancy(terms: list[float], volume: float) -> float:
    """How far terms are from summing to zero, relative to what there is or to all that was ever traded."""
    return abs(fsum(terms)) / (max(fsum(map(abs, terms)), volume) or 1.0)
