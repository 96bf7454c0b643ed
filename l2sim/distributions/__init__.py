"""Distributions: what a crowd draws from. The verb is ``draw(rng, n)``.

The owner of a field names the dimension it needs, ``size: Annotated[Distribution, In("usd")]``; a distribution given in
another unit is refused. A bare value stands for a constant: ``2 s`` is ``{kind: constant, value: 2 s}``.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from l2sim.part import Part
from l2sim.units import Quantity


class Distribution(Part, room="distributions"):
    """A law of one positive or real number."""

    @abstractmethod
    def quantile(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The inverse of the distribution function at ``u`` in (0, 1), in base units, the shape of ``u``."""

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        """``n`` independent draws in base units, shape (n,): by inversion, so that common random numbers pair."""
        return self.quantile(np.maximum(rng.random(n), 2.0**-54))  # 0 itself would be a quantile at minus infinity

    def expectation(self) -> float:
        """The mean in base units; by quadrature over quantiles where a kind does not know better."""
        return float(self.quantile((np.arange(4096) + 0.5) / 4096).mean())

    @classmethod
    def _shorthand(cls, value: Any) -> dict[str, Any] | None:
        return {"kind": "constant", "value": value} if isinstance(value, str | int | float) else None


def In(dimension: str) -> AfterValidator:
    """Annotation for a field: the distribution's quantities must be of this dimension (0 fits all), and none negative."""

    def check(distribution: Distribution) -> Distribution:
        for name in type(distribution).model_fields:
            value = getattr(distribution, name)
            for quantity in value if isinstance(value, tuple) else (value,):
                if isinstance(quantity, Quantity) and float(quantity) and quantity.dimension != dimension:
                    raise PydanticCustomError(
                        "unit",
                        "'{name}' of this distribution must be given in units of {wanted}, not of {found}",
                        {"name": name, "wanted": dimension, "found": quantity.dimension},
                    )
        if distribution.quantile(np.array([2.0**-54]))[0] < 0.0:
            raise PydanticCustomError("range", "this distribution must not give negative numbers")
        return distribution

    return AfterValidator(check)
