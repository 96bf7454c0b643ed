"""A crowd that holds leveraged positions in a perpetual; how it lives is in ``crowd``."""

from collections.abc import Iterator
from itertools import count
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.agents.crowd_of_leveraged_traders.crowd import Crowd, Decision
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import Refers
from l2sim.streams import arrivals
from l2sim.transactions import NEVER
from l2sim.units import ETH, HOUR, MINUTE, SECOND, Duration, Fraction, Frequency, NotNegative, Positive, Quantity, Share, Usd, Wei
from l2sim.world.seat import Seat

Floats = npt.NDArray[np.float64]
LAST = Decision(NEVER, 0, 0, False, 0.0, 1.0)


def uniforms(rng: np.random.Generator, n: int, spread: str) -> Floats:
    """Numbers in (0, 1), shape (n,): independent, or the midpoints of n equal strata in a random order."""
    return (rng.permutation(n) + 0.5) / n if spread == "even" else np.maximum(rng.random(n), 2.0**-54)


def margin_for(liquidation: Floats, size: Floats, entry: float, maintenance: float) -> Floats:
    """The margin with which a position is liquidated at a mark: equity m + s (L - e) is then the maintenance, μ |s| L."""
    return maintenance * np.abs(size) * liquidation - size * (liquidation - entry)


class CrowdOfLeveragedTraders(Agent):
    """Many accounts with a leveraged position each, from before the start; they have stop losses, and some come and go."""

    size: Annotated[int, Field(ge=1)] = 1000
    """Accounts, each with one position."""
    market: Annotated[str, Refers("markets", offers=("open", "close"))]
    """The perpetual."""
    long_share: Annotated[Fraction, Share] = 1.0
    """Share of the positions that are long."""
    leverage: Annotated[Distribution, In("fraction")] | None = None
    """Notional over margin (a plain number), at most what the market allows; either this or ``liquidation_price``."""
    liquidation_price: Annotated[Distribution, In("usd")] | None = None
    """Mark at which a position is liquidated, US dollars; margins follow from it. For all long or all short."""
    spread: Literal["random", "even"] = "random"
    """Whether positions at the start are drawn independently or evenly over their distributions."""
    notional: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(5000.0, "usd"), sigma=1.5)
    """Worth of a position, US dollars (assumed)."""
    units: Annotated[float, Positive] | None = None
    """Units of the base asset in each position at the start, in place of ``notional``."""
    stop_loss: Annotated[Distribution, In("fraction")] | None = None
    """Where a position is closed, as a share of the way from its entry to its liquidation price; without one, nowhere."""
    stop_share: Annotated[Fraction, Share] = 1.0
    """Share of the accounts that use stop losses."""
    rate: Annotated[Frequency, NotNegative] = 0.0
    """Decisions of the whole crowd to close a position or, without one, to open one; at random."""
    collateral: Annotated[Usd, NotNegative] = 10_000.0
    """US dollars on the chain that each account brings besides its margin, for new positions."""
    slippage: Annotated[Fraction, NotNegative] | None = 0.01
    """Worst move from the market's price when a transaction arrives that is accepted; 'null' accepts any."""
    deadline: Duration | None = None
    """How long a transaction may wait for a block; without one, for as long as it takes."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a close that reverted or was dropped is sent again, each time with a wider limit."""
    widening: Annotated[float, Field(ge=1)] = 2.0
    """What the slippage limit is multiplied with at each retry."""
    when_silent: Literal["wait", "cancel", "go_outside"] = "wait"
    """What they do with a silent chain: send all the same, send nothing until it is back, or hedge outside what they want to close."""
    patience: Annotated[Duration, Positive] = 1 * MINUTE
    """Time without a block after which the chain counts as silent."""
    attention: Annotated[Duration, Positive] = 1 * SECOND
    """How often they look."""
    tip: Annotated[Distribution, In("wei")] = Constant(value=Quantity(0.0, "wei"))
    """Priority fee, wei per gas: each account's own."""
    gas: Wei = ETH // 20
    """Ether that each account brings for fees."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "CrowdOfLeveragedTraders":
        if (self.leverage is None) == (self.liquidation_price is None):
            raise PydanticCustomError("leverage", "give either 'leverage' or 'liquidation_price', not both and not none")
        if self.liquidation_price is not None and (self.long_share not in (0.0, 1.0) or self.rate):
            raise PydanticCustomError("leverage", "with 'liquidation_price', 'long_share' must be 0 or 1 and 'rate' 0: use 'leverage'")
        return self

    def accounts(self) -> int:
        return self.size

    def arrive(self, me: Seat) -> None:
        chain, n = me.chain_of(self.market), self.size
        me.endow(chain, "usd", self.collateral)
        me.endow(chain, me.gas_token, self.gas / ETH)
        entry, terms = me.price(me.underlying(self.market)), me.view(self.market).terms
        long = uniforms(me.rng("sides"), n, self.spread) < self.long_share
        if self.units is None:
            size = self.notional.quantile(uniforms(me.rng("notionals"), n, self.spread)) / entry
        else:
            size = np.full(n, self.units)
        size = np.where(long, size, -size)
        u = uniforms(me.rng("leverages"), n, self.spread)
        if self.leverage is not None:
            margin = np.abs(size) * entry / np.minimum(self.leverage.quantile(u), 1.0 / terms.initial_margin)
        elif self.liquidation_price is not None:
            prices = self.liquidation_price.quantile(u)
            if not ((prices < entry) == long).all():
                raise ValueError(f"liquidation prices of {'longs' if long[0] else 'shorts'} must lie on the other side of {entry:g} USD")
            margin = margin_for(prices, size, entry, terms.maintenance_margin)
        me.establish(self.market, size, np.full(n, entry), margin)

    def run(self, me: Seat) -> Waiting:
        if self.stop_loss is None and not self.rate:
            return
        crowd = Crowd(self, me)
        ahead = self._decisions(me)
        decision = next(ahead, LAST)
        while True:
            due = []
            while decision.time < me.now + self.attention:
                due.append(decision)
                decision = next(ahead, LAST)
            crowd.look(due)
            yield me.sleep(self.attention)

    def _decisions(self, me: Seat) -> Iterator[Decision]:
        """What members decide at random, in the order of time; drawn for one hour after the other."""
        if self.leverage is None or not self.rate:
            return
        for chunk in count():
            rng = me.rng("decisions", chunk)
            times = arrivals(rng, self.rate, chunk * HOUR, HOUR)
            n = len(times)
            who = (rng.random(n) * self.size).astype(np.int64)
            long = rng.random(n) < self.long_share
            notional = self.notional.draw(rng, n)
            leverage = np.minimum(self.leverage.draw(rng, n), 1.0 / me.view(self.market).terms.initial_margin)
            numbers = range(chunk << 32, (chunk << 32) + n)
            yield from map(Decision, times.tolist(), numbers, who.tolist(), long.tolist(), notional.tolist(), leverage.tolist())
