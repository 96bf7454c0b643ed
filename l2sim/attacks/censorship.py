"""Censorship by the sequencer."""

from collections.abc import Collection
from typing import Annotated

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from l2sim.attacks import Attack
from l2sim.part import MarketName, Refers
from l2sim.world.seat import AttackSeat


class Censorship(Attack):
    """The sequencer leaves out the transactions of some agents, or certain actions; everything else goes on in honest order.

    What it left out waits; when the attack ends, it is taken in the order of arrival, unless its sender gave up. Who sends through
    L1 instead is left out as long as the rollup's forced inclusion lets the sequencer do that.
    """

    on: Annotated[str, Refers("chains", kind="rollup")]
    """The rollup whose sequencer censors."""
    agents: tuple[Annotated[str, Refers("agents")], ...] = ()
    """Agents whose transactions are left out; without any, everybody's."""
    markets: tuple[MarketName, ...] = ()
    """Markets whose transactions are left out; without any, those of all markets."""
    actions: tuple[str, ...] = ()
    """Actions that are left out, such as ``liquidate``; without any, all."""
    through_l1: bool = True
    """Whether it leaves out what comes through L1 too, as long as it may."""
    stubborn: bool = False
    """Whether it goes on where the rules then allow its blocks nothing else, which stops the rollup for everybody."""

    @model_validator(mode="after")
    def _censors(self) -> "Censorship":
        if not (self.agents or self.markets or self.actions):
            raise PydanticCustomError("nothing_censored", "this attack leaves nothing out: name 'agents', 'markets' or 'actions'")
        return self

    def strike(self, me: AttackSeat) -> None:
        accounts: Collection[range] = [me.accounts_of(name) for name in self.agents]

        def unwanted(sender: int, market: str, action: str) -> bool:
            theirs = not accounts or any(sender in own for own in accounts)
            return theirs and (not self.markets or market in self.markets) and (not self.actions or action in self.actions)

        me.censor(self.on, unwanted, forced=self.through_l1, stubborn=self.stubborn)

    def relent(self, me: AttackSeat) -> None:
        me.censor(self.on, None)
