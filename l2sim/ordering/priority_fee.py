"""Priority fee ordering."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.ordering import Ordering, Pending, Stage


class PriorityFee(Ordering):
    """The highest priority fee first, equal ones in the order of arrival; everybody sees what waits."""

    by_tip: ClassVar[bool] = True

    def order(self, pending: Pending, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.lexsort((pending.tie, pending.arrives, -pending.tip))

    def visible(self, viewer: str, stage: Stage) -> bool:
        return True
