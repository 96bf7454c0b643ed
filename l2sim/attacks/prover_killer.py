"""Prover killer."""

from typing import Annotated, ClassVar

from pydantic import Field

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.units import ETH, Bytes, Gas, Positive, Wei
from l2sim.world.seat import AttackSeat, Waiting


class ProverKiller(Attack):
    """Somebody fills a rollup's blocks with what costs little gas and many cycles to prove, so that provers fall behind.

    Provers that have a ``speed`` take longer for blocks with its transactions. Chaliasos et al. 2025, arXiv 2509.17126, delay
    finality 94 times as long by that. What the attacker pays are the rollup's fees.
    """

    needs: ClassVar[str] = "market"

    market: Annotated[str, Refers("markets")]
    """The market on the rollup whose contract its transactions call, in vain."""
    budget: Annotated[Wei, Positive]
    """Ether it brings to the rollup; when that is spent, it is over."""
    factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 94.0
    """Cycles of a gas of its transactions, relative to others' (assumed: as much as finality was delayed in the paper)."""
    gas: Annotated[Gas, Positive] = 10_000_000
    """Gas of one of its transactions at most (EIP-7825 allows 16.8 million)."""
    size: Annotated[Bytes, Positive] = 200
    """Bytes of one of its transactions (assumed)."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a block's gas that it fills, dimensionless."""
    tip: Wei = 0
    """Priority fee, wei per gas; those who offer more are served before it."""

    def strike(self, me: AttackSeat) -> None:
        chain = me.chain_of(self.market)
        contract = me.settlement(chain).contract
        if contract is None or not hasattr(contract, "heavy"):
            raise ValueError(f"nobody buys proofs for '{chain}': give its settlement, of kind 'validity_proof', a 'market'")
        contract.heavy[me.accounts.start] = self.factor
        me.fund(chain, self.budget / ETH)
        me.start(self._flood(me, me.now + self.lasts))

    def relent(self, me: AttackSeat) -> None:
        """What has been sent stays sent."""

    def _flood(self, me: AttackSeat, ends: int) -> Waiting:
        """After every block send enough for the next."""
        chain = me.chain_of(self.market)
        while me.now < ends and me.balance(chain, me.gas_token) > 0.0:
            room = int(self.share * me.gas_limit(chain))
            whole, rest = divmod(room, self.gas)
            # What the next block does not take is given up: the block may have shrunk.
            for gas in [self.gas] * whole + [rest] * (rest >= 21_000):
                me.fill(self.market, self.size, gas, tip=self.tip, deadline=me.now + 2 * me.block_interval(chain))
            yield me.block(chain)
