"""Staffing: whether a chain's staff, settlement and L1 can do together what they are there for.

Whoever serves a rollup is of a kind that does such work, what it sends fits into L1's transactions, what it must put down it has, and
what one of them waits for somebody else makes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from l2sim.part import Part, room
from l2sim.scenario.cast import Cast, Disagreement, is_kind
from l2sim.scenario.nodes import Where
from l2sim.scenario.references import members
from l2sim.units import DURATION, GWEI, SECOND, WEI


def roles(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Who serves a rollup is of a kind that does such work, and who does such work serves a rollup."""
    if len(where) != 2:
        return
    if where[0] == "chains":
        serving = {name: getattr(kind, "roles", ()) for name, kind in room("agents").kinds().items()}
        for role in sorted({role for those in serving.values() for role in those} & part.model_fields.keys()):
            kind = cast.parts.get((*where, role))
            if kind is not None and not _serves(kind, role):
                fit = ", ".join(name for name, those in serving.items() if role in those)
                yield f"{role}.kind", f"an agent of kind '{kind.kind}' is no {role.replace('_', ' ')}; kinds that are: {fit}"
        fee = cast.parts.get((*where, "fee"))
        if fee is not None and is_kind(fee, "blob"):
            yield "fee.kind", "a fee of kind 'blob' is that of an L1's blobs, not of gas: choose another, such as 'eip1559' or 'constant'"
    elif where[0] == "agents" and (served := getattr(part, "roles", ())):
        if "on" not in part.model_fields:
            yield "kind", f"an agent of kind '{part.kind}' serves a rollup: write it under 'chains.NAME.{served[0]}'"
        elif fields.get("on") is None:
            yield "on", "it watches no rollup: name one under 'on'"


def _serves(kind: type[Part], role: str) -> bool:
    """Whether a kind of agent does what a field of a rollup is for; of another package's, the world needs a sequencer's rhythm only."""
    if named := getattr(kind, "roles", ()):
        return role in named
    return not kind.__module__.startswith("l2sim.") and (role != "sequencer" or hasattr(kind, "instants"))


def rivals(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A staker plays where assertions exclude each other, and a delay attack makes rivals there."""
    if len(where) != 2 or where[0] not in ("chains", "agents", "attacks"):
        return
    own = where[0] == "chains"
    who, on = (cast.parts.get((*where, "proposer")), where[1]) if own else (part, str(fields.get("on")))
    settlement = cast.parts.get(("chains", on, "settlement"))
    if who is None or settlement is None or getattr(who, "needs", "") != "rivals" or getattr(settlement, "rivals", False):
        return
    how = f"'{on}' settles by '{settlement.kind}', where assertions have no rivals, so a {who.kind.replace('_', ' ')} has nothing to play"
    if own:
        yield "proposer.kind", f"{how}: write 'proposer: {{kind: proposer}}'"
    elif getattr(settlement, "challenged", True):
        yield "on", how + (": use an attack of kind 'stalled_game'" if where[0] == "attacks" else ": use an agent of kind 'validator'")


def permitted(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Who alone may challenge is somebody who does, and a guardian somebody who acts."""
    if where[2:] == ("settlement",):
        yield from _able("challenger", fields, cast, "validator", lambda who: getattr(who, "contests", False))
        yield from _able("guardian", fields, cast, "security_council", lambda who: is_kind(who, "security_council"))


def _able(field: str, fields: Mapping[str, Any], cast: Cast, kind: str, fit: Callable[[type[Part]], bool]) -> Disagreement:
    """An agent that is named does what the field is for; those of other packages know themselves what they can."""
    who = cast.parts.get(("agents", str(fields.get(field))))
    if who is not None and not fit(who) and who.__module__.startswith("l2sim."):
        there = cast.those("agents", fit)
        message = f"'{fields[field]}' is of kind '{who.kind}', which does nothing as {field}: name an agent of kind '{kind}'"
        yield field, f"{message}; there are: {there}" if there else message


def provers(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Where proofs are bought somebody makes them, and who makes them is where they are bought."""
    if len(where) != 2:
        return
    if getattr(part, "needs", "") == "market":
        market = members(cast.scenario, "markets").get(str(fields.get("market")))
        on = market.get("on") if isinstance(market, Mapping) else fields.get("on")
        chain = members(cast.scenario, "chains").get(str(on))
        if isinstance(chain, Mapping) and chain.get("settlement") and _market(chain) is None:
            remedy = "give its settlement, of kind 'validity_proof', a 'market'"
            yield "market" if "market" in fields else "on", f"nobody buys proofs for '{on}': {remedy}"
    if where[0] == "chains" and _market(fields) is not None:
        around = members(cast.scenario, "agents").items()
        there = [cast.parts.get(("agents", name)) for name, one in around if isinstance(one, Mapping) and one.get("on") == where[1]]
        if not any(one is not None and (is_kind(one, "prover") or not one.__module__.startswith("l2sim.")) for one in there):
            message = (
                f"nobody makes the proofs that are bought here: give it provers, such as 'agents.provers: {{kind: prover, on: {where[1]}}}'"
            )
            yield "settlement.market", f"{message}, or write 'market: null'"


def _market(chain: Mapping[str, Any]) -> Any:
    """The market for proofs of a rollup as it is written."""
    settlement = chain.get("settlement")
    return settlement.get("market") if isinstance(settlement, Mapping) else None


def chains(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """What a rollup asks of its L1 is what that takes, and what its staff must put down they have."""
    if len(where) != 2 or where[0] != "chains" or "settles_on" not in part.model_fields:
        return
    rollup, l1 = cast.one("chains", where[1]), cast.one("chains", str(fields.get("settles_on")))
    if rollup is None:
        return
    if rollup.settles_on is None:
        yield from _charged(rollup)
    elif l1 is not None and l1.kind == "l1":
        yield from _fits("settlement.", rollup.settlement, rollup.settles_on, l1, cast)
        yield from _fits("forced_inclusion.", rollup.forced_inclusion, rollup.settles_on, l1, cast)
        yield from _in_time(rollup.forced_inclusion, getattr(rollup.batch_poster, "policy", None), l1.slot)
    if rollup.proposer is not None and rollup.settlement is not None and getattr(rollup.proposer, "interval", 0) is not None:
        yield from _pays("proposer.", rollup.proposer, where[1], rollup.settlement)


def around(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """What bridges and agents send to a rollup's L1 fits there too."""
    if len(where) != 2 or where[0] not in ("markets", "agents") or "on" not in part.model_fields:
        return
    rollup = cast.one("chains", str(fields.get("on")))
    if getattr(rollup, "settlement", None) is None or (member := cast.one(where[0], where[1])) is None:
        return
    l1 = cast.one("chains", rollup.settles_on)
    if l1 is not None and l1.kind == "l1":
        yield from _fits("", member, rollup.settles_on, l1, cast)


def _fits(at: str, part: Any, name: str, l1: Any, cast: Cast) -> Disagreement:
    """Each of a part's transactions is one that L1 includes, under every fork of the run."""
    for field, gas in part.calls().items() if hasattr(part, "calls") else ():
        for when, fork in forks(l1, cast.scenario):
            most = min(fork.transaction_gas or l1.gas_limit, l1.gas_limit)
            if gas > most:
                yield f"{at}{field}", f"a transaction on '{name}' uses {most} gas at most {when}, not {gas}; it would never be included"
                break


def forks(l1: Any, scenario: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The forks of an L1 that are in force during the run, and from when on; none where the run's duration cannot be read."""
    began = l1.began()
    try:
        ends = began + DURATION.read(scenario.get("duration")) // SECOND
    except PydanticCustomError:
        return
    yield "at the start", l1.blob_fee.fork(began)
    for name, fork in l1.blob_fee.forks.items():
        if began < fork.begins <= ends:
            yield f"from fork '{name}' on", fork


def _pays(at: str, who: Any, on: str, settlement: Any) -> Disagreement:
    """Who asserts has more than the first assertion takes, as there is gas to pay too."""
    funds, stake = getattr(who, "funds", None), settlement.first_stake()
    if isinstance(funds, int) and stake and funds <= stake:
        message = f"'{on}' takes {WEI.write(stake)} with a first assertion, and L1 gas besides, which {WEI.write(funds)} do not pay"
        yield f"{at}funds", f"{message}, so nothing would be asserted: bring more"


def _charged(rollup: Any) -> Disagreement:
    """Where there is no L1, nobody is charged by L1's fees."""
    rule = rollup.data_fee
    try:
        free, dear = (rule.charge(rule.genesis(fee, fee), fee, fee, 0) for fee in (0, GWEI)) if rule is not None else (0, 0)
    except (ValueError, ArithmeticError):
        return
    remedy = "name an L1 under 'settles_on', or choose a fee that asks for none, such as 'data_fee: 0'"
    if free != dear:
        yield "data_fee", f"a data fee of kind '{rule.kind}' goes by L1's fees, of which there are none, so data would be free: {remedy}"
    elif rule is None and rollup.data_fee_scalar not in (0, 1):
        yield "data_fee_scalar", f"it multiplies L1's fees, of which there are none, so data would be free: {remedy}"


def _in_time(rule: Any, policy: Any, slot: int) -> Disagreement:
    """The clocks of a rollup's way through L1 go together; a test of the kind alone is the kind's own."""
    window, delay, waits = (getattr(rule, name, 0) for name in ("window", "delay", "confirmations"))
    if window and is_kind(type(rule), "op_deposits"):
        if rule.drift >= window * slot:
            spans = f"{window} blocks, {DURATION.write(window * slot)}"
            message = f"{DURATION.write(rule.drift)} of drift are as long as the sequencing window, {spans}, or longer"
            yield "forced_inclusion.drift", f"{message}: blocks could never be too far ahead; lower 'drift', or raise 'window'"
        if hasattr(policy, "closes") and policy.closes() >= window:
            message = f"the batch poster may keep blocks for {policy.closes()} L1 blocks, longer than this window of {window} lasts"
            yield "forced_inclusion.window", f"{message}: set 'batch_poster.policy.max_channel_duration' below it"
    # Who shortens the delay alone, so that everything is forced, has a reason to.
    elif is_kind(type(rule), "delayed_inbox") and waits > delay and waits != type(rule).model_fields["confirmations"].default:
        message = f"an honest sequencer that waits for {waits} blocks is later than the delay of {delay}, after which anybody may force"
        yield "forced_inclusion.confirmations", f"{message}: lower it, or raise 'delay'"


STAFFING = (roles, rivals, permitted, provers, chains, around)
"""All checks, as ``agreement`` calls them."""
