"""What a liquidator keeps track of, plans and sends."""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from l2sim.agents.loan_liquidator.amounts import ALL, ROUNDING, TO_TARGET, best_sale, first_step, repayment
from l2sim.markets.constant_product import Reserves, swap
from l2sim.markets.lending_pool.rules import closable, permitted, protocol_share, seized
from l2sim.transactions import Output
from l2sim.world.seat import Do, Seat

if TYPE_CHECKING:
    from simpy.events import Event

    from l2sim.agents.loan_liquidator import LoanLiquidator
    from l2sim.markets.lending_pool.view import LendingPoolView, Loan

GROWTH = 1e-6
"""Relative; how much more is borrowed than is owed when it is decided, because interest goes on until the block."""


class Plan(NamedTuple):
    """A liquidation: what is repaid in one or two steps, and what that gives."""

    account: int
    collateral: str
    debt: str
    repaid: tuple[float, ...]
    """Units of the debt, a number for each step; inf for all that is allowed."""
    cost: float
    """Units of the debt, in all."""
    gained: tuple[float, ...]
    """Units of the collateral that it gets in each step."""
    proceeds: tuple[float, ...]
    """Units of the debt that the pool gives for each part, where it sells to one."""
    profit: float
    """US dollars."""
    after: Reserves | None
    """The pool after it has sold."""


NOTHING = Plan(-1, "", "", (), 0.0, (), (), -inf, None)
"""The plan for an account with which nothing can be done."""


def sold(reserves: Reserves, amount: float, selling: bool) -> tuple[Reserves, float]:
    """A pool after somebody has sold it units of its base asset, or bought it for US dollars, and what that gave."""
    base, quote, fee, paid_out, fees = reserves
    if selling:
        out = swap(amount, base, quote, 0.0 if paid_out else fee)
        got = out * (1.0 - fee) if paid_out else out
        return Reserves(base + amount, quote - out, fee, paid_out, fees), got
    out = swap(amount, quote, base, fee)
    stays = amount * (1.0 - fee) if paid_out else amount
    return Reserves(base - out, quote + stays, fee, paid_out, fees), out


class Desk:
    """A liquidator in a run."""

    def __init__(self, traits: "LoanLiquidator", me: Seat) -> None:
        self.traits = traits
        self.me = me
        self.chain = me.chain_of(traits.market)
        self.view: LendingPoolView = me.view(traits.market)
        self.borrows = traits.funding == "flash_loan"
        self.fresh: deque[int] = deque()
        """Accounts to look at, the longest overdue first."""
        self.dull: list[tuple[int, int]] = []
        """A heap of accounts that did not pay, with the time to look again."""
        self.pending: dict[int, tuple[Event, str, float]] = {}
        """Accounts with a liquidation on the way: its receipt, and the capital that is bound, an asset and units of it."""
        self.known = self.undoings = 0
        self.prices: dict[str, float] = {}
        """What the pool takes for the price of each asset, at the last look."""
        self.outside: dict[str, float] = {}
        """What a unit of each asset is worth outside, US dollars, at the last look."""
        self.funds: dict[str, float] = {}
        """Units of each asset that it can repay with."""
        self.fees: dict[tuple[int, bool], float] = {}
        """What a transaction with so many repayments costs, US dollars, and whether it sells for US dollars, at the last look."""

    def look(self) -> None:
        """See what came up and what became of what was sent, and go for what pays."""
        me, traits, view = self.me, self.traits, self.view
        self.prices = {asset: view.price(asset) for asset in view.assets}
        self.outside = {asset: 1.0 if asset == "usd" else me.price(asset) for asset in view.assets}
        self.fees = {}
        came = view.come_up(self.known) if view.undoings == self.undoings else view.overdue()
        self.known, self.undoings = view.calls, view.undoings
        self.fresh.extend(came)
        for account in [account for account, (receipt, _, _) in self.pending.items() if receipt.triggered]:
            del self.pending[account]
            self.fresh.append(account)
        room = traits.in_flight - len(self.pending)
        while self.dull and self.dull[0][0] <= me.now and len(self.fresh) < room:
            self.fresh.append(heappop(self.dull)[1])
        look = dict.fromkeys(self.fresh.popleft() for _ in range(min(room, len(self.fresh))))
        self.funds = self._funds()
        loans = {account: view.position(account) for account in look if account not in self.pending and account not in me.accounts}
        # Who is spared by a grace period comes up again when it is over.
        loans = {account: loan for account, loan in loans.items() if loan.health_factor < view.liquidated_below}
        reserves: Reserves | None = None if traits.pool is None else me.view(traits.pool)
        plans = [plan for account, loan in loans.items() if (plan := self.plan(account, loan, reserves)).profit >= traits.minimum_profit]
        for plan in sorted(plans, key=lambda plan: (-plan.profit, plan.account)):
            # What is sent before leaves less capital, and a pool that gives less.
            now = self.plan(plan.account, loans[plan.account], reserves)
            if now.profit >= traits.minimum_profit:
                self._send(now)
                reserves = now.after
        for account in loans:
            if account not in self.pending:
                heappush(self.dull, (me.now + traits.attention, account))

    def _funds(self) -> dict[str, float]:
        """Units of each asset that it can repay with: what it may borrow in one transaction, or what is left of its own."""
        if self.borrows:
            return {asset: reserve.available / (1.0 + GROWTH) for asset, reserve in self.view.reserves.items()}
        funds = {asset: self.me.balance(self.chain, asset) for asset in self.view.assets}
        for _, asset, units in self.pending.values():
            funds[asset] -= units
        return funds

    # ---- planning

    def plan(self, account: int, loan: "Loan", reserves: Reserves | None) -> Plan:
        """The most profitable liquidation of an account; ``reserves`` are those of the pool it sells to."""
        plans = [
            plan
            for collateral in loan.collateral
            for debt in loan.debt
            if self.traits.collateral in (None, collateral) and self.traits.debt in (None, debt)
            for plan in self._plans(account, loan, collateral, debt, reserves)
        ]
        return max(plans, key=lambda plan: plan.profit, default=NOTHING)

    def _plans(self, account: int, loan: "Loan", collateral: str, debt: str, reserves: Reserves | None) -> Iterator[Plan]:
        """The ways to liquidate one pair of an account."""
        traits, terms, rules = self.traits, self.view.terms, self.view.terms.reserves[collateral]
        p, q, balance, owed = self.prices[collateral], self.prices[debt], loan.collateral[collateral], loan.debt[debt]
        threshold, bonus = rules.liquidation_threshold, rules.liquidation_bonus
        most = min(self.funds[debt], self._sellable(collateral, debt, p, q, bonus, rules.protocol_fee, reserves))
        if not threshold or not most > 0.0:
            return
        limits = terms.close_factor, terms.close_factor_health, terms.close_factor_minimum
        cap = closable(loan.health_factor, balance * p, owed, q, loan.debt_value, *limits)
        rule = TO_TARGET if traits.repays == "to_target" else ALL
        once = repayment(
            rule, traits.target, most, loan.health_factor, loan.debt_value, owed, q, balance, p, threshold, bonus, *limits,
            terms.minimum_leftover,
        )  # fmt: skip
        # All that is allowed is more by the time it is executed.
        exact = once >= cap * (1.0 - ROUNDING) and once * (1.0 + GROWTH) <= most
        if once > 0.0:
            yield self._made(account, collateral, debt, (once,), inf if exact else once, balance, p, q, reserves)
        if traits.repays != "two_steps" or self.view.liquidated_below < 1.0:  # in a grace period the first step would end it
            return
        first = first_step(loan.health_factor, loan.debt_value, q, threshold, bonus, min(cap, most), terms.close_factor_health)
        if first and permitted(first, owed, q, balance, p, bonus, terms.minimum_leftover) == first:
            left = balance - seized(first, balance, p, q, bonus)
            again = closable(1.0, left * p, owed - first, q, loan.debt_value - first * q, *limits)
            second = permitted(min(again, most - first), owed - first, q, left, p, bonus, terms.minimum_leftover)
            if second > 0.0:
                exact = second >= again * (1.0 - ROUNDING) and (first + second) * (1.0 + GROWTH) <= most
                yield self._made(account, collateral, debt, (first, second), inf if exact else second, balance, p, q, reserves)

    def _made(
        self, account: int, collateral: str, debt: str, repaid: tuple[float, ...], last: float, balance: float, p: float, q: float,
        reserves: Reserves | None,
    ) -> Plan:  # fmt: skip
        """A plan to repay so much in each step, the last of which is asked for as ``last``."""
        terms, rules = self.view.terms, self.view.terms.reserves[collateral]
        parts = []
        for amount in repaid:
            gross = seized(amount, balance, p, q, rules.liquidation_bonus)
            parts.append(gross - protocol_share(gross, rules.liquidation_bonus, rules.protocol_fee))
            balance -= gross
        cost, proceeds = sum(repaid), []
        for part in parts:
            if reserves is not None:
                reserves, out = sold(reserves, part, collateral != "usd")
                proceeds.append(out)
        worth = sum(proceeds) * self.outside[debt] if proceeds else sum(parts) * self.outside[collateral]
        kind = len(repaid), collateral != "usd"
        if kind not in self.fees:
            self.fees[kind] = sum(self.me.fee(market, action, self.traits.tip) for market, action in self._actions(*kind))
        # Rounded up, so that a profit of just the least is enough.
        profit = worth * (1.0 + ROUNDING) - cost * (1.0 + self.borrows * terms.flash_loan_fee) * self.outside[debt] - self.fees[kind]
        return Plan(account, collateral, debt, (*repaid[:-1], last), cost, tuple(parts), tuple(proceeds), profit, reserves)

    def _sellable(
        self, collateral: str, debt: str, p: float, q: float, bonus: float, protocol_fee: float, reserves: Reserves | None
    ) -> float:  # fmt: skip
        """The repayment whose collateral sells best in the pool, units of the debt; inf where it does not sell to one."""
        if reserves is None:
            return inf
        base = self.me.rules(self.traits.pool or "").base
        if (collateral, debt) not in ((base, "usd"), ("usd", base)):
            return 0.0
        gained = q / p * (1.0 + bonus - bonus * protocol_fee)
        price = gained / (1.0 + self.borrows * self.view.terms.flash_loan_fee)
        selling = collateral != "usd"
        paid, got = (reserves.base, reserves.quote) if selling else (reserves.quote, reserves.base)
        return best_sale(price, paid, got, reserves.fee, reserves.paid_out and selling) / gained

    def _actions(self, repayments: int, selling: bool) -> list[tuple[str, str]]:
        """The actions of a transaction, in order, with their markets; a pool is sold to, or bought from."""
        market, pool = self.traits.market, self.traits.pool
        actions = [(market, "liquidate")] * repayments
        if pool is not None:
            actions += [(pool, "sell" if selling else "buy")] * repayments
        return [(market, "flash_loan"), *actions, (market, "flash_repay")] if self.borrows else actions

    # ---- sending

    def _send(self, plan: Plan) -> None:
        """Send a plan, and wait for its receipt."""
        me, traits, assets = self.me, self.traits, self.view.assets
        pair, owed = self.view.pair(plan.collateral, plan.debt), float(assets.index(plan.debt))
        fields: list[tuple[float | Output, ...]] = [(float(plan.account), float(pair), units) for units in plan.repaid]
        limits = [0.0] * len(plan.repaid)
        first = int(self.borrows)
        if plan.proceeds:
            # Each part has to give its share of what the whole must give to reach the least profit.
            share = 1.0 - max(0.0, plan.profit - traits.minimum_profit) / (sum(plan.proceeds) * self.outside[plan.debt])
            worst = [share * out / part for out, part in zip(plan.proceeds, plan.gained, strict=True)]
            limits += [price if plan.collateral != "usd" else 1.0 / price for price in worst]
            fields += [(Output(first + k),) for k in range(len(plan.repaid))]
        if self.borrows:
            fields = [(owed, plan.cost * (1.0 + GROWTH)), *fields, (owed, inf)]
            limits = [0.0, *limits, 0.0]
        actions = self._actions(len(plan.repaid), plan.collateral != "usd")
        deadline = me.within(traits.market, traits.patience)
        if len(actions) == 1:
            ticket = me.submit(traits.market, "liquidate", *fields[0], tip=traits.tip, deadline=deadline, wait=True)  # type: ignore[arg-type]
        else:
            steps = [
                Do(market, action, values, ROUNDING if limit else inf, limit)
                for (market, action), values, limit in zip(actions, fields, limits, strict=True)
            ]
            ticket = me.submit_steps(*steps, tip=traits.tip, deadline=deadline, wait=True)
        bound = 0.0 if self.borrows or plan.proceeds else plan.cost * (1.0 + GROWTH)
        self.pending[plan.account] = me.receipt(ticket), plan.debt, bound
        self.funds[plan.debt] -= bound
