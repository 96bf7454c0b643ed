"""The state of a perpetual: positions, makers, the insurance fund, and the actions that change them."""

import gc
from collections.abc import Iterator, Sequence
from itertools import repeat
from math import fsum, inf, isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import (
    BadDebtIncurred,
    FundingSettled,
    PositionClosed,
    PositionLiquidated,
    PositionOpened,
    QuotesChanged,
)
from l2sim.markets import Book, Claim, Opening
from l2sim.markets.perpetual.makers import Fill, Maker, Makers, average, worse
from l2sim.markets.perpetual.positions import Position, discrepancy, net
from l2sim.markets.perpetual.triggers import Triggers, triggered
from l2sim.markets.perpetual.view import PerpetualView
from l2sim.transactions import Outcome, Status

if TYPE_CHECKING:
    from l2sim.markets.perpetual import Perpetual

OPEN, CLOSE, LIQUIDATE, DEPOSIT, WITHDRAW, QUOTE = range(6)
DAMPER = 0.0005
"""Funding ignores a difference between interest and premium beyond this (Hyperliquid and Binance documentation, 2026)."""


class TakeOver(NamedTuple):
    """What taking a position over would come to."""

    price: float
    """The price at which the owner gives it up."""
    fills: list[Fill]
    """What makers take of it."""
    kept: float
    """Signed size that no maker takes."""
    gain: float
    """US dollars gained by selling on."""


class PerpetualBook(Book):
    """Positions, makers and money of one perpetual. All its money is the balance of its own account, the vault."""

    def __init__(self, terms: "Perpetual", opening: Opening) -> None:
        super().__init__()
        self.terms = terms
        self.name = opening.name
        self.vault = opening.account
        self.usd = opening.balances("usd")
        self.index = opening.source(terms.index)
        self.positions: dict[int, Position] = {}
        self.makers = Makers()
        self.house = Maker(self.vault)
        self.insurance_fund = terms.insurance_fund
        self.fees = 0.0
        self.bad_debt = 0.0
        self.funding = 0.0
        """US dollars that a unit of long has paid since the start."""
        self.long = self.short = 0.0
        """Open interest in units, both positive."""
        self._triggers = Triggers(self.positions)
        self._premium_time = 0.0
        self._settled = 0
        self._traded = 0.0
        self._view = PerpetualView(self)
        self._actions = (self._open, self._close, self._liquidate, self._deposit, self._withdraw, self._quote)

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
        return self.index.price * (1.0 + self.premium)

    def mid(self) -> float:
        return self.makers.mid(self.mark)

    def begin(self, now: int) -> None:
        terms = self.terms
        self._premium_time += self.premium * (now - self.now)
        settlements = now // terms.funding_interval - self.now // terms.funding_interval
        self.now = now
        if settlements:
            premium = self._premium_time / (now - self._settled)
            rate = premium + min(max(terms.interest - premium, -DAMPER), DAMPER)
            rate = settlements * min(max(rate, -terms.funding_cap), terms.funding_cap)
            self.funding += rate * self.mark
            self._premium_time, self._settled = 0.0, now
            self.facts.append(FundingSettled(self.name, rate, self.funding))

    # ---- actions

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        return self._actions[action](sender, a, b, c, slippage, reference)

    def _open(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if not isfinite(a) or not a or not 0.0 < b < inf:
            return Outcome(Status.INVALID)
        if b * self.terms.initial_margin > 1.0 + 1e-12:
            return Outcome(Status.UNHEALTHY)
        return self._trade(sender, a, 1.0 / b, slippage, reference)

    def _close(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        position = self.positions.get(sender)
        if position is None:
            return Outcome(Status.NO_POSITION)
        size = -position.size * a
        if not 0.0 < a <= 1.0 or not size:
            return Outcome(Status.INVALID)
        return self._trade(sender, size, None, slippage, reference)

    def _trade(self, sender: int, size: float, rate: float | None, slippage: float, reference: float) -> Outcome:
        """Buy ``size`` units from makers (sell, if negative) with margin ``rate`` for what it opens; None when it only closes."""
        mark, funding = self.mark, self.funding
        fills, unfilled = self.makers.fills(size, mark, funding, self.terms.initial_margin)
        if unfilled or not fills:  # so little that a maker's share of it underflows fills nobody
            return Outcome(Status.NO_LIQUIDITY)
        price = average(fills)
        if worse(price, size, slippage, reference):
            return Outcome(Status.SLIPPAGE)
        old = self.positions.get(sender)
        change = net(old, size, price, rate or 0.0, funding)
        new = change.position
        fee = self.terms.taker_fee * abs(size) * price
        # A fresh position costs its spread at once: it must be above maintenance at the mark, while its margin meets the initial one.
        if change.released < 0.0 or (change.posted and new is not None and triggered(new, mark, funding, self.terms.maintenance_margin)):
            return Outcome(Status.UNHEALTHY)
        pays = change.posted - change.released + fee
        if self.usd[sender] < pays:
            return Outcome(Status.INSUFFICIENT_FUNDS)
        if self.usd[self.vault] < -pays:
            return Outcome(Status.NO_LIQUIDITY)
        self._deal(fills)
        self._take(sender, pays)
        self.fees += fee
        self._replace(sender, old, new)
        if change.closed:
            costs = fee * abs(change.closed / size)
            self.facts.append(PositionClosed(self.name, sender, change.closed, price, change.profit - costs))
        if change.posted and new is not None:
            self._announce(sender, new)
        return Outcome(0, price, change.profit - fee if rate is None else change.posted)

    def _liquidate(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if not 0.0 <= a < 2.0**53 or a != int(a) or sender == int(a):
            return Outcome(Status.INVALID)
        account, terms, mark, funding = int(a), self.terms, self.mark, self.funding
        position = self.positions.get(account)
        if position is None:
            return Outcome(Status.NO_POSITION)
        if not triggered(position, mark, funding, terms.maintenance_margin):
            return Outcome(Status.NOT_LIQUIDATABLE)
        deal = self.take_over(position, mark)
        if deal.fills and worse(average(deal.fills), -position.size, slippage, reference):
            return Outcome(Status.SLIPPAGE)
        equity = position.equity(deal.price, funding)
        penalty = min(max(equity, 0.0), terms.liquidation_penalty * abs(position.size) * deal.price)
        returned, shortfall = max(equity, 0.0) - penalty, max(-equity, 0.0)
        own, kept, pays = self.positions.get(sender), None, -deal.gain
        if deal.kept:
            kept = net(own, deal.kept, deal.price, terms.initial_margin, funding)
            if kept.released < 0.0:
                return Outcome(Status.UNHEALTHY)
            pays += kept.posted - kept.released
        if self.usd[sender] < pays:
            return Outcome(Status.INSUFFICIENT_FUNDS)
        if self.usd[self.vault] < returned - pays:
            return Outcome(Status.NO_LIQUIDITY)
        self._deal(deal.fills)
        self._take(sender, pays)
        self._take(account, -returned)
        self._replace(account, position, None)
        covered = min(shortfall, self.insurance_fund)
        self.insurance_fund += penalty - covered
        self.bad_debt += shortfall - covered
        taken = self.name, account, sender, position.size, mark, deal.price
        self.facts.append(PositionLiquidated(*taken, deal.gain, penalty, returned, shortfall))
        if shortfall > covered:
            self.facts.append(BadDebtIncurred(self.name, account, shortfall - covered))
        if kept is not None:
            self._replace(sender, own, kept.position)
            if kept.closed:
                self.facts.append(PositionClosed(self.name, sender, kept.closed, deal.price, kept.profit))
            if kept.posted and kept.position is not None:
                self._announce(sender, kept.position)
        return Outcome(0, mark, deal.gain)

    def _deposit(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if not 0.0 < a < inf:
            return Outcome(Status.INVALID)
        if self.usd[sender] < a:
            return Outcome(Status.INSUFFICIENT_FUNDS)
        self._take(sender, a)
        return Outcome(0, a, self._add_margin(sender, a))

    def _withdraw(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if not 0.0 < a < inf:
            return Outcome(Status.INVALID)
        mark, maker, position = self.mark, self.makers.get(sender), self.positions.get(sender)
        if maker is not None:
            free = maker.equity(mark, self.funding) - self.terms.initial_margin * abs(maker.inventory) * mark
        elif position is not None:
            spare = position.equity(mark, self.funding) - self.terms.initial_margin * abs(position.size) * mark
            free = min(position.margin, spare)
        else:
            return Outcome(Status.NO_POSITION)
        if a > free:
            return Outcome(Status.UNHEALTHY)
        if self.usd[self.vault] < a:
            return Outcome(Status.NO_LIQUIDITY)
        self._take(sender, -a)
        return Outcome(0, a, self._add_margin(sender, -a))

    def _quote(self, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if not 0.0 <= a < 1.0 or not 0.0 <= b < inf or not -1.0 < c < 1.0:
            return Outcome(Status.INVALID)
        maker = self.makers.of(sender, self.funding)
        if self.makers.quote(maker, a, b, c):
            self.facts.append(QuotesChanged(self.name, sender, a, b))
        return Outcome(0, self.mark * maker.bid, self.mark * maker.ask)

    # ---- what actions are made of

    def take_over(self, position: Position, mark: float) -> TakeOver:
        """What taking a position over at the mark would come to, changing nothing."""
        discount = self.terms.liquidation_discount
        price = mark * (1.0 - discount if position.size > 0 else 1.0 + discount)
        fills, unfilled = self.makers.fills(-position.size, mark, self.funding, self.terms.initial_margin)
        return TakeOver(price, fills, 0.0 - unfilled, fsum(fill.size * (price - fill.price) for fill in fills))

    def _deal(self, fills: list[Fill]) -> None:
        for maker, size, price in fills:
            maker.trade(size, price, self.funding)

    def _take(self, account: int, amount: float) -> None:
        self.usd[account] -= amount
        self.usd[self.vault] += amount

    def _add_margin(self, account: int, amount: float) -> float:
        position = self.positions.get(account)
        if account in self.makers or position is None:
            maker = self.makers.of(account, self.funding)
            maker.margin += amount
            return maker.margin
        self._replace(account, position, position._replace(margin=position.margin + amount))
        return position.margin + amount

    def _replace(self, account: int, old: Position | None, new: Position | None) -> None:
        self._traded += abs((new.size if new else 0.0) - (old.size if old else 0.0))
        for position, sign in ((old, -1.0), (new, 1.0)):
            if position is not None:
                if position.size > 0:
                    self.long += sign * position.size
                else:
                    self.short -= sign * position.size
        if new is None:
            del self.positions[account]
        else:
            self.positions[account] = new
            self._triggers.watch(account, new)

    def _announce(self, account: int, position: Position) -> None:
        liquidation = position.liquidation_price(self.funding, self.terms.maintenance_margin)
        bankruptcy = position.bankruptcy_price(self.funding)
        size, entry, margin, _ = position
        self.facts.append(PositionOpened(self.name, account, size, entry, margin, liquidation, bankruptcy))

    # ---- what others ask

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        """What the action would give now. Where it depends on who asks (``close``, margin), the answer is INVALID.

        ``open`` of the opposite size tells the price of closing.
        """
        if action == OPEN and isfinite(a) and a and 0.0 < b < inf:
            fills, unfilled = self.makers.fills(a, self.mark, self.funding, self.terms.initial_margin)
            if b * self.terms.initial_margin > 1.0 + 1e-12:
                return Outcome(Status.UNHEALTHY)
            if unfilled or not fills:
                return Outcome(Status.NO_LIQUIDITY)
            price = average(fills)
            return Outcome(0, price, abs(a) * price / b)
        if action == LIQUIDATE and 0.0 <= a < 2.0**53:
            position, mark = self.positions.get(int(a)), self.mark
            if position is None:
                return Outcome(Status.NO_POSITION)
            if not triggered(position, mark, self.funding, self.terms.maintenance_margin):
                return Outcome(Status.NOT_LIQUIDATABLE)
            return Outcome(0, mark, self.take_over(position, mark).gain)
        return Outcome(Status.INVALID)

    def calls(self) -> int:
        return self._triggers.come_up(self.mark, self.funding, self.terms.maintenance_margin)

    def come_up(self, since: int) -> list[int]:
        """The accounts that became liquidatable, in that order, but for the first ``since``."""
        self.calls()
        return self._triggers.history[since:]

    def overdue(self, position: Position) -> bool:
        """Whether a position may be liquidated now."""
        return triggered(position, self.mark, self.funding, self.terms.maintenance_margin)

    def triggered(self) -> Iterator[int]:
        """The accounts that may be liquidated now: longs first, on each side the most overdue first."""
        return self._triggers.all(self.mark, self.funding, self.terms.maintenance_margin)

    def view(self) -> PerpetualView:
        return self._view

    def claims(self) -> Sequence[Claim]:
        """Equity at the mark, of positions and of makers. A position's is never below nothing: its margin is isolated."""
        mark, funding = self.mark, self.funding
        claims = [Claim(account, "usd", max(self.positions[account].equity(mark, funding), 0.0)) for account in sorted(self.positions)]
        return claims + [Claim(account, "usd", self.makers[account].equity(mark, funding)) for account in sorted(self.makers)]

    def audit(self) -> float:
        """Whether money and units add up, as the larger of two relative discrepancies.

        Units: positions and inventories, the market's own included, sum to zero. Money: the vault holds ``Σ [m - s (e - F0)]``
        over positions, and over makers and the market itself ``Σ [margin + cash + inventory x F0]``, and the insurance fund,
        and fees, less bad debt. Both hold at any mark and funding, which drop out because units sum to zero.
        """
        sides = [self.house, *self.makers.values()]
        positions = self.positions.values()
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

        The vault has been given the sum of the margins. No fact is recorded: they were not opened in this run.

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
        self.house.settle(self.funding)
        self._traded += float(np.abs(size).sum())
        self.house.inventory -= float(size.sum())
        self.house.cash += float((size * entry).sum())
        self.long += float(size[size > 0].sum())
        self.short -= float(size[size < 0].sum())

    def adopt(self, account: int, share: float = 1.0) -> float:
        """Move a share of the market's own inventory, at what it cost, to a maker's account; the signed units moved."""
        house, maker = self.house, self.makers.of(account, self.funding)
        house.settle(self.funding)
        maker.settle(self.funding)
        inventory, cash = house.inventory * share, house.cash * share
        maker.inventory += inventory
        maker.cash += cash
        house.inventory -= inventory
        house.cash -= cash
        return inventory
