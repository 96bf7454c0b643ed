"""Batch poster: puts the rollup's blocks on L1 and pays for it."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.availability import Availability, Carried
from l2sim.availability.blobs import Blobs
from l2sim.availability.calldata import Calldata
from l2sim.events.availability import ChannelTimedOut
from l2sim.fees.blob import GAS_PER_BLOB
from l2sim.fees.eip1559 import CALLDATA_FLOOR, TRANSACTION_GAS, transaction_gas
from l2sim.posting import Look, Offer, Posting, Terms
from l2sim.posting.size_or_age import SizeOrAge
from l2sim.transactions import ANY_FEE
from l2sim.units import ETH, GWEI, HOUR, MINUTE, SECOND, Bytes, Duration, Fraction, Gas, Positive, Share, Wei
from l2sim.world.seat import Seat


class BatchPoster(Agent):
    """Posts a batch when its policy says so, offers more the longer it waits, one batch at a time.

    By default a batch goes when it fills its blobs or grows old, and the fee caps rise with the square of the age of the oldest unposted
    block: cap = target x (1 + age / urgency)^2 (assumed). The policy ``backlog_and_urgency`` has the formula of Arbitrum Nitro instead,
    ``op_channels`` the channels of the OP Stack.
    """

    roles: ClassVar[tuple[str, ...]] = ("batch_poster",)

    blobs: Annotated[int, Field(ge=1)] = 3
    """Blobs that make a batch full, unless ``full`` says otherwise."""
    max_delay: Annotated[Duration, Positive] = HOUR
    """Age of the oldest block at which a batch is posted though it is not full."""
    poll: Annotated[Duration, Positive] = 10 * SECOND
    """How often it looks, by a clock of its own that L1 does not set."""
    gas: Gas = 170_000
    """Execution gas of a batch on L1."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers at first, wei per gas; doubled for every ``bump`` that it waits in vain."""
    bump: Annotated[Duration, Positive] = 5 * MINUTE
    """How long it waits for inclusion before it raises its offer, for all transactions of a batch that L1 has not included by then."""
    target_fee: Wei = 60 * GWEI
    """Execution fee per gas that it finds normal."""
    target_blob_fee: Wei = 20 * GWEI
    """Blob fee per gas that it finds normal; above its cap it waits, and the rollup's backlog grows."""
    urgency: Annotated[Duration, Positive] = 10 * MINUTE
    """Age at which the caps are four times the targets."""
    funds: Wei = 100 * ETH
    """Ether that it brings to L1, and all that it ever has there: a batch that costs more than what is left waits until it costs less."""
    fill: Annotated[Fraction, Positive, Share] = 1.0
    """Share of its blobs' bytes that it uses."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.duty.settles_on, me.gas_token, self.funds / ETH)

    policy: Posting = SizeOrAge()
    """When it posts, in which pieces, and what it offers."""
    data: Literal["blobs", "calldata", "cheaper"] | None = None
    """Where it puts data that go to L1: always there, or where they cost less at the fees of the day; without it, as the rollup's
    ``availability`` says."""
    full: Annotated[Bytes, Positive] | None = None
    """Bytes that make a batch full; without it, what its blobs hold (100 kB of calldata on Arbitrum, 120 kB on OP chains)."""
    zeros: Annotated[Fraction, Share] = 1 / 256
    """Share of zero bytes in calldata, which cost a quarter; as in random bytes, to which compressed ones come near."""
    calldata_floor: bool | None = None
    """Whether calldata costs at least 10 gas a token, four of which are a byte that is not zero (EIP-7623); without it, as the fork of
    L1's next block says, which is yes since Prague."""

    @model_validator(mode="before")
    @classmethod
    def _taken_back(cls, value: Any) -> Any:
        """``null`` takes back what is inherited, so that another policy need not read it."""
        return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _is_heard(self) -> Self:
        """Nothing is set that its policy does not read; where everything is set, as in a resolved scenario, nothing to another value."""
        fields, written = type(self).model_fields, self.model_fields_set
        whole = all(name in written or field.default is None for name, field in fields.items())
        for name, own in self.policy.instead.items():
            if getattr(self, name) != fields[name].default or (name in written and not whole):
                raise PydanticCustomError(
                    "unread",
                    "the policy '{kind}' does not read '{name}': set 'policy.{own}' instead, or choose another policy; '{name}: null' "
                    "takes back what is inherited",
                    {"kind": self.policy.kind, "name": name, "own": own},
                )  # fmt: skip
        if self.tip != type(self).model_fields["tip"].default:
            self.policy.allows(self.tip)
        return self

    def run(self, me: Seat) -> Waiting:
        duty, policy = me.duty, self.policy
        terms = self._terms(me.block_interval(duty.settles_on), partial(self._cost, me))
        plan = policy.prepare(terms)
        while True:
            earliest = yield duty.ripe(*policy.ripe(terms, plan))
            yield me.sleep_until(-(-earliest // self.poll) * self.poll)
            oldest = duty.oldest()
            if oldest is None or duty.withholds:
                continue
            look = self._look(me, oldest)
            if policy.posts(look, terms, plan):
                batch = duty.batch(policy.most(look, terms))
                yield from self._certify(me, batch)
                yield from self._post(me, terms, batch, oldest, policy.pieces(batch[2], look, terms))

    def _post(self, me: Seat, terms: Terms, batch: tuple[int, int, int], oldest: int, pieces: list[int]) -> Waiting:
        """Put all pieces of a batch on L1; again where that took too long for the first ones to count."""
        duty, policy, began = me.duty, self.policy, me.now
        while True:
            loads = [self._load(me, size) for size in pieces]
            offers: list[Offer | None] = [None] * len(loads)
            sent: dict[int, Any] = dict.fromkeys(range(len(loads)))
            held: dict[int, Any] = {}
            attempt = 0
            while sent:
                look, stands = self._look(me, oldest), attempt > 0
                for piece, waits in sent.items():
                    blobs, gas = loads[piece]
                    offer = policy.offer(look._replace(blobs=blobs, gas=gas), terms, offers[piece])
                    if waits is not None:
                        if offer == offers[piece]:
                            continue
                        me.withdraw_blobs(waits)
                    offers[piece], stands = offer, False
                    sent[piece] = me.post_blobs(blobs, gas, offer.tip, offer.cap, offer.blob_cap if blobs else ANY_FEE)
                look = look._replace(blobs=max(blobs for blobs, _ in loads))
                ends = me.sleep(policy.patience(attempt, look, terms, stands))
                while sent and not ends.processed:  # one piece's inclusion is no reason to offer more for the others
                    yield me.any(*sent.values(), ends)
                    for piece, included in list(sent.items()):
                        if included.triggered:
                            yield included
                            held[piece] = sent.pop(piece)
                    for piece, included in list(held.items()):
                        held[piece] = again = me.again(included)
                        if not again.triggered:
                            sent[piece] = held.pop(piece)  # its block was undone
                attempt += 1
            told = [included.value for included in held.values()]
            slots, cost = [slot for slot, _, _ in told], sum(cost for _, cost, _ in told)
            lasts = policy.lasts(terms)
            if lasts is None or max(slots) - min(slots) <= lasts:
                break
            me.announce(ChannelTimedOut(duty.name, batch[0], batch[1], max(slots) - min(slots), cost))
        parts = [(submitted, slot, cost) for slot, cost, submitted in told]
        duty.posted(batch, sum(blobs for blobs, _ in loads), began, max(slots), cost, parts)

    def _certify(self, me: Seat, batch: tuple[int, int, int]) -> Waiting:
        """Have a committee store a batch and sign for it, where there is one."""
        availability = me.duty.availability
        if asked := availability.asked():
            yield me.sleep(availability.certified(me.rng("committee", batch[0]).random(asked)))
            cost = availability.cost(batch[2])
            while cost > round(me.balance(me.duty.settles_on, me.gas_token) * ETH):
                yield me.sleep(self.bump)
            me.duty.pay_committee(me.accounts.start, cost)

    # ---- what things cost

    def heaviest(self, availability: Availability, slot: int, floor: int) -> list[tuple[int, int]]:
        """Blobs and execution gas of the largest transaction that it makes of a full batch, each way in which it may carry the data.

        Args:
            availability: where the rollup's data are.
            slot: time between L1's blocks (ns).
            floor: gas that a token of calldata costs at least under the fork in force; 0 is no floor.
        """
        terms, look = self._terms(slot), Look(0, 0, 0)
        return self._ways(availability, max(self.policy.pieces(self.policy.most(look, terms), look, terms)), floor)

    def _terms(self, slot: int, cost: Callable[[int, int, int], int] | None = None) -> Terms:
        room = self._room()
        full = self.blobs * room if self.full is None else self.full
        return Terms(
            full, self.max_delay, self.tip, self.bump, self.target_fee, self.target_blob_fee, self.urgency, self.gas, slot, room, cost
        )  # fmt: skip

    def whole(self, availability: Availability, slot: int, floor: int) -> tuple[int | None, list[list[tuple[int, int]]]]:
        """L1 blocks within which all transactions of a full batch must be included, if so; and blobs and execution gas of each, each way.

        Args:
            availability: where the rollup's data are.
            slot: time between L1's blocks (ns).
            floor: gas that a token of calldata costs at least under the fork in force; 0 is no floor.
        """
        terms, look = self._terms(slot), Look(0, 0, 0)
        pieces = self.policy.pieces(self.policy.most(look, terms), look, terms)
        ways = (self._ways(availability, size, floor) for size in pieces)
        return self.policy.lasts(terms), [list(way) for way in zip(*ways, strict=True)]

    def _room(self) -> int:
        """Bytes that it puts into a blob."""
        return int(Seat.blob_bytes * self.fill)

    def _look(self, me: Seat, oldest: int) -> Look:
        look = Look(me.now, oldest, me.duty.unsent_bytes())
        if not self.policy.looks:
            return look
        l1 = me.duty.settles_on
        return look._replace(base_fee=me.base_fee(l1), blob_fee=me.blob_base_fee(l1))

    def _load(self, me: Seat, size: int) -> tuple[int, int]:
        """Blobs and execution gas of a transaction with so many bytes of a batch."""
        l1 = me.duty.settles_on
        fees = (me.base_fee(l1), me.blob_base_fee(l1)) if self.data == "cheaper" else (0, 0)
        return self._weighed(me, size, *fees)

    def _weighed(self, me: Seat, size: int, base_fee: int, blob_fee: int) -> tuple[int, int]:
        """The cheapest way that a transaction of L1 may go."""
        ways = self._ways(me.duty.availability, size, me.calldata_floor(me.duty.settles_on))
        if len(ways) > 1:
            most_blobs, most_gas = me.carries(me.duty.settles_on)
            ways = [(blobs, gas) for blobs, gas in ways if blobs <= most_blobs and gas <= most_gas] or ways
        return min(ways, key=lambda load: load[1] * base_fee + load[0] * GAS_PER_BLOB * blob_fee)

    def _ways(self, availability: Availability, size: int, floor: int) -> list[tuple[int, int]]:
        """Blobs and execution gas of a transaction with so many bytes, each way in which it may carry them."""
        where: dict[str, Availability] = {"blobs": Blobs(), "calldata": Calldata()}
        if self.data is None or not availability.on_l1:
            kinds = [availability]
        else:
            kinds = list(where.values()) if self.data == "cheaper" else [where[self.data]]
        if self.calldata_floor is not None:
            floor = CALLDATA_FLOOR if self.calldata_floor else 0
        return [self._gas(kind.carried(size, self._room()), floor) for kind in kinds]

    def _gas(self, carried: Carried, floor: int) -> tuple[int, int]:
        if not carried.calldata:
            return carried.blobs, self.gas
        zeros = int(carried.calldata * self.zeros)
        return carried.blobs, transaction_gas(zeros, carried.calldata - zeros, max(0, self.gas - TRANSACTION_GAS), floor)

    def _cost(self, me: Seat, size: int, base_fee: int, blob_fee: int) -> int:
        """Wei that a batch of so many bytes costs at these fees, without a tip."""
        blobs, gas = self._weighed(me, size, base_fee, blob_fee)
        return gas * base_fee + blobs * GAS_PER_BLOB * blob_fee
