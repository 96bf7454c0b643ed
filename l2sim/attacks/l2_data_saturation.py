"""L2 data saturation."""

from typing import Annotated

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import ETH, Bytes, Positive, Wei
from l2sim.world.seat import AttackSeat, Waiting


class L2DataSaturation(Attack):
    """Somebody fills a rollup's blocks with random bytes, so that its batches need more blobs than L1 takes.

    The rollup's own poster then saturates L1, at the rollup's expense; what the attacker pays are the rollup's fees. Chaliasos et
    al. 2025, arXiv 2509.17126, find that this delays finality 1.45 to 2.73 times as long as filling L1's blobs for the same money.
    """

    market: Annotated[str, Refers("markets")]
    """The market on the rollup whose contract its transactions call, in vain."""
    budget: Annotated[Wei, Positive]
    """Ether it brings to the rollup; when that is spent, it is over."""
    size: Annotated[Bytes, Positive] = 30_000
    """Bytes of one of its transactions at most: nodes relay up to 128 KiB (go-ethereum core/txpool, read 2026), but smaller ones fill
    blocks whose data footprint is limited, as those of OP chains since Jovian (assumed); never more than a block has room for."""
    gas_per_byte: Annotated[int, Field(ge=1)] = 40
    """Gas that a byte of its calldata costs: 40 a nonzero one under the floor of EIP-7623."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a block's gas that it fills, dimensionless."""
    tip: Wei = 0
    """Priority fee, wei per gas; those who offer more are served before it."""

    def strike(self, me: AttackSeat) -> None:
        me.fund(me.chain_of(self.market), self.budget / ETH)
        me.start(self._flood(me, me.now + self.lasts))

    def relent(self, me: AttackSeat) -> None:
        """What has been sent stays sent."""

    def _flood(self, me: AttackSeat, ends: int) -> Waiting:
        """After every block send enough for the next."""
        chain = me.chain_of(self.market)
        while me.now < ends and me.balance(chain, me.gas_token) > 0.0:
            room, (data, largest) = int(self.share * me.gas_limit(chain)), me.data_limit(chain)
            size = min(self.size, largest, (room - INTRINSIC) // self.gas_per_byte)
            if counts := me.footprint(chain):
                size = min(size, room // counts)
            gas = INTRINSIC + size * self.gas_per_byte
            # What the next block does not take is given up: the block may have shrunk.
            for _ in range(min(room // gas, -(-data // size)) if size > 0 else 0):
                me.fill(self.market, size, gas, tip=self.tip, deadline=me.now + 2 * me.block_interval(chain))
            yield me.block(chain)


INTRINSIC = 21_000
"""Gas of a transaction besides its calldata (yellow paper, G_transaction)."""
