"""Latin hypercube: random points that cover every factor evenly."""

import numpy as np
import numpy.typing as npt

from l2sim.designs.random import Random


class LatinHypercube(Random):
    """Random points, one in each of ``size`` equal slices of every factor (McKay, Beckman, Conover 1979, Technometrics 21)."""

    def coordinates(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        shape = (self.size, len(self.factors))
        slices = rng.permuted(np.tile(np.arange(self.size)[:, None], (1, shape[1])), axis=0)
        places: npt.NDArray[np.float64] = (slices + rng.random(shape)) / self.size
        return places
