"""Prover outage."""

from typing import Annotated, ClassVar

from l2sim.attacks import Attack
from l2sim.part import Refers
from l2sim.world.seat import AttackSeat


class ProverOutage(Attack):
    """Machines of provers go down: a fault in the software that they all run, or in a data centre.

    What they were at is lost and begun anew, by others if there are any who may, else when they are back. The rollup goes on making
    blocks; what is asserted about them is not final before it is proved.
    """

    needs: ClassVar[str] = "market"

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup whose provers they are."""
    provers: Annotated[str, Refers("agents", kind="prover")]
    """The provers."""

    def strike(self, me: AttackSeat) -> None:
        contract = me.settlement(self.on).contract
        if contract is None or not hasattr(contract, "stop"):
            raise ValueError(f"nobody buys proofs for '{self.on}': give its settlement, of kind 'validity_proof', a 'market'")
        contract.stop(me.accounts_of(self.provers))

    def relent(self, me: AttackSeat) -> None:
        me.settlement(self.on).contract.restart(me.accounts_of(self.provers))
