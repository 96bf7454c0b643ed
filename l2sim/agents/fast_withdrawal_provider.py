"""A provider of fast withdrawals."""

from typing import Annotated, Any

from l2sim.agents import Agent, Waiting
from l2sim.part import Refers
from l2sim.units import DAY, ETH, GWEI, MINUTE, YEAR, Duration, Fraction, NotNegative, Positive, Share, Usd, Wei, Yearly
from l2sim.world.seat import Seat


class FastWithdrawalProvider(Agent):
    """Pays withdrawals on L1 out of its own money, for a fee, and collects them when they are due.

    What a withdrawal costs it, as a share of the amount: ``rate`` for the time that it expects to wait; the probability that the
    withdrawal is never paid; and ``inventory`` for the part of its capital that will be out with this one. L1's gas comes on top. It
    asks ``markup`` more than that where nobody asks less, undercuts whoever does, and stops at its cost. It takes on what its free
    capital covers, and nothing where it has none.
    """

    market: Annotated[str, Refers("markets", offers=("withdraw",))]
    """The bridge."""
    capital: Annotated[Usd, Positive] = 1e6
    """US dollars, or the bridge's asset for as much, that it brings to L1."""
    rate: Annotated[Yearly, NotNegative] = 0.1
    """What its capital earns elsewhere (assumed)."""
    expected_delay: Annotated[Duration, Positive] = 7 * DAY
    """How long it expects to wait for its money (OP Mainnet: a proof matures in 7 d)."""
    risk: Annotated[Fraction, Share] = 0.0
    """Probability, as it reckons, that a withdrawal is never paid: that its assertion fails, or its state is bad (assumed)."""
    inventory: Annotated[Fraction, NotNegative] = 0.0
    """What it charges when all of its capital is out; in proportion where a part is (assumed)."""
    markup: Annotated[Fraction, NotNegative] = 0.0
    """What it adds to its cost where nobody undercuts it, as a share of the cost."""
    undercut: Annotated[Fraction, NotNegative] = 1e-6
    """By how much it undercuts the cheapest other one, as a share of the amount."""
    largest: Annotated[Usd, Positive] | None = None
    """The largest withdrawal that it takes on; without it, what its capital covers."""
    verifies: bool = True
    """Whether it executes the rollup's blocks and declines what they do not give; else it believes what it is shown."""
    attention: Annotated[Duration, Positive] = 10 * MINUTE
    """How often it looks at what others offer."""
    tip: Wei = 2 * GWEI
    """Priority fee on L1, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings to L1 for fees."""

    def arrive(self, me: Seat) -> None:
        l1 = me.bridge(self.market).l1
        me.endow(l1, me.underlying(self.market), self.capital / self._price(me))
        me.endow(l1, me.gas_token, self.gas / ETH)

    def _price(self, me: Seat) -> float:
        asset = me.underlying(self.market)
        return 1.0 if asset == "usd" else me.price(asset)

    def run(self, me: Seat) -> Waiting:
        gate = me.bridge(self.market)
        desk, sold = gate.desk(), gate.sold()
        capital = me.balance(gate.l1, me.underlying(self.market))
        while True:
            self._ask(me, desk, capital)
            yield me.any(sold, me.sleep(self.attention))
            if sold.triggered:
                sold = gate.sold()
            while desk.sold:
                sale = desk.sold.popleft()
                if self.verifies and not gate.shows(sale):
                    gate.decline(sale)
                else:
                    me.start(gate.advance(sale, self.tip))

    def _ask(self, me: Seat, desk: Any, capital: float) -> None:
        """Ask what it wants now; nothing where all of its capital is out."""
        gate = me.bridge(self.market)
        free = me.balance(gate.l1, me.underlying(self.market)) - desk.bound
        if free <= 0.0:
            desk.refuse()
            return
        out = max(0.0, 1.0 - free / capital)
        cost = self.rate * self.expected_delay / YEAR + self.risk + self.inventory * out
        others = [offer.share for offer in gate.offers() if offer.provider not in me.accounts]
        share = max(cost, min(cost * (1.0 + self.markup), min(others, default=1.0) - self.undercut))
        most = free if self.largest is None else min(free, self.largest / self._price(me))
        desk.ask(share, self.inventory / capital, self._gas(me) / self._price(me), most)

    def _gas(self, me: Seat) -> float:
        """What it will pay for gas, at today's base fee (USD): to pay, to prove, to be paid."""
        rules, l1 = me.rules(self.market), me.bridge(self.market).l1
        per_gas, _, ether, *_ = me.charges(l1)
        return float((rules.advance_gas + rules.proof_gas + rules.payment_gas) * (per_gas + self.tip / ETH) * ether)
