"""What validators lose when they are absent or equivocate, in exact integers of gwei.

Source: ethereum/consensus-specs, ``get_inactivity_penalty_deltas`` and ``process_inactivity_updates`` (altair, bellatrix),
``process_effective_balance_updates`` (phase0), ``slash_validator`` and ``process_slashings`` (bellatrix, electra);
read 2026-08-07.
"""

from typing import Literal

Rules = Literal["bellatrix", "electra"]

GWEI_A_ETH = 10**9
INCREMENT = GWEI_A_ETH
"""Effective balances are whole multiples of this (gwei)."""
BIAS = 4
"""Points by which the score of an absent validator grows each epoch."""
RECOVERY = 16
"""Points by which every score falls each epoch outside a leak."""
QUOTIENT = 2**24
"""The inactivity penalty quotient since Bellatrix."""
LEAK_AFTER = 4
"""Epochs without finality after which the leak begins."""
DOWNWARD, UPWARD = INCREMENT // 4, INCREMENT * 5 // 4
"""How far a balance is from its effective balance before the latter follows: down a quarter, up five quarters of an increment."""
EJECTION = 16 * GWEI_A_ETH
"""Effective balance at which a validator is made to leave."""
MULTIPLIER = 3
"""By how much the share of stake that was slashed is multiplied in the correlation penalty."""
SLASHED_FOR = 8192
"""Epochs during which what was slashed counts together, and after which what is left may be withdrawn."""
INITIAL: dict[Rules, int] = {"bellatrix": 32, "electra": 4096}
"""The effective balance over the penalty at once."""
WHISTLEBLOWER: dict[Rules, int] = {"bellatrix": 512, "electra": 4096}
"""The effective balance over the reward of whoever reports it."""
MOST_EFFECTIVE: dict[Rules, int] = {"bellatrix": 32 * GWEI_A_ETH, "electra": 2048 * GWEI_A_ETH}
"""The largest effective balance."""
LEAST_CHURN, MOST_CHURN, CHURN_QUOTIENT = 128 * GWEI_A_ETH, 256 * GWEI_A_ETH, 65_536
"""Stake that may leave in an epoch: a share of all, between two bounds (electra)."""
LEAVES_AFTER = 5
"""Epochs between the decision that a validator leaves and the first in which it is gone (MAX_SEED_LOOKAHEAD and one)."""


def in_leak(epoch: int, finalized: int) -> bool:
    """Whether the end of an epoch is in a leak, given the last finalized epoch."""
    return epoch - 1 - finalized > LEAK_AFTER


def next_score(score: int, voted: bool, leak: bool) -> int:
    """The inactivity score after an epoch: up by 4 for who did not vote, down by 1 for who did, down by 16 outside a leak."""
    score = score - min(1, score) if voted else score + BIAS
    return score if leak else score - min(RECOVERY, score)


def inactivity_penalty(effective: int, score: int) -> int:
    """What an absent validator loses in an epoch (gwei); its score is that after the epoch."""
    return effective * score // (BIAS * QUOTIENT)


def next_effective(effective: int, balance: int, most: int) -> int:
    """The effective balance after an epoch: it follows the balance in whole increments, and not at once (gwei)."""
    if balance + DOWNWARD < effective or effective + UPWARD < balance:
        return min(balance - balance % INCREMENT, most)
    return effective


def initial_penalty(effective: int, rules: Rules) -> int:
    """What a slashed validator loses at once (gwei)."""
    return effective // INITIAL[rules]


def whistleblower_reward(effective: int, rules: Rules) -> int:
    """What the proposer who reports it gets, where nobody else does (gwei)."""
    return effective // WHISTLEBLOWER[rules]


def correlation_penalty(effective: int, slashed: int, total: int, rules: Rules) -> int:
    """What it loses half way to its withdrawal (gwei), after what else was slashed around that time.

    Args:
        effective: its effective balance.
        slashed: effective balances slashed within the last 8192 epochs, its own too.
        total: effective balances of all active validators.
        rules: Before Electra the penalty is floored to whole ether; since, the rate by increment is.
    """
    adjusted = min(slashed * MULTIPLIER, total)
    if rules == "bellatrix":
        return effective // INCREMENT * adjusted // total * INCREMENT
    return adjusted // (total // INCREMENT) * (effective // INCREMENT)


def exit_churn(total: int) -> int:
    """Stake that may leave in an epoch (gwei)."""
    churn = min(max(LEAST_CHURN, total // CHURN_QUOTIENT), MOST_CHURN)
    return churn - churn % INCREMENT
