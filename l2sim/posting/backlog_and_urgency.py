"""Offers that grow with the batches behind and with age, as those of Arbitrum Nitro's data poster do.

Source: nitro arbnode/dataposter (feeAndTipCaps, replaceTx, DefaultDataPosterConfig) and arbnode/batch_poster.go, commit 6dce8d13
(2026-04-23): the default formula of the fee cap, its division between execution and blobs, the order in which tips and caps are bounded,
replacement times and the least increase of a replacement; Arbitrum's documentation, gas-and-fees.mdx, of the brotli level.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.posting import Look, Offer, Posting, Terms
from l2sim.units import DAY, GWEI, HOUR, MINUTE, WEI, Duration, Fraction, Positive, Wei

GAS_PER_BLOB = 131_072
"""Blob gas of a blob (EIP-4844)."""
BLOB_GAS_AS_CALLDATA = 16 * 4096 * 254 // 8
"""Gas that a blob counts as in the formula: 16 for each byte that it can hold (blobs.BlobEncodableData x TxDataNonZeroGasEIP2028)."""
LEAST_INCREASE = 11, 10
LEAST_BLOB_INCREASE = 2, 1
"""Factors by which a replacement has to outbid what it replaces (minNonBlobRbfIncrease, minBlobRbfIncrease)."""
RETRY = MINUTE
"""Time after which it looks again where an offer stood (replaceTx)."""
NEVER_AGAIN = 10 * 365 * DAY
"""Age after the last at which a transaction is replaced: beyond any run (parseReplacementTimes appends ten years)."""


class BacklogAndUrgency(Posting):
    """A batch goes when it is full or old; it may cost, by unit of gas, (backlog x urgency)^2 + (age / base)^2 x importance + target gwei.

    The backlog counts full batches that wait, and a blob counts as the calldata that it replaces. What a transaction may cost in all is
    divided between execution and blobs as their fees stand, and no cap is more than a multiple of these. An offer that was not taken is
    replaced at set ages, at a least increase, and after the last of them never; where that, or the fees of the day, is above what it may
    pay, it stands as it is, and it looks again in a minute.
    """

    instead: ClassVar[Mapping[str, str]] = {
        "target_fee": "target", "target_blob_fee": "target", "urgency": "elapsed_base", "bump": "blob_replacements",
    }  # fmt: skip

    urgency: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """What each waiting batch adds, gwei, squared (UrgencyGwei)."""
    elapsed_base: Annotated[Duration, Positive] = 10 * MINUTE
    """Unit of age (ElapsedTimeBase)."""
    elapsed_importance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Weight of age, gwei (ElapsedTimeImportance)."""
    target: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    """What it pays without backlog or age, gwei (TargetPriceGwei)."""
    least_tip: Wei = GWEI // 20
    """Lowest priority fee of a transaction with calldata, wei per gas (MinTipCapGwei)."""
    most_tip: Wei = 12 * GWEI // 10
    """Highest priority fee of its first offer, wei per gas (MaxTipCapGwei)."""
    least_blob_tip: Wei = GWEI
    """The lowest with blobs (MinBlobTxTipCapGwei)."""
    most_blob_tip: Wei = GWEI
    """The highest of a first offer with blobs (MaxBlobTxTipCapGwei)."""
    most_bid: Annotated[int, Field(ge=1)] = 10
    """Caps over the fees of the day at most, unless a replacement needs more (MaxFeeBidMultipleBips)."""
    replacements: Annotated[tuple[Duration, ...], Field(min_length=1)] = (
        5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (1, 2, 4, 6, 8, 12, 16, 18, 20, 22)),
    )  # fmt: skip
    """Ages of the oldest block at which a transaction with calldata is replaced, the first counted from the first offer
    (replacement-times)."""
    blob_replacements: Annotated[tuple[Duration, ...], Field(min_length=1)] = (
        5 * MINUTE, 10 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (1, 4, 8, 16, 22)),
    )  # fmt: skip
    """The same for blobs (blob-tx-replacement-times)."""
    best_level_size: Annotated[Fraction, Positive] = 0.98
    """Size of a batch when 20 to 60 wait and brotli works at its best level, relative to the level 6 that fewer get (measured on generated
    transactions, ``benchmarks/compression.py``: 0.97 to 0.99)."""
    low_level_size: Annotated[Fraction, Positive] = 1.05
    """Size of a batch when more than 60 wait and brotli works at level 4, relative to level 6 (measured there: 1.02 to 1.07)."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("replacements", "blob_replacements"):
            ages: tuple[int, ...] = getattr(self, name)
            if list(ages) != sorted(set(ages)):
                raise PydanticCustomError(
                    "replacements", "'{name}' are ages, each later than the one before: write them in increasing order", {"name": name}
                )
        for least, most in (("least_tip", "most_tip"), ("least_blob_tip", "most_blob_tip")):
            if getattr(self, least) > getattr(self, most):
                raise PydanticCustomError(
                    "tips", "'{least}' must not be above '{most}': lower one or raise the other", {"least": least, "most": most}
                )
        return self

    def allows(self, tip: int) -> None:
        for name in ("most_tip", "most_blob_tip"):
            if tip > (most := getattr(self, name)):
                raise PydanticCustomError(
                    "tip",
                    "by 'policy.{name}' a first offer has a tip of {most} at most, so 'tip', {tip}, is never offered: lower it, or raise "
                    "the other",
                    {"name": name, "most": WEI.write(most), "tip": WEI.write(tip)},
                )

    def cap(self, batches: int, age: int) -> float:
        """What a unit of gas may cost, gwei: the formula, at most 10^9."""
        elapsed = (max(0, age) / self.elapsed_base) ** 2 * self.elapsed_importance
        return min((batches * self.urgency) ** 2 + elapsed + self.target, 1e9)

    def offer(self, look: Look, terms: Terms, last: Offer | None) -> Offer:
        allowed = int(self.cap(look.unsent // terms.full, look.now - look.oldest) * GWEI)
        most = allowed * (look.gas + look.blobs * BLOB_GAS_AS_CALLDATA)
        up, down = LEAST_BLOB_INCREASE if look.blobs else LEAST_INCREASE
        least, highest = (self.least_blob_tip, self.most_blob_tip) if look.blobs else (self.least_tip, self.most_tip)
        tip = min(max(terms.tip, least), highest)
        if last is not None:
            tip = max(tip, last.tip * up // down)
        blob_gas, fee = look.blobs * GAS_PER_BLOB, look.base_fee + tip
        blob_cap = most * look.blob_fee // (look.blob_fee * blob_gas + fee * look.gas)
        if last is not None and look.blobs:
            blob_cap = max(blob_cap, last.blob_cap * up // down)
        cap = (most - blob_cap * blob_gas) // look.gas
        if last is not None and look.blobs and cap * down < last.cap * up:
            cap = last.cap * up // down
            blob_cap = (most - cap * look.gas) // blob_gas
        bound, blob_bound = fee * self.most_bid, look.blob_fee * self.most_bid
        if last is not None:
            bound, blob_bound = max(bound, last.cap * up // down), max(blob_bound, last.blob_cap * up // down)
        cap, blob_cap = min(cap, bound), min(blob_cap, blob_bound)
        if last is not None and not self._replaces(look, last, fee, cap, blob_cap):
            return last
        return Offer(max(min(tip, cap), 0), max(cap, 1), max(blob_cap, 1))

    @staticmethod
    def _replaces(look: Look, last: Offer, fee: int, cap: int, blob_cap: int) -> bool:
        """Whether new caps meet the fees of the day and are increases that mempools take."""
        up, down = LEAST_BLOB_INCREASE if look.blobs else LEAST_INCREASE
        enough = cap >= fee and cap * down >= last.cap * up
        return enough and (not look.blobs or (blob_cap >= look.blob_fee and blob_cap * down >= last.blob_cap * up))

    def patience(self, attempt: int, look: Look, terms: Terms, stands: bool) -> int:
        ages, age = self.blob_replacements if look.blobs else self.replacements, look.now - look.oldest
        if not attempt:
            return ages[0]
        return RETRY if stands else next(each - age for each in (*ages, NEVER_AGAIN) if each > age)

    def most(self, look: Look, terms: Terms) -> int:
        return int(terms.full / self._size(look, terms))

    def pieces(self, size: int, look: Look, terms: Terms) -> list[int]:
        return super().pieces(max(1, int(size * self._size(look, terms))), look, terms)

    def _size(self, look: Look, terms: Terms) -> float:
        """Size of a batch relative to brotli's level 6, which depends on how many wait."""
        waiting = look.unsent // terms.full
        return 1.0 if waiting <= 20 else self.best_level_size if waiting <= 60 else self.low_level_size
