"""The state of a lending pool: what its kernel works on, and what others ask of it."""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from l2sim.books import Owed
from l2sim.events import BadDebtIncurred, LoanLiquidated
from l2sim.kernels import OUT
from l2sim.markets import Book, Claim, Opening
from l2sim.markets.lending_pool import layout
from l2sim.markets.lending_pool.kernel import FLASH_LOAN, LIQUIDATE, NO_LIQUIDITY, SMALLEST, assess, begin, execute, set_rates
from l2sim.markets.lending_pool.loans import balances, establish
from l2sim.markets.lending_pool.sentinel import install
from l2sim.markets.lending_pool.view import LendingPoolView
from l2sim.transactions import Outcome, Status

if TYPE_CHECKING:
    from l2sim.markets.lending_pool import LendingPool


class LendingPoolBook(Book):
    """Reserves, loans and triggers of one pool, all in cells and codes (see ``layout``); its liquidity is its account's balance."""

    kernel = staticmethod(execute)
    begin_kernel = staticmethod(begin)
    calls_code = layout.CALLS

    def __init__(self, terms: "LendingPool", opening: Opening) -> None:
        super().__init__(opening.state)
        state, n, accounts = opening.state, len(terms.reserves), opening.state.capacity
        self.terms = terms
        self.name = opening.name
        self.account = opening.account
        self.assets = tuple(terms.reserves)
        nodes = n * n * accounts
        loans = layout.reserve(n)
        keys = loans + 2 * n * accounts
        roots = layout.SOURCES + 2 * n
        overdue = roots + 2 * n * n
        history = overdue + accounts
        links = history + accounts
        self.cells = state.floats(f"{opening.name}/cells", keys + nodes)
        self.codes = state.ints(f"{opening.name}/codes", links + 3 * nodes)
        # Nodes are numbered from 1.
        for code, whole in enumerate((self.account, n, accounts, 0, 0, 0, loans, keys - 1, roots, overdue, history, links - 3)):
            self.codes[code] = whole
        rules = terms.close_factor, terms.close_factor_health, terms.close_factor_minimum, terms.minimum_leftover, terms.flash_loan_fee
        for cell, number in enumerate(rules):
            self.cells[cell] = number
        install(self.cells, self.codes, terms.grace_period, terms.outage_after, terms.grace_threshold)
        for asset, (name, reserve) in enumerate(terms.reserves.items()):
            at, held = layout.reserve(asset), opening.balances(name)[self.account]
            self.codes[layout.SOURCES + 2 * asset] = state.purse(name)
            self.codes[layout.SOURCES + 2 * asset + 1] = opening.source(reserve.price or name).slot
            for field, number in enumerate(reserve.rules()):
                self.cells[at + field] = number
            for field, number in ((layout.LIQUIDITY_INDEX, 1.0), (layout.BORROW_INDEX, 1.0), (layout.SUPPLIED, held)):
                self.cells[at + field] = number
            self.cells[layout.supply_at(self.codes, self.account, asset)] = held
            set_rates(self.cells, self.codes, state.purses, asset)
        self._view = LendingPoolView(self)

    def told(self, action: int, sender: int, values: Sequence[float]) -> Sequence[tuple[object, ...]]:
        account, (collateral, debt) = int(values[0]), (self.assets[int(asset)] for asset in values[1:3])
        repaid, seized, repaid_value, seized_value, share, health, bad_debt = values[3:]
        taken = LoanLiquidated(
            self.name, account, sender, collateral, debt, repaid, seized, repaid_value, seized_value, share, health
        )  # fmt: skip
        return (taken, BadDebtIncurred(self.name, account, bad_debt)) if bad_debt else (taken,)

    def owing(self, account: int) -> bool:
        return bool(self.codes[layout.OWER] == account + 1)

    def establish_loans(
        self,
        accounts: npt.NDArray[np.int64],
        collateral: Mapping[str, npt.NDArray[np.float64]],
        debt: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        """Before the clock starts: hold loans already, for accounts that have none.

        The pool's account has been given the collateral. What is owed was lent out before the start, by the same lenders, and is
        spent: they have lent so much more than the liquidity in the file, which is what is still available.

        Args:
            accounts: ledger accounts, each once, shape (n,).
            collateral, debt: units of an asset that each has supplied and owes, shape (n,) each; assets left out are nobody's.

        Raises:
            ValueError: an asset is unknown, an amount negative or not finite, an account has a loan already or would be liquidatable.
        """
        establish(self, accounts, collateral, debt)

    # ---- what others ask

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        """What a liquidation or a flash loan would give now. The other actions depend on who asks: INVALID, see ``tried``."""
        if action == LIQUIDATE:
            n = len(self.assets)
            if not (0.0 <= a < self.state.capacity and 0.0 <= b < n * n and c >= SMALLEST and a == int(a) and b == int(b)):
                return Outcome(Status.INVALID)
            status, out = self.assessed(int(a), int(b), c)
            return Outcome(status) if status else Outcome(0, out[0], out[1])
        if action == FLASH_LOAN and 0.0 <= a < len(self.assets) and a == int(a) and SMALLEST <= b < float("inf"):
            return Outcome(NO_LIQUIDITY) if b > self.available(int(a)) else Outcome(0, b, b * self.terms.flash_loan_fee)
        return Outcome(Status.INVALID)

    def assessed(self, account: int, pair: int, to_repay: float) -> tuple[int, list[float]]:
        """What a liquidation would come to, whoever did it: the status, and what ``kernel.assess`` leaves."""
        out = [0.0] * OUT
        collateral, debt = divmod(pair, len(self.assets))
        return assess(self.cells, self.codes, self.state.prices, account, collateral, debt, to_repay, out), out

    def available(self, asset: int) -> float:
        """Units that the pool holds and can lend."""
        held: float = self.state.purses[layout.purse(self.codes, asset)][self.account]
        return held

    def mid(self) -> float:
        return 0.0

    def calls(self) -> int:
        """How many accounts had become liquidatable when the last block began; one that is no longer and becomes so again counts again."""
        return int(self.codes[layout.CALLS])

    def come_up(self, since: int) -> list[int]:
        """The accounts that became liquidatable, in that order, but for the first ``since``; at most as many as there are accounts."""
        calls, capacity, history = self.calls(), self.state.capacity, self.codes[layout.HISTORY]
        return [int(self.codes[history + i % capacity]) for i in range(max(since, calls - capacity), calls)]

    def overdue(self) -> list[int]:
        """The accounts that were liquidatable when last looked at, by number."""
        codes, capacity = self.codes, self.state.capacity
        found, links = set(), codes[layout.LINKS]
        for heap in range(1, 2 * len(self.assets) ** 2, 2):
            nodes = [codes[codes[layout.ROOTS] + heap]]
            while nodes:
                node = nodes.pop()
                if node:
                    found.add((node - 1) % capacity)
                    nodes += codes[links + 3 * node + layout.CHILD], codes[links + 3 * node + layout.NEXT]
        return sorted(found)

    def view(self) -> LendingPoolView:
        return self._view

    def claims(self) -> Sequence[Claim]:
        return [
            Claim(who, asset, much)
            for asset, accounts, amounts in self.owed()
            for who, much in zip(accounts.tolist(), amounts.tolist(), strict=True)
        ]

    def owed(self) -> list[Owed]:
        """What everybody has lent, and, negative, owes. The pool's own are its lenders', less bad debt, plus what is nobody's."""
        made: list[Owed] = []
        supplies, debts = balances(self)
        for asset, name in enumerate(self.assets):
            at = layout.reserve(asset)
            worth = self.cells[at + layout.LIQUIDITY_INDEX]
            lent = supplies[:, asset] * worth
            lent[self.account] += (
                self.cells[at + layout.TREASURY] * worth + self.cells[at + layout.SURPLUS] - self.cells[at + layout.DEFICIT]
            )
            for amounts in (lent, debts[:, asset] * -self.cells[at + layout.BORROW_INDEX]):
                having = np.flatnonzero(amounts)
                made.append(Owed(name, having, amounts[having]))
        return made

    def audit(self) -> float:
        """How far liquidity and debts are from what is owed to lenders, relative to what there is or was ever moved."""
        worst = 0.0
        supplies, debts = balances(self)
        for asset in range(len(self.assets)):
            at, held = layout.reserve(asset), self.available(asset)
            lent = (float(supplies[:, asset].sum()) + self.cells[at + layout.TREASURY]) * self.cells[at + layout.LIQUIDITY_INDEX]
            owed = float(debts[:, asset].sum()) * self.cells[at + layout.BORROW_INDEX]
            gap = fsum((held, owed, self.cells[at + layout.DEFICIT], -lent, -self.cells[at + layout.SURPLUS]))
            worst = max(worst, abs(gap) / (max(abs(held) + owed + lent, self.cells[at + layout.TURNOVER]) or 1.0))
        return worst
