"""Whatever is full or old goes."""

from typing import ClassVar

from l2sim.posting import Posting


class SizeOrAge(Posting):
    """A batch goes when it is full or its oldest block is ``max_delay`` old, whatever L1 charges; the caps of its offers grow with the
    square of that age."""

    looks: ClassVar[bool] = False
