"""Random ordering."""

import numpy as np
import numpy.typing as npt

from l2sim.ordering import Ordering, Pending


class Random(Ordering):
    """A fair shuffle of whatever waits when the block is made, blind to fees and arrival; what waits is private."""

    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        arrival = np.lexsort((pending.tie, pending.arrives))  # so that the row numbers do not matter
        return arrival[rng.permutation(len(arrival))]
