"""No forced inclusion."""

from l2sim.inclusion import ForcedInclusion, Memory, Wait


class NONE(ForcedInclusion):
    """Nothing reaches the rollup but through its sequencer (Starknet: no mechanism; L2BEAT, 2025-02)."""

    queues = False

    def usual(self) -> Wait:
        return Wait(0)

    def due(self, block: int, memory: Memory) -> Wait | None:
        return None
