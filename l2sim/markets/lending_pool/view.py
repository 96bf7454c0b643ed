"""What everybody may see of a lending pool: state on a public chain, read-only."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from l2sim.markets.lending_pool import layout
from l2sim.markets.lending_pool.health import collateral_value, debt_value, health_factor
from l2sim.markets.lending_pool.kernel import REPAID, SEIZED
from l2sim.markets.lending_pool.rules import closable, permitted
from l2sim.markets.lending_pool.sentinel import NO_GRACE

if TYPE_CHECKING:
    from l2sim.markets.lending_pool import LendingPool
    from l2sim.markets.lending_pool.book import LendingPoolBook


class ReserveState(NamedTuple):
    """One asset of a pool. Amounts in units of it."""

    price: float
    """As the pool sees it, US dollars."""
    available: float
    """What the pool holds, and can lend."""
    supplied: float
    """What it owes to lenders, the protocol included."""
    borrowed: float
    """What borrowers owe."""
    utilization: float
    """Debt over debt and what is available."""
    borrow_rate: float
    """What debt costs a year."""
    supply_rate: float
    """What supply earns a year."""
    liquidity_index: float
    """What a unit supplied at the start has become."""
    borrow_index: float
    """What a unit borrowed at the start has become."""
    treasury: float
    """What of the supply is the protocol's."""
    deficit: float
    """Bad debt so far, which the lenders bear."""


class Loan(NamedTuple):
    """What one account has supplied and owes."""

    collateral: Mapping[str, float]
    """Units of what it has supplied, by asset."""
    debt: Mapping[str, float]
    """Units of what it owes, by asset."""
    collateral_value: float
    """US dollars, of what counts as collateral."""
    debt_value: float
    """US dollars."""
    health_factor: float
    """Collateral at its liquidation thresholds over debt; below 1 (``liquidated_below``) it may be liquidated; infinite without debt."""

    @property
    def loan_to_value(self) -> float:
        """Debt over collateral; 0 without debt."""
        return self.debt_value / self.collateral_value if self.debt_value else 0.0


class Liquidatable(NamedTuple):
    """The most profitable way to liquidate an account at once, by the rules as they stand."""

    account: int
    pair: int
    """Code of collateral and debt, for ``liquidate``."""
    collateral: str
    """What is seized."""
    debt: str
    """What is repaid."""
    most: float
    """The most that may be repaid now without leaving dust, units of the debt."""
    seized: float
    """What the liquidator is given for that, units of the collateral."""
    cost: float
    """What is repaid, US dollars."""
    reward: float
    """What the liquidator gains by that at the pool's prices, US dollars."""
    loan: Loan
    """The whole loan before."""


class LendingPoolView:
    """The public state of a pool after the last block."""

    __slots__ = ("_book",)

    def __init__(self, book: "LendingPoolBook") -> None:
        self._book = book

    @property
    def terms(self) -> "LendingPool":
        """Its rules: reserves, close factor, fee of flash loans."""
        return self._book.terms

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets in the order that the fields of actions count them."""
        return self._book.assets

    def pair(self, collateral: str, debt: str) -> int:
        """The code of a collateral and a debt, for ``liquidate``."""
        return self.assets.index(collateral) * len(self.assets) + self.assets.index(debt)

    def price(self, asset: str) -> float:
        """The price of an asset as the pool sees it, US dollars."""
        return layout.price(self._book.codes, self._book.state.prices, self.assets.index(asset))

    @property
    def reserves(self) -> Mapping[str, ReserveState]:
        """Every reserve, by asset."""
        return {name: self._reserve(asset) for asset, name in enumerate(self.assets)}

    def _reserve(self, asset: int) -> ReserveState:
        book = self._book

        def cell(field: int) -> float:
            return float(book.cells[layout.reserve(asset) + field])

        worth, owed, available = cell(layout.LIQUIDITY_INDEX), cell(layout.BORROW_INDEX), book.available(asset)
        debt = max(cell(layout.BORROWED), 0.0) * owed
        return ReserveState(
            price=layout.price(book.codes, book.state.prices, asset),
            available=available,
            supplied=(cell(layout.SUPPLIED) + cell(layout.TREASURY)) * worth,
            borrowed=debt,
            utilization=debt / (available + debt) if debt else 0.0,
            borrow_rate=cell(layout.BORROW_RATE),
            supply_rate=cell(layout.SUPPLY_RATE),
            liquidity_index=worth,
            borrow_index=owed,
            treasury=cell(layout.TREASURY) * worth,
            deficit=cell(layout.DEFICIT),
        )

    def position(self, account: int) -> Loan:
        """What an account has supplied and owes; nothing where it has no loan."""
        # Liquidators look at many: the bare columns, where reading them gives plain numbers.
        cells, codes, prices = (self._book.state.fast(column) for column in (self._book.cells, self._book.codes, self._book.state.prices))
        collateral, debt, total = {}, {}, 0.0
        for asset, name in enumerate(self.assets):
            at = layout.reserve(asset)
            supplied, owed = cells[layout.supply_at(codes, account, asset)], cells[layout.debt_at(codes, account, asset)]
            if supplied > 0.0:
                collateral[name] = supplied * cells[at + layout.LIQUIDITY_INDEX]
                if cells[at + layout.THRESHOLD] > 0.0:
                    total += collateral[name] * layout.price(codes, prices, asset)
            if owed > 0.0:
                debt[name] = owed * cells[at + layout.BORROW_INDEX]
        state = cells, codes, prices, account
        return Loan(collateral, debt, total, debt_value(*state), health_factor(*state))

    @property
    def liquidated_below(self) -> float:
        """Health factor below which an account may be liquidated as of the last block: 1, in a grace period less."""
        return float(self._book.cells[layout.LIQUIDATED_BELOW])

    @property
    def grace_ends(self) -> int | None:
        """When the present grace period ends (ns); None where there is none."""
        ends = int(self._book.codes[layout.GRACE_ENDS])
        return None if ends == NO_GRACE else ends

    def borrowable(self, account: int) -> float:
        """What an account may still borrow by its loan-to-value ratios, US dollars."""
        state = self._book.cells, self._book.codes, self._book.state.prices, account
        return max(0.0, collateral_value(*state, layout.LOAN_TO_VALUE) - debt_value(*state))

    def liquidatable(self) -> list[int]:
        """The accounts that may be liquidated now, the least healthy first, as far as they were so when the last block began."""
        book = self._book
        health = {account: health_factor(book.cells, book.codes, book.state.prices, account) for account in book.overdue()}
        limit = self.liquidated_below
        return sorted((account for account in health if health[account] < limit), key=health.__getitem__)

    @property
    def undoings(self) -> int:
        """How often blocks of the chain were undone; then who had come up says nothing, and ``overdue`` counts."""
        return self._book.undoings

    @property
    def calls(self) -> int:
        """How many accounts had become liquidatable when the last block began."""
        return self._book.calls()

    def overdue(self) -> list[int]:
        """The accounts that were liquidatable when last looked at, by number."""
        return self._book.overdue()

    def come_up(self, since: int = 0) -> list[int]:
        """The accounts that became liquidatable, in that order, but for the first ``since``; some may be healthy again or gone."""
        return self._book.come_up(since)

    def offers(self, accounts: Iterable[int]) -> list[Liquidatable]:
        """The best that liquidating each of these accounts offers, for those that may be liquidated now."""
        return [best for account in accounts if (best := self.best(account)) is not None]

    def best(self, account: int) -> Liquidatable | None:
        """The best that liquidating an account offers; None where it may not be, or nothing without leaving dust."""
        loan = self.position(account)
        if not loan.health_factor < self.liquidated_below:
            return None
        offers = [offer for c in loan.collateral for d in loan.debt if (offer := self._offer(account, loan, c, d)) is not None]
        return max(offers, key=lambda offer: offer.reward, default=None)

    def _offer(self, account: int, loan: Loan, collateral: str, debt: str) -> Liquidatable | None:
        terms, reserve, pair = self.terms, self.terms.reserves[collateral], self.pair(collateral, debt)
        balance, owed, p, q = loan.collateral[collateral], loan.debt[debt], self.price(collateral), self.price(debt)
        limits = terms.close_factor, terms.close_factor_health, terms.close_factor_minimum
        cap = closable(loan.health_factor, balance * p, owed, q, loan.debt_value, *limits)
        most = permitted(cap, owed, q, balance, p, reserve.liquidation_bonus, terms.minimum_leftover)
        status, out = self._book.assessed(account, pair, most) if most > 0.0 else (1, [])
        if status:
            return None
        cost, share = out[REPAID + 2], out[SEIZED + 3]
        return Liquidatable(account, pair, collateral, debt, out[REPAID], out[1], cost, out[SEIZED + 2] - share - cost, loan)
