"""What the naive version trades on: a pool and a lending pool, with loans in numpy arrays whose health is looked at in every block."""

import numpy as np

from benchmarks import drawn
from l2sim.markets.lending_pool.rules import borrow_rate, closable, compounded, coverable, dust, permitted, protocol_share, seized
from l2sim.scenario import Scenario
from l2sim.units import YEAR

ROUNDING = 1e-12
SLIPPAGE, INSUFFICIENT_FUNDS, NO_LIQUIDITY, NO_POSITION, NOT_LIQUIDATABLE, DUST = 1, 2, 3, 4, 5, 8


class Account:
    """Somebody's money, on the rollup and outside."""

    def __init__(self, name: str, usd: float, eth: float, gas: float) -> None:
        self.name = name
        self.usd, self.eth, self.gas = usd, eth, gas
        self.usd_outside = self.eth_outside = 0.0
        self.seen, self.again = 0, 0.0


class Pool:
    """A constant product of two reserves."""

    def __init__(self, base: float, quote: float, phi: float) -> None:
        self.base, self.quote, self.phi = base, quote, phi

    def copy(self) -> "Pool":
        return Pool(self.base, self.quote, self.phi)

    def mid(self) -> float:
        return self.quote / self.base

    def gives(self, action: str, amount: float) -> float:
        into, out_of = (self.quote, self.base) if action == "buy" else (self.base, self.quote)
        effective = amount * self.phi
        return out_of * effective / (into + effective)

    def swap(self, action: str, amount: float, worst: float) -> float:
        """What comes out, or minus the status of a refusal."""
        out = self.gives(action, amount)
        if action == "buy":
            if not out < self.base:
                return -NO_LIQUIDITY
            if amount > out * worst:
                return -SLIPPAGE
            self.quote += amount
            self.base -= out
        else:
            if not out < self.quote:
                return -NO_LIQUIDITY
            if out < amount * worst:
                return -SLIPPAGE
            self.base += amount
            self.quote -= out
        return out


class Bank:
    """A lending pool with loans of US dollars against ether."""

    def __init__(self, scenario: Scenario, price: float) -> None:
        self.terms = scenario.markets["loans"]
        self.eth = self.terms.reserves["eth"]
        usd = self.terms.reserves["usd"]
        _, _, _, _, *self.interest, self.reserve_factor = usd.rules()
        self.supply, self.debt = drawn.loans(scenario, price)
        self.index, self.rate, self.now = 1.0, 0.0, 0
        self.dollars, self.borrowed, self.supplied, self.share = float(usd.liquidity), float(self.debt.sum()), float(self.supply.sum()), 0.0
        self.overdue: set[int] = set()
        self.calls = 0
        self.set_rate()

    def set_rate(self) -> None:
        debt = self.borrowed * self.index
        self.rate = borrow_rate(debt / (self.dollars + debt), *self.interest)

    def limits(self) -> tuple[float, float, float]:
        return self.terms.close_factor, self.terms.close_factor_health, self.terms.close_factor_minimum

    def health(self, account: int, price: float) -> float:
        return price / self.index / (float(self.debt[account]) / (float(self.supply[account]) * self.eth.liquidation_threshold))

    def begin(self, now: int, price: float) -> None:
        """Interest, and a look at everybody's health."""
        self.index *= compounded(self.rate, (now - self.now) * (1.0 / YEAR))
        self.now = now
        with np.errstate(divide="ignore", invalid="ignore"):
            health = self.supply * (price * self.eth.liquidation_threshold) / (self.debt * self.index)
        overdue = {account for account in np.flatnonzero(health < 1.0 + 1e-9).tolist() if self.health(account, price) < 1.0}
        self.calls += len(overdue - self.overdue)
        self.overdue = overdue

    def best(self, account: int, price: float, funds: float) -> tuple[float, float]:
        """The most that may be repaid at once, and the ether that it gives."""
        health, bonus = self.health(account, price), self.eth.liquidation_bonus
        balance, owed = float(self.supply[account]), float(self.debt[account]) * self.index
        most = min(closable(health, balance * price, owed, 1.0, owed, *self.limits()), funds)
        repaid = permitted(most, owed, 1.0, balance, price, bonus, self.terms.minimum_leftover)
        gross = seized(repaid, balance, price, 1.0, bonus)
        return repaid, gross - protocol_share(gross, bonus, self.eth.protocol_fee)

    def liquidate(self, keeper: Account, account: int, to_repay: float, price: float) -> tuple[int, dict[str, float]]:
        balance, scaled, bonus = float(self.supply[account]), float(self.debt[account]), self.eth.liquidation_bonus
        owed = scaled * self.index
        if not owed > 0.0 or not balance > 0.0:
            return NO_POSITION, {}
        health = self.health(account, price)
        if not health < 1.0:
            return NOT_LIQUIDATABLE, {}
        repaid = closable(health, balance * price, owed, 1.0, owed, *self.limits())
        if to_repay < repaid * (1.0 - ROUNDING):
            repaid = to_repay
        repaid = min(repaid, coverable(balance, price, 1.0, bonus))
        gross = seized(repaid, balance, price, 1.0, bonus)
        if repaid < owed and gross < balance and dust(owed - repaid, (balance - gross) * price, self.terms.minimum_leftover):
            return DUST, {}
        if keeper.usd < repaid:
            return INSUFFICIENT_FUNDS, {}
        share = protocol_share(gross, bonus, self.eth.protocol_fee)
        taken, paid = gross if gross < balance else balance, repaid / self.index if repaid < owed else scaled
        self.supply[account] -= taken
        self.debt[account] -= paid
        self.supplied -= taken
        self.borrowed -= paid
        self.dollars += repaid
        self.share += gross - (gross - share)
        self.set_rate()
        if not (self.debt[account] > 0.0 and self.health(account, price) < 1.0):
            self.overdue.discard(account)
        keeper.usd -= repaid
        keeper.eth += gross - share
        return 0, {
            "repaid": repaid, "seized": gross, "repaid_value": repaid, "seized_value": gross * price, "protocol_fee": share * price,
            "health_factor": health, "got": gross - share,
        }  # fmt: skip
