"""Fast withdrawals: providers who pay withdrawals on L1 out of their own money, for a fee, and own them from then on."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from simpy.events import Event

from l2sim.events.bridging import WithdrawalAdvanced
from l2sim.streams import mix
from l2sim.world.assertions import Bell

if TYPE_CHECKING:
    from l2sim.world.bridge import LiveBridge
    from l2sim.world.history import Replica


class Offer(NamedTuple):
    """What a provider wants for paying a withdrawal at once, in units of the bridge's asset."""

    provider: int
    """Its account."""
    share: float
    """Of the amount."""
    slope: float
    """Of the amount, for each unit of it: what a large one costs more."""
    fixed: float
    """Whatever the amount: what it pays L1."""
    most: float
    """The largest amount."""

    def fee(self, amount: float) -> float:
        """What it keeps of an amount."""
        return self.fixed + amount * (self.share + self.slope * amount)


class Sale(NamedTuple):
    """A withdrawal that a provider has taken on."""

    number: int
    account: int
    """Who withdrew it."""
    amount: float
    fee: float
    time: int
    """Of its block (ns), as its owner says."""
    assertion: int
    """The assertion that its owner says it is in; -1 where it is in the state that everybody sees."""
    replica: "Replica | None"
    """What its owner shows to prove that."""
    answered: Event
    """Whether it was paid."""


class Desk:
    """What a provider has on offer at a bridge, and what was taken of it."""

    def __init__(self, account: int, bell: Bell) -> None:
        self.account = account
        self.offer: Offer | None = None
        self.bell = bell
        self.sold: deque[Sale] = deque()
        """What it has not looked at yet."""
        self.bound = 0.0
        """What it has promised and not paid out yet."""

    def ask(self, share: float, slope: float, fixed: float, most: float) -> None:
        """Offer to pay withdrawals up to ``most`` for a fee, see Offer, until something else is offered."""
        self.offer = Offer(self.account, share, slope, fixed, most)

    def refuse(self) -> None:
        """Offer nothing."""
        self.offer = None


class FastWithdrawals:
    """The offers at one bridge, and who owns the withdrawals that were advanced."""

    def __init__(self, bridge: "LiveBridge") -> None:
        self.bridge = bridge
        self.desks: dict[int, Desk] = {}
        self.holders: dict[tuple[int, int], int] = {}
        """Who is paid in place of the owner, by number and owner."""

    def desk(self, account: int) -> Desk:
        """The desk of a provider, opened when it first asks."""
        return self.desks.setdefault(account, Desk(account, Bell(self.bridge.chain.world.clock)))

    def offers(self) -> list[Offer]:
        """All that is on offer, in the order in which providers opened."""
        return [desk.offer for desk in self.desks.values() if desk.offer is not None]

    def cheapest(self, amount: float, key: int) -> Offer | None:
        """The cheapest offer for an amount, among equals a fair one; None where nobody takes it, or it is worth no more than its fee."""
        fit = [offer for offer in self.offers() if amount <= offer.most and offer.fee(amount) < amount]
        world = self.bridge.chain.world
        return min(fit, key=lambda offer: (offer.fee(amount), mix(key, int(world.identities[offer.provider]))), default=None)

    def sell(self, provider: int, sale: Sale) -> None:
        """Take an offer up; the provider has the money bound from now on."""
        desk = self.desks[provider]
        if desk.offer is not None:
            desk.offer = desk.offer._replace(most=desk.offer.most - sale.amount)
        desk.bound += sale.amount - sale.fee
        desk.sold.append(sale)
        desk.bell.ring()

    def close(self, provider: int, sale: Sale, paid: bool) -> None:
        """Tell who sold whether it was paid."""
        self.desks[provider].bound -= sale.amount - sale.fee
        clock = self.bridge.chain.world.clock
        clock.wake(sale.answered, clock.now, mix(sale.number, sale.account), paid)

    def advance(self, provider: int, sale: Sale, cost: float) -> bool:
        """On L1: the provider pays, and owns the withdrawal; whether it had the money and nobody else was first."""
        bridge, key = self.bridge, (sale.number, sale.account)
        asset, world = bridge.rules.asset, bridge.chain.world
        net = sale.amount - sale.fee
        if key in bridge.paid or key in self.holders or world.ledger.column(bridge.l1.name, asset)[provider] < net:
            return False
        self.holders[key] = provider
        bridge.remember(lambda: self.holders.pop(key, None))
        bridge.l1.pay(asset, provider, -net)
        bridge.l1.pay(asset, sale.account, net)
        valid = int(bridge.exists(sale.number, sale.account, sale.amount))
        world.record(WithdrawalAdvanced(bridge.name, sale.account, sale.number, provider, sale.amount, sale.fee, valid, cost))
        return True
