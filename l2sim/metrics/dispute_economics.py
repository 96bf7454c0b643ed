"""Dispute economics: what a delay costs whoever causes it, whoever fights it, and whoever waits."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from l2sim.events import AssertionChallenged, AssertionConfirmed, AssertionMade, AssertionRejected, BondSlashed
from l2sim.events.dispute_game import BondsPaid, ClaimMade, GameInvalidated, GameResolved
from l2sim.events.stakes import DefenderPaid, StakeForfeited, StakePosted, StakeReturned
from l2sim.metrics import Metric
from l2sim.metrics.disputes import attackers, slashed, spent_on_gas
from l2sim.units import DAY, SECOND, Duration, Positive, Usd, Yearly

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

ETHER = (
    "attackers_gas", "attackers_locked", "attackers_open", "attackers_lost", "attackers_rewards", "attackers_spent", "defenders_gas",
    "defenders_locked", "defenders_open", "defenders_staked", "defenders_lost", "defenders_rewards", "defenders_spent",
)  # fmt: skip
FIGURES = (*ETHER, "resource_ratio", "delay", "unresolved", "delay_per_ether", "opportunity_cost")
DUST = 1e-9
"""ETH below which what is left of a sum of stakes is rounding."""


class DisputeEconomics(Metric):
    """For each rollup, what attackers and defenders spend on disputes, how long these delay it, and what that costs who waits.

    Attackers are attacks of the scenario, whoever asserts something false and whoever challenges something true; defenders are everybody
    else. Gas is that of false assertions, challenges and moves, refused ones too; a true assertion's own is not counted. ``locked`` is the
    most that a side had staked at a time, a game's bonds until these are paid out, won or lost. ``lost`` is what it forfeited, ``rewards``
    what it got of forfeited stakes, also of its own side's: rivals in a tournament beat each other. What is lost in a game that the
    guardian takes out afterwards is given back, and does not count. ``spent`` is gas and what was lost, less rewards: what its accounts are
    poorer by, so less than zero for a side that gained. ``open`` is what a side has staked in what is undecided when the run ends, so that
    nobody knows yet whether it is lost: it is not in ``spent``. ``delay_per_ether`` is the delay over what attackers spent, and unknown
    while stakes of theirs are open.
    ``defenders_staked`` is all that defenders staked besides what stands behind their own assertions. The resource ratio is the
    attackers' gas and stakes over the defenders' gas and such stakes (BoLD paper, section 6). It counts all of the defenders' moves,
    their root edges and the updates of both halves of bisected edges included, of which the paper's formula for stakes counts one path:
    with a single rival it is below the ratio that stakes were chosen for (8.7 where that is 10). The delay is the longest time from the
    first assertion up to a block, of those up to which something true was asserted, until a true one up to it is final, less the usual
    time; ``unresolved`` of them are later than usual and not final when the run ends, and then the delay is what it is at least. Who
    waits has ``value`` that earns nothing meanwhile: value x rate x delay / 365 d.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        **dict.fromkeys(ETHER, "ETH"), "delay": "s", "delay_per_ether": "s/ETH", "opportunity_cost": "USD",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = (
        "delay",
        "attackers_spent",
        "delay_per_ether",
        "defenders_spent",
        "defenders_locked",
        "opportunity_cost",
    )

    value: Annotated[Usd, Field(ge=0)] = 5.4e9
    """What waits for finality on each rollup (5.4 bn USD: Arbitrum One in "Economics of Disputes in Arbitrum BoLD")."""
    rate: Yearly = 0.05
    """What it would earn in a year (5 %, the same source)."""
    usual: Annotated[Duration, Positive] | None = None
    """Time from an assertion to finality where nobody disputes; without it, what the settlement takes then, or the shortest in the run
    where that is shorter or nothing was disputed."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: self._of(chain, log) for chain in log.present(AssertionMade, "chain")}
        return pd.DataFrame(list(rows.values()), pd.Index(list(rows), dtype=object), list(FIGURES), dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        against = attackers(chain, log)
        money = _Money(against)
        _stakes(chain, log, money)
        _bonds(chain, log, money)
        gas = spent_on_gas(chain, log, against)
        late, unresolved = self.delay(chain, log)
        delay = late / SECOND
        spent = {side: gas[side] + money.lost[side] - money.rewards[side] for side in gas}
        defended = gas[False] + money.staked[False]
        return {
            "attackers_gas": gas[True],
            "attackers_locked": money.peak(True),
            "attackers_open": money.still(True),
            "attackers_lost": money.lost[True],
            "attackers_rewards": money.rewards[True],
            "attackers_spent": spent[True],
            "defenders_gas": gas[False],
            "defenders_locked": money.peak(False),
            "defenders_open": money.still(False),
            "defenders_staked": money.staked[False],
            "defenders_lost": money.lost[False],
            "defenders_rewards": money.rewards[False],
            "defenders_spent": spent[False],
            "resource_ratio": (gas[True] + money.posted[True]) / defended if defended else np.nan,
            "delay": delay,
            "unresolved": float(unresolved),
            "delay_per_ether": delay / spent[True] if spent[True] > 0.0 and not money.still(True) else np.nan,
            "opportunity_cost": opportunity_cost(self.value, self.rate, delay),
        }

    def delay(self, chain: str, log: "Log") -> tuple[float, int]:
        """How much longer than usual the slowest true assertion took (ns), and how many are later than usual and open at the end.

        What is open has taken until then at least.
        """
        made, upto, true = log.select(AssertionMade, "time", "last", "valid", chain=chain)
        confirmed, reached, valid = log.select(AssertionConfirmed, "time", "last", "valid", chain=chain)
        confirmed, reached = confirmed[valid == 1], reached[valid == 1]
        took: list[int] = []
        still: list[int] = []
        for last in np.unique(upto[true == 1]):
            since = made[upto == last].min()
            ends = confirmed[reached >= last]
            (took if len(ends) else still).append(int((ends.min() if len(ends) else log.about["duration"]) - since))
        usual = self._usual(chain, log, took)
        late = -1 if usual is None else max([*took, *still], default=0) - usual
        if late < 0 and not took:
            return float("nan"), 0  # nothing is final, and it is too early to say what will be late
        return float(max(0, late)), 0 if usual is None else sum(took_so_far > usual for took_so_far in still)

    def _usual(self, chain: str, log: "Log", took: list[int]) -> int | None:
        """What a true assertion takes that nobody disputes (ns); where nothing was disputed, whatever took the shortest did."""
        said = log.about.get("chains", {}).get(chain, {}).get("usual")
        if self.usual is not None:
            return self.usual
        disputed = log.select(AssertionChallenged, "taken", chain=chain)[0].any()
        return min([*took, said] if said and disputed else took, default=None)


def opportunity_cost(value: float, rate: float, seconds: float) -> float:
    """What an amount would have earned in that time at a yearly rate, without compounding, the year having 365 days."""
    return value * rate * (seconds / (DAY / SECOND)) / 365.0


class _Money:
    """What each side (attackers: True) put down, lost and got."""

    def __init__(self, attackers: set[int]) -> None:
        self.attackers = attackers
        self.changes: list[tuple[int, bool, float]] = []
        self.settled = {True: 0.0, False: 0.0}
        """What is decided but kept."""
        self.posted = {True: 0.0, False: 0.0}
        self.staked = {True: 0.0, False: 0.0}
        """Without what stands behind assertions."""
        self.lost = {True: 0.0, False: 0.0}
        self.rewards = {True: 0.0, False: 0.0}

    def put(self, time: int, account: int, amount: float, behind_assertion: bool) -> None:
        side = account in self.attackers
        self.changes.append((time, side, amount))
        self.posted[side] += amount
        self.staked[side] += 0.0 if behind_assertion else amount

    def free(self, time: int, account: int, amount: float) -> None:
        self.changes.append((time, account in self.attackers, -amount))

    def settle(self, account: int, amount: float) -> None:
        self.settled[account in self.attackers] += amount

    def lose(self, account: int, amount: float) -> None:
        self.lost[account in self.attackers] += amount

    def reward(self, account: int, amount: float) -> None:
        self.rewards[account in self.attackers] += amount

    def peak(self, side: bool) -> float:
        """The most that a side had down at a time."""
        amounts = [amount for _, of, amount in sorted(self.changes, key=lambda change: change[0]) if of == side]
        return float(max([0.0, *np.cumsum(amounts)]))

    def still(self, side: bool) -> float:
        """What a side has down when the run ends in what is not decided."""
        left = sum(amount for _, of, amount in self.changes if of == side) - self.settled[side]
        return left if left > DUST else 0.0


def _stakes(chain: str, log: "Log", money: _Money) -> None:
    """Stakes of settlements in which assertions exclude each other."""
    for purpose in ("assertion", "edge"):
        columns = log.select(StakePosted, "time", "account", "amount", chain=chain, purpose=purpose)
        for time, account, amount in zip(*map(np.ndarray.tolist, columns), strict=True):
            money.put(time, account, amount, purpose == "assertion")
    for fact in (StakeReturned, StakeForfeited):
        for time, account, amount in _rows(log, chain, fact, "time", "account", "amount"):
            money.free(time, account, amount)
            if fact is StakeForfeited:
                money.lose(account, amount)
    for account, refund, reward in _rows(log, chain, DefenderPaid, "account", "refund", "reward"):
        money.reward(account, refund + reward)


def _bonds(chain: str, log: "Log", money: _Money) -> None:
    """Bonds of assertions and challenges, and those of claims where there are games."""
    owners = {}
    for time, number, account, bond in _rows(log, chain, AssertionMade, "time", "number", "account", "bond"):
        owners[number] = account, bond
        money.put(time, account, bond, True)
    kept: dict[int, list[tuple[int, float]]] = {}
    for time, number, claim, account, bond in _rows(log, chain, ClaimMade, "time", "number", "claim", "account", "bond"):
        kept.setdefault(number, []).append((account, bond))
        if claim:
            money.put(time, account, bond, False)
    if kept:
        for time, number in _rows(log, chain, BondsPaid, "time", "number"):  # to each account; the first frees all of the game's bonds
            for account, bond in kept.pop(number, []):
                money.free(time, account, bond)
        for number in {number for fact in (GameResolved, GameInvalidated) for (number,) in _rows(log, chain, fact, "number")}:
            for account, bond in kept.get(number, []):
                money.settle(account, bond)
        for account, winner, reward, burned in zip(*map(np.ndarray.tolist, slashed(chain, log)), strict=True):
            money.lose(account, reward + burned)
            money.reward(winner, reward)
        return
    open_: dict[int, tuple[int, float]] = {}
    facts: list[tuple[int, int, int]] = []
    for order, fact in enumerate((AssertionChallenged, BondSlashed, AssertionConfirmed, AssertionRejected)):
        facts += [(time, order, number) for time, number in _rows(log, chain, fact, "time", "number")]
    challenges = iter(list(_rows(log, chain, AssertionChallenged, "account", "bond", "taken")))
    losses = iter(list(_rows(log, chain, BondSlashed, "account", "winner", "reward", "burned")))
    for time, order, number in sorted(facts, key=lambda fact: fact[:2]):
        if order == 0:
            account, bond, taken = next(challenges)
            if taken:
                open_[number] = account, bond
                money.put(time, account, bond, False)
        elif order == 1:
            account, winner, reward, burned = next(losses)
            money.free(time, account, reward + burned)
            money.lose(account, reward + burned)
            money.reward(winner, reward)
            (owners if account == owners.get(number, (-1, 0.0))[0] else open_).pop(number, None)
        else:
            for standing in (owners, open_):
                if number in standing:
                    money.free(time, *standing.pop(number))


def _rows(log: "Log", chain: str, fact: type, *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a fact about a chain, in the order in which they were written."""
    return list(zip(*map(np.ndarray.tolist, log.select(fact, *columns, chain=chain)), strict=True))
