"""First come, first served."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.ordering import Ordering, Pending


class FirstComeFirstServed(Ordering):
    """In the order of arrival at the sequencer, simultaneous ones by their seeded keys; what waits is private."""

    by_arrival: ClassVar[bool] = True

    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.lexsort((pending.tie, pending.arrives))
