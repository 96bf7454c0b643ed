"""Batch poster: puts the rollup's blocks on L1 and pays for it."""

from typing import Annotated

from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.units import ETH, GWEI, HOUR, MINUTE, SECOND, Duration, Fraction, Gas, Positive, Wei
from l2sim.world.seat import Seat


class BatchPoster(Agent):
    """Posts a batch when it fills its blobs or grows old, offers more the longer it waits, one batch at a time.

    The fee caps rise with the square of the age of the oldest unposted block, after the data poster of Arbitrum Nitro
    (nitro arbnode/dataposter): cap = target x (1 + age / urgency)^2.
    """

    blobs: Annotated[int, Field(ge=1)] = 3
    """Blobs that make a batch full."""
    max_delay: Annotated[Duration, Positive] = HOUR
    """Age of the oldest block at which a batch is posted though it is not full."""
    poll: Annotated[Duration, Positive] = 10 * SECOND
    """How often it looks, by a clock of its own that L1 does not set."""
    gas: Gas = 170_000
    """Execution gas of a batch on L1."""
    tip: Wei = 2 * GWEI
    """Priority fee it offers at first, wei per gas; doubled for every ``bump`` that it waits in vain."""
    bump: Annotated[Duration, Positive] = 5 * MINUTE
    """How long it waits for inclusion before it raises its offer."""
    target_fee: Wei = 60 * GWEI
    """Execution fee per gas that it finds normal."""
    target_blob_fee: Wei = 20 * GWEI
    """Blob fee per gas that it finds normal; above its cap it waits, and the rollup's backlog grows."""
    urgency: Annotated[Duration, Positive] = 10 * MINUTE
    """Age at which the caps are four times the targets."""
    funds: Wei = 100 * ETH
    """Ether it brings to L1."""
    fill: Annotated[Fraction, Positive] = 1.0
    """Share of its blobs' bytes that it uses."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.duty.settles_on, me.gas_token, self.funds / ETH)

    def run(self, me: Seat) -> Waiting:
        duty = me.duty
        most = int(self.blobs * me.blob_bytes * self.fill)
        while True:
            earliest = yield duty.ripe(most, self.max_delay)
            yield me.sleep_until(-(-earliest // self.poll) * self.poll)
            oldest = duty.oldest()
            if oldest is None or (duty.unsent_bytes() < most and me.now - oldest < self.max_delay):
                continue
            batch = duty.batch(most)
            blobs = max(1, -(-batch[2] // int(me.blob_bytes * self.fill)))
            tip = self.tip
            while True:
                patience = (1.0 + max(0, me.now - oldest) / self.urgency) ** 2
                caps = int(self.target_fee * patience), int(self.target_blob_fee * patience)
                included = me.post_blobs(blobs, self.gas, tip, *caps)
                yield me.any(included, me.sleep(self.bump))
                if included.triggered:
                    break
                me.withdraw_blobs(included)
                tip *= 2
            slot, cost, submitted = yield included
            duty.posted(batch, blobs, submitted, slot, cost)
