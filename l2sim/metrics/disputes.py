"""Disputes: how often false assertions pass, and what it costs to make them and to stop them."""

from typing import TYPE_CHECKING, ClassVar

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
from l2sim.events.dispute_game import MoveRefused
from l2sim.metrics import Metric
from l2sim.units import SECOND

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Disputes(Metric):
    """Assertions about each rollup, how many were false, and the share of these that became final: fraud that nobody stopped.

    ``undetected_share`` is over the false ones that were decided; it is unknown where there were none. An attacker is whoever stands
    for a false digest, a defender whoever stands against one; gas is what they paid for assertion, challenges and moves (a true
    assertion's own gas is not counted), in ETH. ``spend_ratio`` is an attacker's gas and lost bonds over the defenders' gas.
    Resolution is the time from a challenge to the end of its dispute.
    """

    units: ClassVar[dict[str, str]] = {
        "attackers_gas": "ETH", "attackers_bonds": "ETH", "defenders_gas": "ETH", "defenders_bonds": "ETH",
        "defenders_rewards": "ETH", "resolution_mean": "s", "resolution_max": "s",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("false", "undetected", "undetected_share", "spend_ratio", "resolution_mean")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: _of(chain, log) for chain in log.present(AssertionMade, "chain")}
        return pd.DataFrame(list(rows.values()), pd.Index(list(rows), dtype=object), list(_of("", log)), dtype=float)


def _of(chain: str, log: "Log") -> dict[str, float]:
    number, account, valid, cost = log.select(AssertionMade, "number", "account", "valid", "cost", chain=chain)
    order = np.argsort(number)
    asserter, true = account[order], valid[order] == 1
    confirmed, passed = log.select(AssertionConfirmed, "number", "valid", chain=chain)
    rejected, failed = log.select(AssertionRejected, "number", "valid", chain=chain)
    undetected = float(np.count_nonzero(passed == 0))
    decided = undetected + np.count_nonzero(failed == 0)

    gas = {True: 0.0, False: float(cost[valid == 0].sum())}
    for fact in (AssertionChallenged, DisputeMoved, MoveRefused):
        about, who, paid = log.select(fact, "number", "account", "cost", chain=chain)
        right = (who == asserter[about]) == true[about]
        for side in gas:
            gas[side] += float(paid[right == side].sum())
    about, loser, reward, burned = log.select(BondSlashed, "number", "account", "reward", "burned", chain=chain)
    wrong = (loser == asserter[about]) != true[about]
    bonds = reward + burned
    lost = float(bonds[wrong].sum())

    ended, over, moves = log.select(DisputeEnded, "time", "number", "moves", chain=chain)
    began, challenged, taken = log.select(AssertionChallenged, "time", "number", "taken", chain=chain)
    seconds = _durations(began[taken == 1], challenged[taken == 1], ended, over)
    return {
        "assertions": float(len(number)),
        "false": float(np.count_nonzero(~true)),
        "undetected": undetected,
        "undetected_share": undetected / decided if decided else np.nan,
        "undecided": float(len(number) - len(confirmed) - len(rejected)),
        "disputes": float(len(ended)),
        "moves": float(moves.mean()) if len(moves) else np.nan,
        "resolution_mean": float(seconds.mean()) if len(seconds) else np.nan,
        "resolution_max": float(seconds.max()) if len(seconds) else np.nan,
        "attackers_gas": gas[False],
        "attackers_bonds": lost,
        "defenders_gas": gas[True],
        "defenders_bonds": float(bonds[~wrong].sum()),
        "defenders_rewards": float(reward[wrong].sum()),
        "spend_ratio": (gas[False] + lost) / gas[True] if gas[True] else np.nan,
    }


def _durations(
    began: npt.NDArray[np.int64], challenged: npt.NDArray[np.int64], ended: npt.NDArray[np.int64], over: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """From each challenge to the end of its dispute (s); of several about one assertion, the first began before the first ended."""
    since: dict[int, list[int]] = {}
    for time, number in zip(began.tolist(), challenged.tolist(), strict=True):
        since.setdefault(number, []).append(time)
    return np.array([(time - since[number].pop(0)) / SECOND for time, number in zip(ended.tolist(), over.tolist(), strict=True)])
