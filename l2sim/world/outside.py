"""Outside: a venue beyond the chains where the price is made, and where trades of this run move it."""

from math import copysign, exp
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from l2sim.events import OutsideTraded
from l2sim.events.bridging import FundsCarried
from l2sim.units import MINUTE, Duration, Fraction, NotNegative, Positive, Usd, Volatility
from l2sim.world import Chain
from l2sim.world.chain import LiveChain

if TYPE_CHECKING:
    from l2sim.world.l1 import LiveL1
    from l2sim.world.world import World

ONE_PERCENT = 0.01
LEAST = 0.01


class Outside(Chain):
    """A deep venue off-chain. Trades move its price by a concave function of their notional, and the move decays.

    The index of an asset is its outside path times 1 + impact. Signed notional, counted at the unimpacted price and in
    units of ``depth``, adds up to a flow X; impact = 1 % x sign(X) |X|^exponent, and a trade pays the average along the way.
    """

    trades: ClassVar[bool] = False

    depth: Annotated[Usd, Positive] = 40e6
    """Notional that moves the price by 1 % (the usual measure of depth)."""
    exponent: Annotated[Fraction, Positive] = 0.5
    """Power of notional in the impact: 0.5 is the square-root law, 1 is linear."""
    recovery: Duration | Literal["never"] = 10 * MINUTE
    """Time in which an impact decays to 1/e of itself; 'never' makes it permanent."""
    thinning: Annotated[Fraction, NotNegative] = 0.0
    """How depth thins with volatility: depth x (reference volatility / volatility)^thinning when volatility is above it."""
    reference_volatility: Annotated[Volatility, Positive] = 0.6
    """Volatility at which the depth is the stated one."""
    fee: Annotated[Fraction, NotNegative] = 0.0
    """Fee on the notional of each trade, kept by the venue."""
    impact: Literal["trades", "none"] = "trades"
    """Whether trades move the price; 'none' is the counterfactual in which the loop is open."""

    def start(self, name: str, world: "World") -> "LiveOutside":
        return LiveOutside(self, name, world)


class LiveOutside(LiveChain):
    """The venue in a run: the flow that each price remembers."""

    def __init__(self, rules: Outside, name: str, world: "World") -> None:
        super().__init__(rules, name, world)
        self.rules = rules
        self.account = world.ledger.open(name, rules.kind, "chains").start
        self._flow: dict[str, tuple[float, int]] = {}

    def flow(self, price: str) -> float:
        """The remembered flow X now, in units of depth."""
        flow, since = self._flow.get(price, (0.0, 0))
        if flow and self.rules.recovery != "never":
            # Impact goes as X^exponent; for it to decay with the stated time, X decays faster by 1/exponent.
            flow *= exp(-(self.world.clock.now - since) / (self.rules.recovery * self.rules.exponent))
        return flow

    def _impact(self, flow: float) -> float:
        return copysign(ONE_PERCENT * abs(flow) ** self.rules.exponent, flow)

    def moves(self, price: str) -> bool:
        """Whether trades move that price."""
        return self.rules.impact == "trades" and not self.world.prices.parts[price].contains_impact

    def factors(self, price: str, times: Any) -> Any:
        """What the path will be multiplied with at several times, should nobody trade before."""
        if price not in self._flow:
            return 1.0
        made = []
        for time in times.tolist():
            with self.world.clock.at(time):
                made.append(self.factor(price))
        return np.array(made)

    def factor(self, price: str) -> float:
        """What the path is multiplied with to give the index now."""
        if price not in self._flow:
            return 1.0
        return max(LEAST, 1.0 + self._impact(self.flow(price)))

    def trade(self, price: str, quantity: float, account: int) -> float:
        """Buy ``quantity`` units (sell where negative) for an account; returns what was paid in US dollars, fee included."""
        path = self.world.prices.path(price)
        factor = 1.0
        if self.moves(price):
            before = self.flow(price)
            after = before + quantity * path / self._depth(price)
            self._flow[price] = (after, self.world.clock.now)
            self.world.prices.moved(price)
            if after != before:
                power = self.rules.exponent + 1.0
                area = ONE_PERCENT * (abs(after) ** power - abs(before) ** power) / power
                factor = max(LEAST, 1.0 + area / (after - before))
        cost = quantity * path * factor
        cost += abs(cost) * self.rules.fee
        self.exchange(price, quantity, cost, account)
        self.world.record(OutsideTraded(self.name, price, account, quantity, cost, self.factor(price) - 1.0))
        return cost

    def exchange(self, price: str, quantity: float, cost: float, account: int) -> None:
        """Hand over units against US dollars, without any effect on the price."""
        state = self.state
        dollars, units = state.purses[state.purse("usd")], state.purses[state.purse(price)]
        dollars[account] -= cost
        dollars[self.account] += cost
        units[account] += quantity
        units[self.account] -= quantity

    def carry(self, l1: "LiveL1", asset: str, amount: float, account: int) -> None:
        """Hand units to an account on an L1 out of what it holds here, or take them from there (amount < 0)."""
        here = self.state.purses[self.state.purse(asset)]
        here[account] -= amount
        here[self.account] += amount
        l1.pay(asset, self.account, -amount)
        l1.pay(asset, account, amount)
        self.world.record(FundsCarried(l1.name, account, asset, amount))

    def _depth(self, price: str) -> float:
        if not self.rules.thinning:
            return self.rules.depth
        excess = max(1.0, self.world.prices.volatility(price) / self.rules.reference_volatility)
        return float(self.rules.depth * excess**-self.rules.thinning)
