"""The sequencer's margin: what a rollup's users pay, less what its batches, its proofs and its assertions cost on L1."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import AccountClosed, AssertionChallenged, AssertionMade, BatchPosted, DisputeMoved
from l2sim.events.availability import ChannelTimedOut, CommitteePaid
from l2sim.events.dispute_game import GuardianActed, MoveRefused
from l2sim.events.inclusion import MessageQueued
from l2sim.events.proofs import ProofMade, ProofPaid, ProofsVerified, ProverFined
from l2sim.events.stakes import DefenderPaid, StakeForfeited
from l2sim.metrics import Metric, groups
from l2sim.metrics.cost_per_transaction import stands
from l2sim.metrics.disputes import slashed
from l2sim.metrics.fee_components import COMPONENTS, paid
from l2sim.units import DAY

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

COSTS = ("batch", "committee", "assertion", "verification", "proof", "dispute", "other")
FEES = "gas"
"""The asset of fees in the ledger."""
EXACT = 1e-6
"""Share of what it took and paid below which a difference from the ledger is rounding: data fees are kept in seven digits."""


class SequencerMargin(Metric):
    """Per rollup: revenue by component, costs by kind, and what is left; ETH, in all and a day.

    It is the margin of who runs the rollup: the account that all its fees go to, and its staff, which are its batch poster and its
    proposer (``<chain>.batch_poster``, ``<chain>.proposer``) and whoever else its description names. Revenue is base, priority, data
    and operator fees, and the fees for L1's queue (``inclusion``; its users' gas on L1 is none). Costs are

    - ``batch_cost``: gas and blobs of batches, those of channels that timed out too;
    - ``committee_cost``: what is paid to a committee that keeps the data;
    - ``settlement_cost``: the sum of ``assertion_cost`` (gas of assertions), ``verification_cost`` (gas of verifying proofs),
      ``proof_cost`` (proofs that it made, or bought, less stakes of provers who failed it) and ``dispute_cost`` (gas of challenges and
      moves, bonds and stakes lost, less those won);
    - ``other_cost``: what its accounts lost besides, as the ledger has it: gas of calls that came to nothing, pieces of a batch
      that is not complete, computing.

    So the margin is what the ledger says its accounts gained. What nobody has posted yet has cost nothing so far, bonds that are neither
    lost nor returned are still its own, and funds cost no interest.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        **{f"{name}_revenue": "ETH" for name in COMPONENTS}, **{f"{name}_cost": "ETH" for name in COSTS}, "revenue": "ETH",
        "settlement_cost": "ETH", "margin": "ETH", "margin_per_day": "ETH",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("revenue", "batch_cost", "settlement_cost", "margin_per_day")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rollups = [name for name, chain in sorted(log.about.get("chains", {}).items()) if chain["kind"] == "rollup"]
        rows = {chain: _of(chain, log) for chain in rollups}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(_of("", log)), dtype=float)


def _of(chain: str, log: "Log") -> dict[str, float]:
    revenue = dict(zip(COMPONENTS, paid(log, chain)[2].sum(axis=0).tolist(), strict=True))
    number, fee = log.select(MessageQueued, "number", "fee", chain=chain)
    revenue["inclusion"] = float(fee[stands(number)].sum())
    costs = _costs(chain, log)
    known = sum(revenue.values()) - sum(costs.values())
    gained = _gained(chain, log)
    rounding = EXACT * (sum(map(abs, revenue.values())) + sum(map(abs, costs.values())))
    costs["other"] = 0.0 if gained is None or abs(known - gained) <= rounding else known - gained
    days = log.about.get("duration", 0) / DAY
    margin = known - costs["other"]
    return {
        **{f"{name}_revenue": amount for name, amount in revenue.items()},
        "revenue": sum(revenue.values()),
        **{f"{name}_cost": amount for name, amount in costs.items()},
        "settlement_cost": sum(costs[name] for name in ("assertion", "verification", "proof", "dispute")),
        "margin": margin,
        "margin_per_day": margin / days if days else np.nan,
        "data_cover": revenue["data"] / costs["batch"] if costs["batch"] else np.nan,
    }


def _staff(chain: str, log: "Log") -> set[str]:
    """The groups of accounts of those whom a chain's description names, but for the contract that keeps bonds and stakes."""
    named = (name for name, group in log.about.get("groups", {}).items() if group["section"] == "agents")
    return {name for name in named if name.startswith(f"{chain}.") and name != f"{chain}.settlement"}


def _costs(chain: str, log: "Log") -> dict[str, float]:
    """What its staff paid on L1 by the facts (ETH), less what they won there."""
    staff = _staff(chain, log)

    def total(fact: type, amount: str) -> float:
        return own(*log.select(fact, "account", amount, chain=chain))

    def own(accounts: npt.NDArray[np.int64], amounts: npt.NDArray[np.float64]) -> float:
        names, group = groups(accounts, log)
        mine = np.array([which >= 0 and names[which] in staff for which in group.tolist()], bool)
        return float(amounts[mine].sum())

    batches, timed_out = (log.select(fact, "cost", chain=chain)[0] for fact in (BatchPosted, ChannelTimedOut))
    gas = sum(total(fact, "cost") for fact in (AssertionChallenged, DisputeMoved, MoveRefused, GuardianActed))
    loser, winner, reward, burned = slashed(chain, log)
    lost = own(loser, reward + burned) + total(StakeForfeited, "amount")
    won = own(winner, reward) + total(DefenderPaid, "refund") + total(DefenderPaid, "reward")
    return {
        "batch": float(batches.sum() + timed_out.sum()),
        "committee": total(CommitteePaid, "cost"),
        "assertion": total(AssertionMade, "cost"),
        "verification": total(ProofsVerified, "cost"),
        "proof": total(ProofPaid, "cost") + total(ProofMade, "price") - total(ProverFined, "amount"),
        "dispute": gas + lost - won,
    }


def _gained(chain: str, log: "Log") -> float | None:
    """What the ledger says the chain's fee account and its staff gained (ETH); None where there is no such statement."""
    holders, assets, opening, closing = log.select(AccountClosed, "group", "asset", "opening", "closing")
    own = {log.names.find(name) for name in (chain, *_staff(chain, log))}
    mine = np.isin(holders, list(own)) & (assets == log.names.find(FEES))
    return float((closing - opening)[mine].sum()) if mine.any() else None
