"""Disputes: how often false assertions pass, and what it costs to make them and to stop them."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import (
    AssertionChallenged,
    AssertionConfirmed,
    AssertionMade,
    AssertionRejected,
    BondSlashed,
    DisputeEnded,
    DisputeMoved,
)
from l2sim.events.dispute_game import GameInvalidated, MoveRefused
from l2sim.metrics import Metric
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Disputes(Metric):
    """Assertions about each rollup, how many were false, and the share of these that became final: fraud that nobody stopped.

    ``undetected_share`` is over the false ones that were decided; it is unknown where there were none. Attackers are attacks of the
    scenario, whoever asserts something false and whoever challenges something true; everybody else who takes part is a defender. Gas
    is what they paid for assertion, challenges and moves, refused ones too (a true assertion's own gas is not counted), in ETH.
    Bonds are what was lost of those of ``optimistic`` and ``dispute_game``, and ``defenders_rewards`` what defenders got of them; a game
    that the guardian takes out after it was resolved gives all bonds back, and then nothing was lost. Stakes behind rivals are counted
    by ``dispute_economics``. ``spend_ratio`` is attackers' gas and lost bonds over defenders' gas. Resolution is the time from a
    challenge to the end of its dispute.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        "attackers_gas": "ETH", "attackers_bonds": "ETH", "defenders_gas": "ETH", "defenders_bonds": "ETH",
        "defenders_rewards": "ETH", "resolution_mean": "s", "resolution_max": "s",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("false", "undetected", "undetected_share", "spend_ratio", "resolution_mean")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: _of(chain, log) for chain in log.present(AssertionMade, "chain")}
        return pd.DataFrame(list(rows.values()), pd.Index(list(rows), dtype=object), list(_of("", log)), dtype=float)


def attackers(chain: str, log: "Log") -> set[int]:
    """Accounts of attacks, of whoever asserts something false about a rollup, and of whoever challenges something true."""
    groups = log.about.get("groups", {}).values()
    found = {account for group in groups if group["section"] == "attacks" for account in range(group["first"], group["last"])}
    number, account, valid = log.select(AssertionMade, "number", "account", "valid", chain=chain)
    found |= set(account[valid == 0].tolist())
    about, challenger = log.select(AssertionChallenged, "number", "account", chain=chain)
    return found | set(challenger[np.isin(about, number[valid == 1])].tolist())


def spent_on_gas(chain: str, log: "Log", against: set[int]) -> dict[bool, float]:
    """Gas (ETH) that attackers (True) and everybody else (False) paid for false assertions, challenges and moves."""
    valid, cost = log.select(AssertionMade, "valid", "cost", chain=chain)
    gas = {True: float(cost[valid == 0].sum()), False: 0.0}
    for fact in (AssertionChallenged, DisputeMoved, MoveRefused):
        account, paid = log.select(fact, "account", "cost", chain=chain)
        attacking = np.isin(account, list(against))
        for side in gas:
            gas[side] += float(paid[attacking == side].sum())
    return gas


def slashed(chain: str, log: "Log") -> tuple[npt.NDArray[Any], ...]:
    """Bonds that were lost: who lost them, who won, what the winner got and what was burned (ETH).

    What changed hands in a game that was invalidated afterwards was given back, and what somebody won of itself was not lost.
    """
    number, loser, winner, reward, burned = log.select(BondSlashed, "number", "account", "winner", "reward", "burned", chain=chain)
    kept = ~np.isin(number, log.select(GameInvalidated, "number", chain=chain)[0])
    reward = np.where(loser == winner, 0.0, reward)
    return loser[kept], winner[kept], reward[kept], burned[kept]


def _of(chain: str, log: "Log") -> dict[str, float]:
    number, valid = log.select(AssertionMade, "number", "valid", chain=chain)
    confirmed, passed = log.select(AssertionConfirmed, "number", "valid", chain=chain)
    rejected, failed = log.select(AssertionRejected, "number", "valid", chain=chain)
    undetected = float(np.count_nonzero(passed == 0))
    decided = undetected + np.count_nonzero(failed == 0)

    against = attackers(chain, log)
    gas = spent_on_gas(chain, log, against)
    loser, winner, reward, burned = slashed(chain, log)
    wrong, won = np.isin(loser, list(against)), ~np.isin(winner, list(against))
    bonds = reward + burned
    lost = float(bonds[wrong].sum())

    ended, over, moves = log.select(DisputeEnded, "time", "number", "moves", chain=chain)
    began, challenged, taken = log.select(AssertionChallenged, "time", "number", "taken", chain=chain)
    seconds = _durations(began[taken == 1], challenged[taken == 1], ended, over)
    return {
        "assertions": float(len(number)),
        "false": float(np.count_nonzero(valid == 0)),
        "undetected": undetected,
        "undetected_share": undetected / decided if decided else np.nan,
        "undecided": float(len(number) - len(confirmed) - len(rejected)),
        "disputes": float(len(ended)),
        "moves": float(moves.mean()) if len(moves) else np.nan,
        "resolution_mean": float(seconds.mean()) if len(seconds) else np.nan,
        "resolution_max": float(seconds.max()) if len(seconds) else np.nan,
        "attackers_gas": gas[True],
        "attackers_bonds": lost,
        "defenders_gas": gas[False],
        "defenders_bonds": float(bonds[~wrong].sum()),
        "defenders_rewards": float(reward[won].sum()),
        "spend_ratio": (gas[True] + lost) / gas[False] if gas[False] else np.nan,
    }


def _durations(
    began: npt.NDArray[np.int64], challenged: npt.NDArray[np.int64], ended: npt.NDArray[np.int64], over: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """From each challenge to the end of its dispute (s); of several about one assertion, the first began before the first ended."""
    since: dict[int, list[int]] = {}
    for time, number in zip(began.tolist(), challenged.tolist(), strict=True):
        since.setdefault(number, []).append(time)
    return np.array([(time - since[number].pop(0)) / SECOND for time, number in zip(ended.tolist(), over.tolist(), strict=True)])
