"""First come, first served."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.ordering import Ordering, Pending


class FirstComeFirstServed(Ordering):
    """In the order of arrival at the sequencer, simultaneous ones by their seeded keys; what waits is private.

    What does not fit into a block is the first of the next, as in Nitro by the data of a block (nitro execution/gethexec/sequencer.go).
    """

    by_arrival: ClassVar[bool] = True
    passes_over: ClassVar[bool] = False

    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.lexsort((pending.tie, pending.arrives))
