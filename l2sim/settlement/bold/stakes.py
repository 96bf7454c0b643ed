"""Stakes: how large they have to be so that an attacker spends ``ratio`` times what defenders do, and how long it can delay them.

Equations (52) to (55) and (61) to (63), and the bound on confirmation, of the BoLD paper (Alvarez and others 2024, arXiv 2404.10491).
They are what a designer of the protocol computes beforehand; nothing in the protocol or its simulation reads them.
"""

from typing import NamedTuple


class MoveGas(NamedTuple):
    """What moves cost on L1, gas (the paper's)."""

    root: int = 800_000
    """To make the first edge of a challenge or of a level."""
    bisection: int = 350_000
    update: int = 60_000
    """To bring an edge's time up to date."""
    proof: int = 2_400_000
    """To execute one step."""


PAPER = MoveGas()
"""What the paper reckons with."""


def single_level_stake(ratio: int, bisections: int, gas: MoveGas = PAPER) -> int:
    """The least stake (gas) in a challenge of one level, equation (55).

    Each rival makes a root edge and ``bisections`` moves and loses its stake; against it a defender moves as often, brings the time of
    each edge up to date and proves one step.
    """
    defender = gas.proof + (bisections + 1) * gas.update + gas.bisection
    return ratio * defender + (ratio - 1) * bisections * gas.bisection - gas.root


def level_stakes(ratio: int, levels: int, bisections: int, gas: MoveGas = PAPER) -> list[int]:
    """The least mini-stakes (gas), from the last level up to the first, equations (61) to (63).

    A stake at one level has to weigh up the stakes that a defender locks at the level below it, so they grow by the ratio a level.
    """
    stakes: list[int] = []
    below = gas.proof
    for level in range(1, levels + 1):
        bisected = (level == levels) + (level != 1)
        defender = below + (bisections + 1) * gas.update + bisected * gas.bisection
        below = ratio * defender + (ratio - 1) * (bisections + 1) * gas.bisection
        stakes.append(below - gas.root)
    return stakes


def least_period(censorship: int, inclusion: int, bisections: int) -> int:
    """The least challenge period (blocks) with which defenders who are censored for so long in all cannot lose."""
    return censorship + (inclusion + 1) * (bisections + 2) + 1


def longest_confirmation(period: int, censorship: int, inclusion: int, bisections: int) -> int:
    """The most blocks until the true assertion is confirmed, whatever the attacker does: N* in the paper."""
    return period + censorship + (inclusion + 1) * (bisections + 2)
