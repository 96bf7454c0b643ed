"""How borrowers live: who is told when a loan needs its owner, what it takes to restore it, who is on the way to a loan."""

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.streams import arrivals
from l2sim.transactions import NEVER
from l2sim.units import HOUR
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from l2sim.agents.crowd_of_borrowers import CrowdOfBorrowers
    from l2sim.markets.lending_pool.view import LendingPoolView, Loan

Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]
"""A collateral and a debt."""


class Levels:
    """For each pair of a collateral and a debt, who asks to be told when the one has fallen to some level against the other.

    A level is what a unit that was supplied at the start is worth in units that were borrowed then, so interest counts. A health factor
    falls to a share of itself only after at least one of its pairs has, to the same share: whoever waits for all of its pairs is
    told in time, and a look costs what is reached.
    """

    def __init__(self) -> None:
        self._sorted: dict[Pair, tuple[list[float], list[int], int]] = {}
        self._heaps: dict[Pair, list[tuple[float, int]]] = {}

    def fill(self, pair: Pair, levels: Floats, accounts: npt.NDArray[np.int64]) -> None:
        """Ask for many at once, before anything else is asked for this pair."""
        order = np.lexsort((accounts, -levels))
        self._sorted[pair] = levels[order].tolist(), accounts[order].tolist(), 0
        self._heaps.setdefault(pair, [])

    def ask(self, pair: Pair, level: float, account: int) -> None:
        """Ask for one."""
        heappush(self._heaps.setdefault(pair, []), (-level, account))

    def pairs(self) -> list[Pair]:
        """The pairs that anybody asks for."""
        return list(self._heaps)

    def reached(self, pair: Pair, level: float) -> list[int]:
        """Take out who asked for this level or a higher one."""
        told = []
        if pair in self._sorted:
            levels, accounts, first = self._sorted[pair]
            last = first
            while last < len(levels) and levels[last] > level:
                last += 1
            told = accounts[first:last]
            self._sorted[pair] = levels, accounts, last
        heap = self._heaps[pair]
        while heap and -heap[0][0] > level:
            told.append(heappop(heap)[1])
        return told


class Action(NamedTuple):
    """What somebody does about a loan."""

    account: int
    action: str
    asset: str
    amount: float


class Crowd:
    """A crowd in a run. Members are known by their accounts."""

    def __init__(self, traits: "CrowdOfBorrowers", me: Seat) -> None:
        self.traits = traits
        self.me = me
        self.view: LendingPoolView = me.view(traits.market)
        self.actions = list(self.view.terms.actions)
        self.chain = me.chain_of(traits.market)
        self.loans = traits.loans(me)
        self.careful = traits.careful(me)
        self.levels = Levels()
        self.acted: dict[int, int] = {}
        """Who has done something, and until when it may take effect."""
        self.waiting: list[list[int]] = [[] for _ in range(traits.groups)]
        """Who has been told something, and waits for the turn of its group."""
        self.looks = 0
        self.coming = self._newcomers()
        self.next = next(self.coming, None)
        self.supplying: list[int] = []
        """Newcomers whose collateral is on its way."""
        self.borrowing: list[int] = []
        """Newcomers whose debt is on its way."""
        self.start = {(supplied, owed): self._ratio((supplied, owed)) for supplied in self.loans.collateral for owed in self.loans.debt}
        """The levels at the start."""
        me.failures()
        if traits.protect:
            self._ask_for_all()

    # ---- watching

    def _ratio(self, pair: Pair) -> float:
        """The level of a pair now."""
        reserves = self.view.reserves
        supplied, owed = (reserves[name] for name in pair)
        return supplied.price * supplied.liquidity_index / (owed.price * owed.borrow_index)

    def _ask_for_all(self) -> None:
        """Ask for all careful members who have a loan at the start."""
        n, reserves = self.traits.size, self.view.terms.reserves
        counts = {
            name: units[:n] * self.view.price(name) * reserves[name].liquidation_threshold for name, units in self.loans.collateral.items()
        }
        debt = {name: units[:n] * self.view.price(name) for name, units in self.loans.debt.items()}
        owed = np.sum(list(debt.values()), axis=0)
        shares = np.divide(self.traits.acts_below * owed, np.sum(list(counts.values()), axis=0), where=owed > 0.0, out=np.zeros(n))
        for supplied in counts:
            for borrowed in debt:
                who = np.flatnonzero((counts[supplied] > 0.0) & (debt[borrowed] > 0.0) & self.careful[:n])
                if len(who):
                    pair = supplied, borrowed
                    self.levels.fill(pair, self._ratio(pair) * shares[who], self.me.accounts.start + who)

    def _ask(self, account: int, loan: "Loan") -> None:
        """Ask for one, by its loan as it is."""
        share = self.traits.acts_below / loan.health_factor
        for supplied in loan.collateral:
            for borrowed in loan.debt:
                self.levels.ask((supplied, borrowed), self._ratio((supplied, borrowed)) * share, account)

    # ---- acting

    def look(self) -> None:
        """Act on what has happened since the last look, and on who comes before the next."""
        me = self.me
        told = [account for account, until in self.acted.items() if until < me.now]
        for account in told:
            del self.acted[account]
        for pair in self.levels.pairs():
            told += self.levels.reached(pair, self._ratio(pair))
        for account in told:
            self.waiting[(account - me.accounts.start) % len(self.waiting)].append(account)
        turn = self.looks % len(self.waiting)
        told, self.waiting[turn] = self.waiting[turn], []
        self.looks += 1
        deeds = []
        for account in dict.fromkeys(told):
            if account in self.acted:
                continue
            loan = self.view.position(account)
            if not loan.debt:
                continue
            if not loan.health_factor < self.traits.acts_below:
                self._ask(account, loan)
            elif (deed := self._restore(account, loan)) is not None:
                deeds.append(deed)
                self.acted[account] = me.now + self.traits.attention
        self._submit(deeds, np.full(len(deeds), me.now), me.now + self.traits.attention)
        if self.traits.newcomers:
            self._welcome()

    def _restore(self, account: int, loan: "Loan") -> Action | None:
        """What restores a loan, as far as its owner's wallet goes; None where that is empty."""
        view, target = self.view, self.traits.restores
        counted = loan.health_factor * loan.debt_value
        if self.traits.acts_by == "repay":
            asset = max(loan.debt, key=lambda name: loan.debt[name] * view.price(name))
            needed = (loan.debt_value - counted / target) / view.price(asset)
        else:
            asset = max(loan.collateral, key=lambda name: loan.collateral[name] * view.price(name))
            threshold = view.terms.reserves[asset].liquidation_threshold
            if not threshold:
                return None
            needed = (loan.debt_value * target - counted) / threshold / view.price(asset)
        amount = min(needed, self.me.balance(self.chain, asset, account))
        return Action(account, "repay" if self.traits.acts_by == "repay" else "supply", asset, amount) if amount > 0.0 else None

    def _submit(self, deeds: list[Action], submitted: npt.NDArray[np.int64], deadline: int = NEVER) -> None:
        """Send a transaction for each; its luck is that of the account and the block it follows."""
        accounts = np.array([deed.account for deed in deeds], np.int64)
        self.me.submit_rows(
            self.traits.market,
            np.array([self.actions.index(deed.action) for deed in deeds], np.int64),
            submitted=submitted,
            accounts=accounts,
            decisions=(self.me.height(self.chain) << 32) + self.me.identities(accounts),
            a=np.array([self.view.assets.index(deed.asset) for deed in deeds], np.float64),
            b=np.array([deed.amount for deed in deeds], np.float64),
            tip=self.traits.tip,
            deadline=deadline,
        )

    # ---- newcomers

    def _newcomers(self) -> "Iterator[tuple[int, int]]":
        """When each newcomer comes (ns), and its account; drawn for one hour after the other."""
        account = self.me.accounts.start + self.traits.size
        for chunk in count():
            if not self.traits.rate or chunk * HOUR >= self.me.ends:
                return
            for time in arrivals(self.me.rng("newcomers", chunk), self.traits.rate, chunk * HOUR, HOUR).tolist():
                if account == self.me.accounts.stop:
                    return
                yield time, account
                account += 1

    def _loan(self, account: int) -> tuple[str, float, str, float]:
        """What a newcomer supplies and wants to owe: the assets and units of them, by the prices of the start."""
        who = account - self.me.accounts.start
        (supplied, units), *_ = ((name, float(units[who])) for name, units in self.loans.collateral.items() if units[who])
        (borrowed, owed), *_ = ((name, float(units[who])) for name, units in self.loans.debt.items() if units[who])
        return supplied, units, borrowed, owed

    def _welcome(self) -> None:
        """Let newcomers supply, those whose supply is there borrow, and watch over those who have borrowed."""
        me, view = self.me, self.view
        gave_up = {failure.account for failure in me.failures()}
        self.supplying = [account for account in self.supplying if account not in gave_up]
        self.borrowing = [account for account in self.borrowing if account not in gave_up]
        for account in [account for account in self.borrowing if view.position(account).debt]:
            self.borrowing.remove(account)
            if self.careful[account - me.accounts.start]:
                self._ask(account, view.position(account))
        deeds = []
        for account in [account for account in self.supplying if view.position(account).collateral]:
            self.supplying.remove(account)
            self.borrowing.append(account)
            supplied, units, borrowed, owed = self._loan(account)
            # Its health factor is the one that it drew, whatever the prices are now; but nobody may borrow more than the pool allows.
            wanted = owed * self._ratio((supplied, borrowed)) / self.start[supplied, borrowed]
            deeds.append(Action(account, "borrow", borrowed, min(wanted, 0.999 * view.borrowable(account) / view.price(borrowed))))
        self._submit(deeds, np.full(len(deeds), me.now))
        coming, times = [], []
        while self.next is not None and self.next[0] < me.now + self.traits.attention:
            time, account = self.next
            supplied, units, _, _ = self._loan(account)
            coming.append(Action(account, "supply", supplied, units))
            times.append(time)
            self.supplying.append(account)
            self.next = next(self.coming, None)
        self._submit(coming, np.array(times, np.int64))
