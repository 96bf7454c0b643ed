"""Simple consensus."""

from typing import Annotated, NamedTuple

from l2sim.consensus import Closed, Consensus, Ended
from l2sim.units import Fraction, Share


class Epochs(NamedTuple):
    """The last two epochs."""

    before: bool
    """Whether the epoch before the last was justified."""
    last: bool
    """Whether the last was."""


class Simple(Consensus):
    """Each epoch is justified with a probability, on its own; two in a row finalize the former. Nobody in particular votes or proposes."""

    justification: Annotated[Fraction, Share] = 1.0
    """Probability that an epoch gathers the two thirds of stake that justify it."""

    def genesis(self) -> Epochs:
        return Epochs(before=True, last=True)

    def close(self, state: Epochs, ended: Ended) -> Closed:
        after = Epochs(before=state.last, last=ended.luck < self.justification)
        if not after.last:
            return Closed(after)
        return Closed(after, justified=ended.number, finalized=ended.number - 1 if after.before else None)
