"""A rebalancer: moves its owner's inventory between a rollup and the venue outside, through the rollup's bridge."""

from collections.abc import Collection
from typing import Annotated, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.transactions import Status
from l2sim.units import DAY, ETH, MINUTE, YEAR, Duration, NotNegative, Positive, Usd, Wei, Yearly
from l2sim.world.seat import Seat

Away = dict[str, float]
"""Units of each asset that are on the way, which nobody can use meanwhile."""


class Rebalancer(Agent):
    """Keeps what it holds of a bridge's asset on the rollup between two bounds. By itself, it looks after its own money.

    Liquidators have it for theirs (``rebalance``). Too much on the rollup goes through the bridge to L1 and on to the venue; too little
    comes the other way, as far as it has money there that no position owes. What is on the way is of no use to anybody.
    """

    bridge: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge, whose asset it moves."""
    low: Annotated[Usd, NotNegative] = 0.0
    """What it holds on the rollup, worth in US dollars, below which it brings some in."""
    target: Annotated[Usd, NotNegative] = 0.0
    """What it then wants to hold there."""
    high: Annotated[Usd, NotNegative] | None = None
    """What it holds there above which it sends what is above ``target`` out; without it, nothing goes out."""
    margin: Annotated[str, Refers("markets", offers=("deposit", "quote"))] | None = None
    """A perpetual in which its owner makes a market: what the owner has there counts, and what goes out and comes in is margin of it."""
    venue_delay: Duration = 10 * MINUTE
    """How long the venue takes between its books and L1, either way (assumed)."""
    urgency: Annotated[Yearly, NotNegative] = 0.0
    """What a year of waiting is worth to it, as a share of the amount: it sells a withdrawal where a provider takes less."""
    expected_delay: Annotated[Duration, Positive] = 7 * DAY
    """How long it expects to wait for a withdrawal otherwise."""
    attention: Annotated[Duration, Positive] = 1 * MINUTE
    """How often it looks."""
    capital: Annotated[Usd, NotNegative] = 0.0
    """US dollars, or the asset for as much, that it brings to the rollup where it is by itself."""
    outside_capital: Annotated[Usd, NotNegative] = 0.0
    """The same, to the venue."""
    gas: Wei = ETH
    """Ether that it brings to L1 for fees, and by itself to the rollup too."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.high is not None and not self.low <= self.target <= self.high:
            raise PydanticCustomError("bounds", "'target' lies between 'low' and 'high': give three amounts in this order")
        if self.low > self.target:
            raise PydanticCustomError("bounds", "'target' is at least 'low': it is what it brings its holding to")
        return self

    def arrive(self, me: Seat) -> None:
        chain, asset = me.chain_of(self.bridge), me.underlying(self.bridge)
        self.equip(me)
        me.endow(chain, me.gas_token, self.gas / ETH)
        me.endow(chain, asset, self.capital / self._price(me))
        me.endow(me.venue(), asset, self.outside_capital / self._price(me))

    def equip(self, me: Seat) -> None:
        """Bring what it needs on L1; its owner does the rest."""
        me.endow(me.bridge(self.bridge).l1, me.gas_token, self.gas / ETH)

    def _price(self, me: Seat) -> float:
        asset = me.underlying(self.bridge)
        return 1.0 if asset == "usd" else me.price(asset)

    def run(self, me: Seat) -> Waiting:
        yield from self.move(me, {})

    def move(self, me: Seat, away: Away, positions: Collection[str] = ()) -> Waiting:
        """Look after the inventory of whoever's seat it is.

        Args:
            me: the owner's seat.
            away: kept up to date with what is on the way.
            positions: assets in which the owner has positions at the venue, for which its money there is a pledge.
        """
        chain, asset = me.chain_of(self.bridge), me.underlying(self.bridge)
        coming: Away = {}
        while True:
            price, held = self._price(me), me.balance(chain, asset) + self._pledged(me)
            worth = (held + coming.get(asset, 0.0)) * price
            if self.high is not None and held * price > self.high:
                yield from self._send(me, held - self.target / price, away)
            elif worth < self.low:
                amount = min((self.target - worth) / price, self._free(me, asset, positions))
                if amount * price > 0.01:
                    me.start(self._fetch(me, amount, away, coming))
            yield me.sleep(self.attention)

    def _pledged(self, me: Seat) -> float:
        """US dollars that its owner has in the perpetual."""
        return 0.0 if self.margin is None else float(me.view(self.margin).inventory(me.accounts[0]).equity)

    def _free(self, me: Seat, asset: str, positions: Collection[str]) -> float:
        """Units that it can take from the venue without owing anything there."""
        venue, price = me.venue(), self._price(me)
        names = dict.fromkeys(("usd", asset, *positions))
        equity = sum(me.balance(venue, one) * (1.0 if one == "usd" else me.price(one)) for one in names)
        return max(0.0, min(me.balance(venue, asset), equity / price))

    def _fetch(self, me: Seat, amount: float, away: Away, coming: Away) -> Waiting:
        """From the venue to L1, and from there to the rollup."""
        gate, asset = me.bridge(self.bridge), me.underlying(self.bridge)
        away[asset] = away.get(asset, 0.0) + amount
        coming[asset] = coming.get(asset, 0.0) + amount
        me.remit(gate.l1, asset, amount)
        yield me.sleep(self.venue_delay)
        credited = yield gate.deposit(amount)
        if credited and self.margin is not None:
            me.submit(self.margin, "deposit", amount)
        away[asset] -= amount
        coming[asset] -= amount

    def _send(self, me: Seat, amount: float, away: Away) -> Waiting:
        """From the rollup to L1, and from there to the venue; comes back once the rollup has it in a block."""
        asset = me.underlying(self.bridge)
        if self.margin is not None:
            taken = yield me.receipt(me.submit(self.margin, "withdraw", amount, wait=True))
            if taken.status != Status.SUCCEEDED:
                return
        receipt = yield me.receipt(me.submit(self.bridge, "withdraw", amount, wait=True))
        if receipt.status == Status.SUCCEEDED:
            away[asset] = away.get(asset, 0.0) + amount
            me.start(self._receive(me, int(receipt.x), amount, away))

    def _receive(self, me: Seat, number: int, amount: float, away: Away) -> Waiting:
        gate, asset, since = me.bridge(self.bridge), me.underlying(self.bridge), me.now
        offer = gate.cheapest(amount)
        paid, fee = False, 0.0
        if offer is not None and offer.fee(amount) < amount * self.urgency * self.expected_delay / YEAR:
            fee = offer.fee(amount)
            paid = yield gate.sell(offer, number, amount, since)
        if not paid:
            fee = 0.0
            yield from gate.collect(number, me.accounts[0], since)
        yield me.sleep(self.venue_delay)
        arrived = min(amount - fee, me.balance(gate.l1, asset))
        me.remit(gate.l1, asset, -arrived)
        away[asset] -= amount
