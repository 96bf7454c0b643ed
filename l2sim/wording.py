"""Wording: numbers with units and sensible digits, and figures by names that can be read aloud."""

from collections.abc import Mapping
from math import floor, isfinite, isnan, log10
from typing import NamedTuple

from l2sim.statistics.intervals import Interval
from l2sim.units import MINUTE, SECOND

THIN = "\u202f"
MINUS = "\u2212"
NOTHING = "–"

_SCALES: Mapping[str, tuple[tuple[float, float, str], ...]] = {
    "s": ((0.0, 1e-3, "ms"), (1.0, 1.0, "s"), (120.0, 60.0, "min"), (7200.0, 3600.0, "h"), (172_800.0, 86_400.0, "d")),
    "USD": ((0.0, 1e-6, "µUSD"), (1e-3, 1.0, "USD"), (1e6, 1e6, "MUSD"), (1e9, 1e9, "bnUSD")),
    "ETH": ((0.0, 1e-9, "gwei"), (1e-4, 1.0, "ETH")),
    "gas/s": ((0.0, 1.0, "gas/s"), (1e3, 1e3, "kgas/s"), (1e6, 1e6, "Mgas/s")),
    "%": ((0.0, 0.01, "%"),),
    "%-points": ((0.0, 0.01, "%-points"),),
    "1/s": ((0.0, 1.0, "/s"),),
}
"""By unit: from which magnitude on, what one of the larger unit is, and what it is called."""

_DUST = 1e-8
"""US dollars below which a sum is rounding and no money: written as zero."""

_PERCENT = ("share", "drop")

_WORDS: Mapping[str, Mapping[str, str]] = {
    "time_to_finality": {
        "soft_mean": "in a block after, mean",
        "safe_mean": "safe after, mean",
        "finalized_mean": "final after, mean",
        "finalized_p95": "final after, 95th percentile",
        "finalized_unresolved": "transactions not final at the end",
    },
    "inclusion_delay": {
        "mean": "wait for a block, mean",
        "max": "wait for a block, longest",
        "dropped": "transactions dropped",
    },
    "liquidation_cascade": {
        "cascades": "cascades",
        "notional": "liquidated notional",
        "positions": "liquidated positions",
        "largest_notional": "largest cascade, notional",
        "largest_positions": "largest cascade, positions",
        "largest_rounds": "largest cascade, rounds",
        "price_drop": "largest fall of the index",
        "traders_lost": "taken from owners by liquidation",
    },
    "bad_debt": {"bad_debt": "bad debt", "covered": "shortfall covered by the insurance fund"},
    "profit_and_loss": {"sum": "sum over everybody", "profit": "profit"},
    "cost_per_transaction": {
        "execution_mean_usd": "execution, mean",
        "data_mean_usd": "data on L1, mean",
        "inclusion_mean_usd": "inclusion through L1, mean",
        "total_mean_usd": "cost of a transaction, mean",
        "total_median_usd": "cost of a transaction, median",
    },
    "disputes": {
        "assertions": "assertions",
        "false": "false assertions",
        "undetected": "false assertions confirmed",
        "undetected_share": "share of false assertions confirmed",
        "undecided": "open at the end",
        "moves": "moves in a dispute, mean",
        "resolution_mean": "from challenge to decision, mean",
        "resolution_max": "from challenge to decision, longest",
        "spend_ratio": "attackers' gas and bonds over defenders' gas",
        "attackers_gas": "gas paid by attackers",
        "attackers_bonds": "bonds lost by attackers",
        "defenders_gas": "gas paid by defenders",
        "defenders_bonds": "bonds lost by defenders",
        "defenders_rewards": "bonds won by defenders",
    },
    "withdrawal_delay": {
        "initiated": "withdrawals submitted",
        "mean": "paid after, mean",
        "p50": "paid after, median",
        "p95": "paid after, 95th percentile",
        "p99": "paid after, 99th percentile",
        "min": "paid after, shortest",
        "max": "paid after, longest",
        "paid": "withdrawals paid",
        "unpaid": "withdrawals not paid",
        "refused": "refused for want of money",
        "stolen": "stolen, in units of the bridge's asset",
    },
    "value_at_risk_before_finality": {
        "mean": "at risk until it is final, mean over time",
        "max": "at risk until it is final, at most",
    },
    "censorship_delay": {
        "mean": "kept out of blocks for, mean",
        "p50": "kept out of blocks for, median",
        "max": "kept out of blocks for, longest",
        "never": "in no block by the end",
        "failed": "in a block too late to succeed",
        "attempts": "left out on purpose",
    },
    "capital_efficiency": {
        "efficiency": "notional by unit of collateral",
        "sufficient": "notional by unit of collateral that would have sufficed",
    },
    "saturation": {
        "spent": "spent on blocks of L1",
        "blocks": "blocks of L1 filled",
        "lag": "age of the newest safe block",
        "delay": "age of the newest safe block, more than before the attack",
        "delay_per_ether": "age of the newest safe block, more than before the attack, by ether",
        "finalized_lag": "age of the newest finalized block",
        "finalized_delay": "age of the newest finalized block, more than before the attack",
        "finalized_delay_per_ether": "age of the newest finalized block, more than before the attack, by ether",
        "bad_debt_per_ether": "bad debt by ether",
    },
    "counterparty_exposure": {
        "held_mean": "margins of traders, mean over time",
        "held_max": "margins of traders, at most",
        "own_mean": "margins that rest on those alone who run the chain, mean over time",
        "committee_mean": "margins that rest on a committee that keeps the data, mean over time",
        "l1_mean": "margins that rest on data on L1, mean over time",
    },
    "settlement_cost": {
        "explicit_usd": "fees for data, gas of withdrawing",
        "capital_usd": "return that locked capital misses",
        "risk_usd": "price risk borne while unsettled",
        "total_usd": "cost of settlement",
        "total_bps": "cost of settlement, of the value",
        "locked_hours": "capital locked, times hours",
        "unsettled": "not settled when the run ended",
        "wait_mean": "unsettled for, mean",
        "count": "transactions or withdrawals",
    },
    "posting_cost": {
        "posting": "paid to L1",
        "waiting": "cost of waiting",
        "total": "posting and waiting",
        "total_error": "posting and waiting, standard error",
        "per_transaction": "posting and waiting, by transaction",
        "interval": "time between batches, mean",
        "wait_mean": "until the batch is let go, mean",
        "l1_mean": "until L1 includes it, mean",
        "cost_eth": "paid to L1 in all",
    },
    "loan_liquidations": {
        "loans": "loans liquidated",
        "liquidations": "liquidations",
        "repaid": "debt repaid",
        "seized": "collateral seized",
        "borrowers_lost": "lost by borrowers",
        "liquidators_gained": "gained by liquidators",
        "protocol_gained": "gained by the protocol",
        "gained": "gained",
        "repaid_share": "repaid of what was seized, mean",
        "bad_debt": "bad debt",
        "health_factor": "health factor before, mean",
    },
    "extraction": {
        "loss": "lost in trades",
        "movement": "lost to the price's movement",
        "fees": "fees",
        "impact": "lost to own impact",
        "extraction": "extracted from its trades",
        "taken": "taken from others' trades",
    },
    "sequencer_margin": {
        "base_revenue": "base fees taken",
        "priority_revenue": "priority fees taken",
        "data_revenue": "data fees taken",
        "operator_revenue": "operator fees taken",
        "inclusion_revenue": "fees of the queue on L1 taken",
        "revenue": "fees taken in all",
        "batch_cost": "spent on batches",
        "committee_cost": "spent on a committee",
        "assertion_cost": "spent on assertions",
        "verification_cost": "spent on verifying proofs",
        "proof_cost": "spent on making or buying proofs",
        "dispute_cost": "spent on disputes, less what was won",
        "other_cost": "spent besides",
        "settlement_cost": "spent on assertions, proofs and disputes",
        "margin": "margin",
        "margin_per_day": "margin a day",
        "data_cover": "data fees over the cost of batches",
    },
    "proving": {
        "requested": "proofs asked for",
        "made": "proofs made",
        "unmade": "not proved when the run ended",
        "lost": "work in vain, times",
        "wait_mean": "wait for a prover, mean",
        "wait_p95": "wait for a prover, 95th percentile",
        "wait_max": "wait for a prover, longest",
        "waited_share": "share that found no prover free",
        "proving_mean": "making of a proof, mean",
        "proving_p95": "making of a proof, 95th percentile",
        "busy_share": "share of the machines' time in use",
        "price_mean": "price of a proof, mean",
        "cost_each": "price and verification, an assertion",
        "gas_each": "gas of verification, an assertion",
        "verifications": "verifications on L1",
        "fined": "taken from provers' stakes",
        "finality_mean": "from assertion to finality, mean",
        "finality_max": "from assertion to finality, longest",
    },
    "loss_of_finality": {
        "missed_slots": "slots without a block",
        "undone_slots": "slots undone",
        "longest_without_finality": "longest wait for a finalized epoch",
        "epochs": "epochs",
        "epochs_not_justified": "epochs not justified",
        "epochs_in_leak": "epochs in the inactivity leak",
        "votes_min": "least share of stake whose votes were included",
        "stake_lost": "lost by stakers",
    },
    "queueing": {
        "wait_mean": "wait for execution, mean",
        "system_mean": "until executed, mean",
        "number_mean": "waiting or in execution, mean",
        "busy_share": "share of time spent executing",
        "left_behind": "waiting after a block, mean",
    },
    "throughput": {
        "transactions_a_second": "transactions",
        "reverted_share": "share reverted",
        "dropped_share": "share dropped",
        "pending_max": "most transactions waiting",
    },
}


class Scale(NamedTuple):
    """A unit to write a quantity in."""

    factor: float
    """How many base units it is."""
    unit: str
    """Its name."""


def scale(unit: str, magnitude: float) -> Scale:
    """The unit in which numbers of that magnitude, in base units, are read most easily."""
    found = Scale(1.0, unit)
    for least, factor, name in _SCALES.get(unit, ()):
        if abs(magnitude) >= least:
            found = Scale(factor, name)
    return Scale(1.0, unit) if not magnitude and unit in ("s", "USD", "ETH") else found


def own_scale(unit: str, value: float) -> Scale:
    """The unit to write one number alone in: 3600 s are 1 h, though 5400 s are 90 min rather than 1.5 h."""
    whole = (Scale(factor, name) for _, factor, name in _SCALES.get(unit, ()) if factor == abs(value))
    return next(whole, scale(unit, value))


def number(value: float, decimals: int = 0, *, signed: bool = False) -> str:
    """Digits in groups of three, a real minus sign; negative ``decimals`` round to tens, hundreds, …"""
    if isnan(value):
        return NOTHING
    if not isfinite(value):
        return f"{MINUS if value < 0 else ''}∞"
    text = f"{abs(round(value, decimals)):,.{max(0, decimals)}f}".replace(",", THIN)
    if float(text.replace(THIN, "")) == 0.0:
        return text
    return f"{MINUS if value < 0 else '+' if signed else ''}{text}"


def decimals(value: float, spread: float = float("nan")) -> int:
    """Decimals to write a value with: three digits of it, or as many as its uncertainty leaves a meaning to.

    The rule of the Particle Data Group: two digits of the uncertainty where they are below 35, else one.
    """
    if isfinite(spread) and spread > 0:
        first = floor(log10(spread))
        return max(-12, min(6, (1 if spread / 10.0**first < 3.55 else 0) - first, 4 - floor(log10(abs(value) or spread))))
    if not isfinite(value) or value == 0:
        return 0
    if value == int(value) and abs(value) < 10_000:
        return 0
    return max(-12, min(6, 2 - floor(log10(abs(value)))))


def _after(unit: str) -> str:
    return f"{THIN}{unit}" if unit else ""


def _like(value: float, like: float | None) -> float:
    """The magnitude that decides on the unit: the other's, unless the value would be lost in it."""
    return value if like is None or abs(value) < abs(like) / 50 else like


def amount(value: float, unit: str = "", *, signed: bool = False, like: float | None = None) -> str:
    """A quantity in words: ``12.8 min``, ``1.25 MUSD``, ``3.2 %``; in the unit that suits ``like`` where that is given."""
    if isnan(value):
        return NOTHING
    value = 0.0 if unit == "USD" and abs(value) < _DUST else value
    factor, name = own_scale(unit, value) if like is None else scale(unit, _like(value, like))
    scaled = round(value / factor, 12)
    return number(scaled, decimals(scaled), signed=signed) + _after(name)


def estimate(found: Interval, unit: str = "", *, signed: bool = False, like: float | None = None) -> tuple[str, str]:
    """A mean with its unit, and its interval in the same unit and to the same digits; empty where there is none."""
    if isnan(found.mean):
        return NOTHING, ""
    bounded = isfinite(found.low) and isfinite(found.high)
    if not bounded:
        return amount(found.mean, unit, signed=signed, like=like), ""
    if unit == "USD" and max(map(abs, found[:3])) < _DUST:
        found = Interval(0.0, 0.0, 0.0, found.n)
    factor, name = scale(unit, _like(max(abs(found.mean), abs(found.low), abs(found.high)), like))
    mean, low, high = (round(bound / factor, 12) for bound in found[:3])
    places = decimals(mean, (high - low) / 2)
    interval = f"[{number(low, places, signed=signed)}, {number(high, places, signed=signed)}]"
    return number(mean, places, signed=signed) + _after(name), interval


def phrase(found: Interval, unit: str = "", *, signed: bool = False, like: float | None = None) -> str:
    """Mean and interval in one: ``12.8 min [11.2, 14.4]``."""
    return " ".join(filter(None, estimate(found, unit, signed=signed, like=like)))


def is_clear(found: Interval, of: float = 0.0) -> bool:
    """Whether the interval leaves a value out."""
    return found.low > of or found.high < of


def verdict(found: Interval, of: str = "zero") -> str:
    """What an interval of a difference (or of a ratio, with ``of='one'``) says; empty where it leaves the value out."""
    value = 1.0 if of == "one" else 0.0
    if not found.n:
        return "nothing to compare"
    if found.n == 1:
        return "one replication, so no interval"
    if found.low == found.high == value:
        return "the same in every replication"
    return "" if is_clear(found, value) else f"indistinguishable from {of}"


def unit_of(figure: str, unit: str) -> str:
    """The unit to write a figure in: shares, which have none, as per cent."""
    return "%" if not unit and figure.rpartition(".")[2].rpartition("_")[2] in _PERCENT else unit


def label(figure: str, kind: str) -> str:
    """What a figure ``metric.subject.figure`` of a metric of that kind is called."""
    rest = figure.partition(".")[2]
    subject, _, last = rest.rpartition(".")
    words = _WORDS.get(kind, {}).get(last) or last.replace("_", " ").replace("p50", "median")
    subject = subject.removeprefix("groups.").removeprefix("kinds.")
    return f"{subject}: {words}" if subject else words


def listed(items: list[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(filter(None, [", ".join(items[:-1]), items[-1]])) if items else ""


def span(nanoseconds: int) -> str:
    """A duration that was given, not measured, in words: without digits that say nothing."""
    minutes, rest = divmod(nanoseconds, MINUTE)
    if minutes > 60 and not rest and minutes % 60:
        return f"{minutes // 60}{THIN}h {minutes % 60}{THIN}min"
    factor, unit = own_scale("s", nanoseconds / SECOND)
    return f"{nanoseconds / SECOND / factor:.4g}{_after(unit)}"
