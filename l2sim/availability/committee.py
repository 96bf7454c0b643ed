"""Data with a committee, off chain.

Source: Arbitrum's AnyTrust protocol (arbitrum-docs, how-arbitrum-works/anytrust-protocol; nitro das/): a certificate is posted in place
of the data. StarkEx validiums work alike.
"""

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.availability import Availability, Carried
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.units import MS, Bytes, Quantity, Wei


class Committee(Availability):
    """L1 gets a commitment that enough members of a committee signed; they keep the data and hand them out.

    With a threshold of k, one honest member among any k signers is enough for the data to be had. Where k members collude with the
    operator, they can sign and keep silent. A rollup's ``data_fee_scalar`` says what its users pay for data; 0 fits here.
    """

    on_l1 = False

    members: Annotated[int, Field(ge=1)] = 6
    """How many there are (assumed; about as many as Arbitrum Nova has)."""
    threshold: Annotated[int, Field(ge=1)] = 5
    """Signatures that a certificate needs (assumed; with six members, of whom two are assumed honest)."""
    latency: Annotated[Distribution, In("duration")] = Constant(value=Quantity(float(500 * MS), "duration"))
    """Time until a member has stored a batch and signed (assumed); each draws its own."""
    certificate: Annotated[Bytes, Field(gt=0)] = 178
    """Bytes of a certificate in calldata: flag, version, hashes of keys and data, expiry, who signed, signature (assumed)."""
    fee: Wei = 0
    """What the committee is paid for a megabyte, ether (assumed)."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.threshold > self.members:
            raise PydanticCustomError(
                "threshold",
                "'threshold' is {threshold}, but the committee has {members} members: no certificate would ever be complete",
                {"threshold": self.threshold, "members": self.members},
            )
        return self

    def carried(self, size: int, blob_bytes: int) -> Carried:
        return Carried(0, self.certificate)

    def asked(self) -> int:
        return self.members

    def certified(self, luck: npt.NDArray[np.float64]) -> int:
        return int(np.sort(self.latency.quantile(np.maximum(luck, 2.0**-54)))[self.threshold - 1])

    def cost(self, size: int) -> int:
        return self.fee * size // 10**6

    def withheld_by(self, members: int) -> bool:
        return members >= self.threshold
