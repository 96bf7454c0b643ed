"""Channels and frames, as the batcher of the OP Stack makes them.

Sources: OP specs, protocol/derivation.md, commit fd72cf79 (channels, frames of 23 bytes besides their data and at most 1 MB, channel
timeout of 50 L1 blocks since Granite, sequencing window of 3600); optimism op-batcher/flags/flags.go, commit d317e96c (max channel
duration, target frames, sub-safety margin) and op-batcher/batcher/channel_builder.go (what the margin is taken from) and
channel_config.go (``Check``: the timeout is larger than the margin); EIP-7594 (six blobs a transaction).
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.posting import Look, Posting, Terms

FRAME_OVERHEAD = 23
"""Bytes of a frame besides its data: channel id 16, number 2, length 4, last 1."""
VERSION_BYTE = 1
"""Every transaction's data begins with the version of the derivation."""
MOST_FRAME_DATA = 1_000_000
"""Bytes of data that a frame may hold."""


class OpChannels(Posting):
    """Blocks fill a channel; it closes when it is full or old and goes as frames, one in a blob, several blobs in a transaction.

    The poster's ``full``, ``blobs`` and ``max_delay`` do not count here.
    Its blocks are safe when the last frame is in. Where that takes more L1 blocks than the channel timeout from the first, the channel
    counts for nothing and is sent once more.
    """

    looks: ClassVar[bool] = False
    instead: ClassVar[Mapping[str, str]] = {"max_delay": "max_channel_duration", "blobs": "target_blobs", "full": "target_blobs"}

    target_blobs: Annotated[int, Field(ge=1)] = 1
    """Frames in a full channel (target-num-frames: 1 by default, 5 or 6 where it posts blobs)."""
    blobs_per_transaction: Annotated[int, Field(ge=1, le=6)] = 6
    """Frames in one transaction; six at most since Osaka."""
    max_channel_duration: Annotated[int, Field(ge=0)] = 0
    """L1 blocks after which a channel closes though it is not full; 0 for no such limit (150, half an hour, in OP's guide to batchers)."""
    channel_timeout: Annotated[int, Field(ge=1)] = 50
    """L1 blocks from a channel's first frame within which its last one must be included."""
    sequencing_window: Annotated[int, Field(ge=1)] = 3600
    """L1 blocks within which a block must be on L1."""
    sub_safety_margin: Annotated[int, Field(ge=0)] = 10
    """L1 blocks before the end of the sequencing window at which a channel closes (300 in the guide of OP's documents).

    OP's batcher closes a channel as long before its timeout too, which counts from its first frame on L1. It sends frames of channels
    that are still open; here all frames go when the channel is closed.
    """

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.sub_safety_margin >= self.sequencing_window:
            raise PydanticCustomError(
                "sub_safety_margin", "'sub_safety_margin' must be below 'sequencing_window', or no channel is ever in time"
            )
        if self.sub_safety_margin >= self.channel_timeout:
            raise PydanticCustomError(
                "sub_safety_margin",
                "'sub_safety_margin' of {margin} blocks must be below 'channel_timeout' of {timeout}, or every channel is too late when "
                "it begins, as op-batcher says too: lower one or raise the other",
                {"margin": self.sub_safety_margin, "timeout": self.channel_timeout},
            )
        if self.max_channel_duration > self.sequencing_window - self.sub_safety_margin:
            raise PydanticCustomError(
                "max_channel_duration",
                "'max_channel_duration' must be at most sequencing_window - sub_safety_margin = {most} blocks",
                {"most": self.sequencing_window - self.sub_safety_margin},
            )
        return self

    def frame(self, terms: Terms) -> int:
        """Bytes of blocks that a frame takes."""
        return min(terms.blob_bytes - VERSION_BYTE - FRAME_OVERHEAD, MOST_FRAME_DATA)

    def ripe(self, terms: Terms, plan: None) -> tuple[int, int]:
        return self.target_blobs * self.frame(terms), self._age(terms)

    def posts(self, look: Look, terms: Terms, plan: None) -> bool:
        full, age = self.ripe(terms, plan)
        return look.unsent >= full or look.now - look.oldest >= age

    def closes(self) -> int:
        """Age of its oldest block at which a channel closes, L1 blocks."""
        most = self.sequencing_window - self.sub_safety_margin
        return min(self.max_channel_duration, most) if self.max_channel_duration else most

    def _age(self, terms: Terms) -> int:
        """The same in ns."""
        return self.closes() * terms.slot

    def most(self, look: Look, terms: Terms) -> int:
        return self.target_blobs * self.frame(terms)

    def pieces(self, size: int, look: Look, terms: Terms) -> list[int]:
        data = self.frame(terms)
        frames = [min(data, size - start) + FRAME_OVERHEAD + VERSION_BYTE for start in range(0, max(size, 1), data)]
        n = self.blobs_per_transaction
        return [sum(frames[start : start + n]) for start in range(0, len(frames), n)]

    def carries(self, blobs: int) -> int:
        return min(self.target_blobs, self.blobs_per_transaction)

    def lasts(self, terms: Terms) -> int:
        return self.channel_timeout
