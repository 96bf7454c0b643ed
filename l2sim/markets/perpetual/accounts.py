"""What a perpetual keeps: positions, makers and funds, all of it in columns of its chain's state; its prices, and what it owes."""

import gc
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from itertools import repeat
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from l2sim.events import FundingSettled
from l2sim.markets import Book, Claim, Opening
from l2sim.markets.perpetual.makers import Makers
from l2sim.markets.perpetual.positions import Position, discrepancy
from l2sim.markets.perpetual.triggers import Triggers, triggered

if TYPE_CHECKING:
    from l2sim.markets.perpetual import Perpetual

DAMPER = 0.0005
"""Funding ignores a difference between interest and premium beyond this (Hyperliquid and Binance documentation, 2026)."""
INSURANCE_FUND, FEES, BAD_DEBT, FUNDING, LONG, SHORT, PREMIUM_TIME, TRADED, CELLS = range(9)
ACCRUED, SETTLED, CODES = range(3)
"""Up to when (ns) the premium is summed up, and when funding was settled last."""


class Cell:
    """An attribute of a book whose value is at a place in its column of floats."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, book: Any, owner: type) -> float:
        value: float = book.cells[self._place]
        return value

    def __set__(self, book: Any, value: float) -> None:
        book.cells[self._place] = value


class PerpetualAccounts(Book):
    """The accounts of one perpetual, its prices and what it owes. All its money is the balance of its own account, the vault.

    What its actions can change is in balances and in four columns under its name: ``cells``, ``codes``, and the entries
    ``positions`` and ``makers``, the market's own account among the latter. Triggers and levels of quotes follow from these.
    """

    insurance_fund = Cell(INSURANCE_FUND)
    fees = Cell(FEES)
    bad_debt = Cell(BAD_DEBT)
    funding = Cell(FUNDING)
    """US dollars that a unit of long has paid since the start."""
    long = Cell(LONG)
    """Open interest in units, of longs and of shorts, both positive."""
    short = Cell(SHORT)
    _premium_time = Cell(PREMIUM_TIME)
    """The premium, summed over the time (ns) since funding was settled."""
    _traded = Cell(TRADED)

    def __init__(self, terms: "Perpetual", opening: Opening) -> None:
        super().__init__(opening.state)
        self.terms = terms
        self.name = opening.name
        self.vault = opening.account
        self.usd = opening.balances("usd")
        self.index = opening.source(terms.index)
        self.cells = self.state.floats(f"{self.name}/cells", CELLS)
        self.codes = self.state.ints(f"{self.name}/codes", CODES)
        self.insurance_fund = terms.insurance_fund
        self.positions: MutableMapping[int, Position] = self.state.entries(f"{self.name}/positions")
        self.makers = Makers(self.state.entries(f"{self.name}/makers"))
        self._triggers = Triggers(self.positions)

    def restored(self, touched: Collection[tuple[str, int]] | None) -> None:
        """Positions and makers have earlier values: watch those positions, and find the levels of quotes anew."""
        positions, makers = f"{self.name}/positions", f"{self.name}/makers"
        self._triggers.restored(None if touched is None else [key for name, key in touched if name == positions])
        if touched is None or any(name == makers for name, _ in touched):
            self.makers.arrange()

    # ---- prices and time

    @property
    def premium(self) -> float:
        """How far the mark is above the index, as a share of it."""
        scale, limit = self.terms.premium_scale, self.terms.premium_limit
        if scale is None:
            return 0.0
        return min(max(0.01 * (self.long - self.short) * self.index.price / scale, -limit), limit)

    @property
    def mark(self) -> float:
        """The price at which margins are valued."""
        price = self.index.price
        return price if self.terms.premium_scale is None else price * (1.0 + self.premium)

    def mid(self) -> float:
        return self.makers.mid(self.mark)

    def begin(self, now: int) -> None:
        terms, settled = self.terms, self.codes[SETTLED]
        self.now = now
        if terms.premium_scale is not None:
            self._premium_time += self.premium * (now - self.codes[ACCRUED])
            self.codes[ACCRUED] = now
        settlements = now // terms.funding_interval - settled // terms.funding_interval
        if settlements:
            premium = self._premium_time / (now - settled)
            rate = premium + min(max(terms.interest - premium, -DAMPER), DAMPER)
            rate = settlements * min(max(rate, -terms.funding_cap), terms.funding_cap)
            self.funding += rate * self.mark
            self._premium_time, self.codes[SETTLED] = 0.0, now
            self.facts.append(FundingSettled(self.name, rate, self.funding))

    # ---- what others ask

    def calls(self) -> int:
        return self._triggers.come_up(self.mark, self.funding, self.terms.maintenance_margin)

    def come_up(self, since: int) -> list[int]:
        """The accounts that became liquidatable, in that order, but for the first ``since``; see ``Triggers``."""
        self.calls()
        return self._triggers.history[since:]

    def overdue(self, position: Position) -> bool:
        """Whether a position may be liquidated now."""
        return triggered(position, self.mark, self.funding, self.terms.maintenance_margin)

    def triggered(self) -> Iterator[int]:
        """The accounts that may be liquidated now: longs first, on each side the most overdue first."""
        return self._triggers.all(self.mark, self.funding, self.terms.maintenance_margin)

    def claims(self) -> Sequence[Claim]:
        """Equity at the mark, of positions and of makers. A position's is never below nothing: its margin is isolated."""
        mark, funding = self.mark, self.funding
        claims = [Claim(account, "usd", max(self.positions[account].equity(mark, funding), 0.0)) for account in sorted(self.positions)]
        makers = [(account, maker) for account, maker in sorted(self.makers.accounts.items()) if account != self.vault]
        return claims + [Claim(account, "usd", maker.equity(mark, funding)) for account, maker in makers]

    def audit(self) -> float:
        """Whether money and units add up, as the larger of two relative discrepancies.

        Units: positions and inventories, the market's own included, sum to zero. Money: the vault holds ``Σ [m - s (e - F0)]``
        over positions, and over makers and the market itself ``Σ [margin + cash + inventory x F0]``, and the insurance fund,
        and fees, less bad debt. Both hold at any mark and funding, which drop out because units sum to zero.
        """
        sides, positions = self.makers.accounts.values(), self.positions.values()
        units = [*(maker.inventory for maker in sides), *(position.size for position in positions)]
        money = [self.usd[self.vault], -self.insurance_fund, -self.fees, self.bad_debt]
        for maker in sides:
            money += (-maker.margin, -maker.cash, -maker.inventory * maker.funding)
        for size, entry, margin, funding in positions:
            money += (-margin, size * entry, -size * funding)
        return max(discrepancy(units, self._traded), discrepancy(money, self._traded * self.mark))

    # ---- before the clock starts

    def establish(
        self,
        accounts: npt.NDArray[np.int64],
        size: npt.NDArray[np.float64],
        entry: npt.NDArray[np.float64],
        margin: npt.NDArray[np.float64],
    ) -> None:
        """Hold positions from before the start, one an account, faced by the market itself until a maker adopts them.

        The vault has been given the sum of the margins. No fact says that they were opened, which they were not in this run.

        Raises:
            ValueError: a size of 0, an entry that is no price, a negative margin, or an account that has a position already.
        """
        if not (np.isfinite(size) & (size != 0) & (entry > 0) & (entry < inf) & (margin >= 0) & (margin < inf)).all():
            raise ValueError(f"positions in {self.name} need a size that is not 0, an entry above 0 and a margin of 0 or more")
        owners = accounts.tolist()
        if len(set(owners)) < len(owners) or not self.positions.keys().isdisjoint(owners):
            raise ValueError(f"an account holds one position in {self.name}: it cannot be given a second")
        collecting = gc.isenabled()
        gc.disable()  # else it walks the growing heap of tuples again and again, which takes twice as long as making them
        try:
            held = map(Position, size.tolist(), entry.tolist(), margin.tolist(), repeat(self.funding))
            self.positions.update(zip(owners, held, strict=True))
            self._triggers.watch_many(accounts, size, entry - self.funding - margin / size)
        finally:
            if collecting:
                gc.enable()
        self._traded += float(np.abs(size).sum())
        self._hold(-float(size.sum()), float((size * entry).sum()), self.vault)
        self.long += float(size[size > 0].sum())
        self.short -= float(size[size < 0].sum())

    def adopt(self, account: int, share: float = 1.0) -> float:
        """Move a share of the market's own inventory, at what it cost, to a maker's account; the signed units moved."""
        house = self.makers.of(self.vault, self.funding).settled(self.funding)
        inventory, cash = house.inventory * share, house.cash * share
        self._hold(inventory, cash, account)
        self._hold(-inventory, -cash, self.vault)
        return inventory

    def _hold(self, inventory: float, cash: float, account: int) -> None:
        """Add units and what they cost to what a maker, or the market itself, holds against takers."""
        maker = self.makers.of(account, self.funding).settled(self.funding)
        self.makers.accounts[account] = maker._replace(inventory=maker.inventory + inventory, cash=maker.cash + cash)
