"""Chess clocks: each side has its own, which runs while the other's claim stands without an answer.

Source: optimism, packages/contracts-bedrock/src/dispute/FaultDisputeGame.sol, ``move`` and ``getChallengerDuration``. A clock says how
much time its side had used up when it made a claim; who answers that claim's answer inherits it: a mover takes its grandparent's.
"""


def used(inherited: int, since: int, now: int, most: int) -> int:
    """The time that would be on the clock of who answers a claim now (ns).

    Args:
        inherited: what was on its side's clock before, at the claim's parent; 0 where there is none.
        since: when the claim was made.
        now: the time of the answer.
        most: all that a side has.
    """
    return min(inherited + now - since, most)


def extended(clock: int, most: int, extension: int) -> int:
    """What a claim keeps of its clock: where less than an extension is left, so much is left again."""
    return min(clock, most - extension)


def out(inherited: int, since: int, most: int) -> int:
    """When nobody can answer a claim any more (ns)."""
    return since + most - inherited
