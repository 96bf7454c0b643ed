"""The permissioned fault dispute game: the OP Stack's fallback."""

from typing import ClassVar

from l2sim.settlement.dispute_game import DisputeGame, Type


class Permissioned(DisputeGame):
    """The dispute game in which only the chain's proposer asserts, and only it and the appointed challenger play.

    OP Mainnet fell back to it on 16 August 2024 after audits, and came back on 11 September; withdrawals that were pending had to be
    proved again. The guardian may restore the permissionless game.
    """

    respected: ClassVar[Type] = "permissioned"
