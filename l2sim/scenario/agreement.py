"""Agreement: members that exist but do not go together, such as a market on a chain that has no markets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from l2sim.data_fees import NO_CHARGE, Charge
from l2sim.part import Part, Refers, did_you_mean
from l2sim.scenario.cast import Cast, Disagreement, is_kind
from l2sim.scenario.mistakes import Mistake
from l2sim.scenario.nodes import Where
from l2sim.scenario.references import Found, members
from l2sim.scenario.staffing import STAFFING, forks
from l2sim.units import GAS
from l2sim.world.ledger import BURNED, EXPENSES
from l2sim.world.throttle import DataThrottle

NAMELESS = (BURNED, EXPENSES, "kinds")
"""Subjects of figures that no section names: groups of accounts, and sums over agents of a kind."""


def disagreements(found: Sequence[Found], scenario: Mapping[str, Any], regions: Sequence[str]) -> Iterator[tuple[Where, bool, Mistake]]:
    """What does not go together: a path, whether its last key is what is wrong, and a mistake whose mark is left to the caller."""
    cast = Cast(scenario, {one.where: one.part for one in found if one.part is not None and (one.part.kind or not one.part.room)}, regions)
    for one in found:
        if one.refers is not None:
            for message in _suits(one.refers, str(one.value), cast):
                yield one.where, one.key, Mistake(message, ".".join(one.where))
        if one.part is None or not isinstance(one.value, Mapping):
            continue
        checks = (_market, _room_in_blocks, _settlement, _batches, _validators, _committee, _region, _action, _steps, _column)
        for check in (*checks, _challenges, _governs, _forced, _escapes, *STAFFING):
            for key, message in check(one.where, one.part, one.value, cast):
                where = (*one.where, *key.split("."))
                yield where, "." in key, Mistake(message, ".".join(where))


def _suits(refers: Refers, name: str, cast: Cast) -> Iterator[str]:
    """A member that is named is of a kind that will do; of a metric's figures, the subject is a member of the scenario."""
    if refers.dotted:
        yield from _subject(refers.section, name, cast)
    part = cast.parts.get((refers.section, name))
    if part is None:
        return
    missing = [action for action in refers.offers if action not in getattr(part, "actions", {})]
    if missing:
        fit = cast.those(refers.section, lambda part: set(refers.offers) <= getattr(part, "actions", {}).keys())
        yield f"'{name}' is of kind '{part.kind}', which has no action '{missing[0]}'" + (f"; those that have: {fit}" if fit else "")
    member = members(cast.scenario, refers.section).get(name)
    if refers.has and isinstance(member, Mapping) and refers.has in part.model_fields and not member.get(refers.has):
        yield f"'{name}' has no {refers.has}: give it one"
    if refers.kind and not is_kind(part, refers.kind):
        fit = cast.those(refers.section, lambda part: is_kind(part, refers.kind))
        yield f"'{name}' is of kind '{part.kind}', where kind '{refers.kind}' is due" + (f"; of that kind are: {fit}" if fit else "")


def _subject(section: str, figure: str, cast: Cast) -> Iterator[str]:
    """A figure such as ``fees.traders on op.base_mean`` or ``profit.groups.op.proposer.profit`` is of somebody that there is."""
    metric, _, rest = figure.partition(".")
    part = cast.parts.get((section, metric))
    sections: Sequence[str] = getattr(part, "subjects", ())
    if "attacks" in sections and not members(cast.scenario, "attacks"):
        return  # perhaps the same world where nobody attacks, of which the attacker's figures are asked all the same
    subject = rest.removeprefix("groups.").rpartition(".")[0].partition(" ")[0].partition(".")[0]
    known = {*NAMELESS, *(name for one in sections for name in members(cast.scenario, one))}
    if part is not None and sections and subject and subject not in known:
        nouns = " or ".join(one.removesuffix("s") for one in sections)
        hint = did_you_mean(subject, known - set(NAMELESS))
        yield f"'{metric}' says nothing about '{subject}': there is no {nouns} of that name{hint}"


def _market(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A market is on a chain that has markets, and reads feeds of that chain only."""
    if len(where) != 2 or where[0] != "markets":
        return
    on = fields.get("on")
    chain = cast.chain(on)
    if chain is not None and not getattr(chain, "trades", True):
        fit = cast.those("chains", lambda part: getattr(part, "trades", True))
        yield "on", f"'{on}' is of kind '{chain.kind}', which has no markets" + (f"; chains that have: {fit}" if fit else "")
    feed = members(cast.scenario, "markets").get(str(fields.get("index")))
    if isinstance(feed, Mapping) and feed.get("on") != on:
        yield "index", f"feed '{fields['index']}' is on '{feed.get('on')}', not on '{on}'"


def _room_in_blocks(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Whatever one may do on a chain fits into its blocks; else it would wait for ever, and everything behind it too."""
    if len(where) != 2 or where[0] != "chains":
        return
    charge = _charge(where, fields, cast)
    for key in ("block_gas_limit", "throttled_gas_limit"):
        try:
            limit = GAS.read(fields[key])
        except (KeyError, PydanticCustomError):
            continue
        for name, market in members(cast.scenario, "markets").items():
            if not isinstance(market, Mapping) or market.get("on") != where[1]:
                continue
            kind = cast.parts.get(("markets", name))
            uses: Mapping[str, int] = getattr(kind, "gas", {})
            counts = {action: charge.counts(size) for action, size in getattr(kind, "size", {}).items()}
            heaviest, largest = (max(those, key=those.__getitem__, default="") for those in (uses, counts))
            if heaviest and uses[heaviest] > limit:
                yield key, f"'{heaviest}' in market '{name}' uses {uses[heaviest]} gas and would never fit into a block of {limit}"
            elif largest and counts[largest] > limit:
                message = f"the data of '{largest}' in market '{name}' count for {counts[largest]} gas"
                yield key, f"{message} and would never fit into a block of {limit}"
    try:
        throttle = DataThrottle.model_validate(fields.get("data_throttle"))
    except ValueError:
        return
    for name, market in members(cast.scenario, "markets").items():
        if isinstance(market, Mapping) and market.get("on") == where[1]:
            sizes = getattr(cast.parts.get(("markets", name)), "size", {})
            for action in [action for action, size in sizes.items() if charge.weighs(size) > throttle.least_block]:
                message = f"'{action}' in market '{name}' brings {charge.weighs(sizes[action])} B of data"
                yield "data_throttle", f"{message} and would never fit into a block of 'least_block', {throttle.least_block} B"
                break


def _charge(where: Where, fields: Mapping[str, Any], cast: Cast) -> Charge:
    """What a transaction's data count for on a chain; nothing where its rule is wrong, which is said elsewhere."""
    data_fee, kind = fields.get("data_fee"), cast.parts.get((*where, "data_fee"))
    if not isinstance(data_fee, Mapping) or kind is None:
        return NO_CHARGE
    try:
        rule: Any = kind.model_validate({key: value for key, value in data_fee.items() if key != "kind"})
        charge: Charge = rule.charge(rule.genesis(0, 0), 0, 0, 0)
    except (ValueError, ArithmeticError, AttributeError):
        return NO_CHARGE
    return charge


_FIXED = "assertions about this rollup, and the proofs, disputes and withdrawals that follow from them, cannot be undone on '{}'"
_LEFT = "a stop of this rollup, and money that left it through its escape hatch, cannot be undone on '{}'"


def _settlement(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A chain settles on an L1."""
    chain = cast.chain(fields.get("settles_on")) if "settles_on" in part.model_fields else None
    if chain is not None and chain.kind != "l1":
        fit = cast.those("chains", lambda part: part.kind == "l1")
        choice = f"; of kind 'l1' are: {fit}" if fit else "; add a chain of kind 'l1'"
        yield "settles_on", f"'{fields['settles_on']}' is of kind '{chain.kind}', which keeps no batches{choice}"
    if "settles_on" in part.model_fields and fields.get("batch_poster") and not fields.get("settles_on"):
        yield "settles_on", "a batch poster needs an L1 to post to: name it here, or write 'batch_poster: null'"
    # Deposits live with blocks that are undone; assertions, which nobody makes without a proposer, a staker or a liar, do not,
    # nor does what is paid where nobody makes any, through the escape hatch.
    if fields.get("settlement") and (
        undo := [name for name, attack in cast.made("attacks") if fields.get("settles_on") in attack.reverses()]
    ):
        there = {where[1], *(name for name, market in members(cast.scenario, "markets").items() if _on(market) == where[1])}
        others = any(not there.isdisjoint(one.proposes()) for section in ("agents", "attacks") for _, one in cast.made(section))
        rest = "" if others else "; or write 'proposer: null' here, so that nothing is asserted"
        for name in undo if others or fields.get("proposer") else ():
            yield "settlement", f"{_FIXED.format(fields['settles_on'])}, whose blocks attack '{name}' undoes: leave the attack out{rest}"
        inclusion = fields.get("forced_inclusion")
        opens = isinstance(inclusion, Mapping) and inclusion.get("escape_after") is not None
        for name in undo if opens else ():
            message = f"{_LEFT.format(fields['settles_on'])}, whose blocks attack '{name}' undoes: leave the attack out"
            never = f"write 'escape_after: null' under 'chains.{where[1]}.forced_inclusion', so that it never opens"
            yield "forced_inclusion.escape_after", f"{message}; or {never}"


def _on(market: Any) -> Any:
    """The chain that a market is on, as it is written."""
    return market.get("on") if isinstance(market, Mapping) else None


def _validators(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A group of validators is one of that L1's; blocks that are late, and so may be undone, are not what disputes are fought in."""
    if len(where) != 2:
        return
    chains = members(cast.scenario, "chains")
    if where[0] == "attacks" and {"on", "group"} <= part.model_fields.keys():
        groups = _groups(chains.get(str(fields.get("on"))))
        if groups is not None and fields.get("group") is not None and fields["group"] not in groups:
            none = f": '{fields['on']}' needs a consensus that has some, such as 'casper'"
            hint = did_you_mean(str(fields["group"]), groups) if groups else none
            yield "group", f"there is no group of validators '{fields['group']}' on '{fields['on']}'{hint}"
    if where[0] == "chains" and fields.get("settlement"):
        for name, group in (_groups(chains.get(str(fields.get("settles_on")))) or {}).items():
            if isinstance(group, Mapping) and group.get("late") not in (None, 0, "0", "0 %"):
                message = f"{_FIXED.format(fields['settles_on'])}, where blocks of '{name}' may be late and undone"
                yield "settlement", f"{message}: leave 'late' out"


def _committee(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """No more members of a committee collude than there are."""
    if len(where) != 2 or where[0] != "attacks" or not {"on", "members"} <= part.model_fields.keys():
        return
    chain = members(cast.scenario, "chains").get(str(fields.get("on")))
    room = chain.get("availability") if isinstance(chain, Mapping) else None
    keeps = cast.parts.get(("chains", str(fields.get("on")), "availability"))
    if not isinstance(room, Mapping) or keeps is None or "members" not in keeps.model_fields:
        return
    there, colluding = room.get("members", keeps.model_fields["members"].default), fields.get("members")
    if isinstance(there, int) and isinstance(colluding, int) and colluding > there:
        yield "members", f"{colluding} members collude, but the committee of '{fields['on']}' has {there}"


def _groups(chain: Any) -> Mapping[str, Any] | None:
    """The groups of validators of an L1; None where it has no consensus of its own."""
    consensus = chain.get("consensus") if isinstance(chain, Mapping) else None
    groups = consensus.get("groups", {}) if isinstance(consensus, Mapping) else None
    return groups if isinstance(groups, Mapping) else None


def _batches(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A full batch goes in transactions that L1's blocks may hold, under every fork of the run; else it would wait for ever."""
    poster, l1 = fields.get("batch_poster"), members(cast.scenario, "chains").get(str(fields.get("settles_on")))
    chain = cast.chain(fields.get("settles_on"))
    if len(where) != 2 or where[0] != "chains" or not isinstance(poster, Mapping) or not isinstance(l1, Mapping) or chain is None:
        return
    try:
        rollup: Any = part.model_validate({key: value for key, value in fields.items() if key != "kind"})
        rules: Any = chain.model_validate({key: value for key, value in l1.items() if key != "kind"})
        during = list(forks(rules, cast.scenario))
        loads = [rollup.batch_poster.heaviest(rollup.availability, rules.slot, fork.calldata_floor) for _, fork in during]
    except (ValueError, AttributeError):
        return  # what is wrong with the chains themselves is said elsewhere
    for (when, fork), ways in zip(during, loads, strict=True):
        most = fork.most_blobs
        most_gas = min(fork.transaction_gas or rules.gas_limit, rules.gas_limit)
        if any(blobs <= most and gas <= most_gas for blobs, gas in ways):
            continue
        blobs, gas = ways[0]
        causes: tuple[str, ...]
        if blobs > most:
            causes, message = ("full", "blobs"), f"carries {most} blobs at most {when}, not {blobs}"
        else:
            causes = ("gas",) if blobs else ("full", "data")
            message = f"uses {most_gas} gas at most {when}, and the largest of a full batch {gas}"
        # A policy may have sizes of its own.
        cause = next((f".{cause}" for cause in causes if poster.get(cause) is not None and "policy" not in poster), "")
        yield f"batch_poster{cause}", f"a transaction on '{fields['settles_on']}' {message}; it would never be included"
        return
    for when, fork in during:
        lasts, wholes = rollup.batch_poster.whole(rollup.availability, rules.slot, fork.calldata_floor)
        if lasts is None:
            return
        most = fork.most_blobs, min(fork.transaction_gas or rules.gas_limit, rules.gas_limit)
        fit = [whole for whole in wholes if all(blobs <= most[0] and gas <= most[1] for blobs, gas in whole)]
        apart = min(_blocks(whole, fork.maximum, rules.gas_limit) for whole in fit) - 1
        if apart > lasts:
            message = f"the transactions of a full batch are at least {apart} blocks of '{fields['settles_on']}' apart {when}"
            yield "batch_poster.policy", f"{message}, and may be {lasts}: it would never be in time"
            return


def _blocks(loads: list[tuple[int, int]], blobs: int, gas: int) -> int:
    """Blocks with room for so much that transactions take at least, all of the same blobs and gas but the last, which is smaller."""
    n, room = 1, (blobs, gas)
    for load in loads:
        if load[0] > room[0] or load[1] > room[1]:
            n, room = n + 1, (blobs, gas)
        room = room[0] - load[0], room[1] - load[1]
    return n


def _challenges(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Who contests assertions does so where that is possible; a validator not where a false one is answered by a true one beside it."""
    settlement = cast.parts.get(("chains", str(fields.get("on")), "settlement"))
    if len(where) != 2 or settlement is None or not getattr(part, "contests", False):
        return
    how = f"'{fields['on']}' settles by '{settlement.kind}'"
    if is_kind(part, "validator") and getattr(settlement, "rivals", False):
        message = f"{how}, where a false assertion is answered by a true one with a stake"
        yield "on", f"{message}, and a validator can do nothing: use an agent of kind 'staker'"
    elif not getattr(settlement, "challenged", True) and not (is_kind(part, "stalled_game") and fields.get("challenges") is False):
        instead = "; a 'security_council', the settlement's 'guardian', may act where proofs have a fault"
        if is_kind(part, "stalled_game"):
            instead = ", or write 'challenges: false'"
        yield "on", f"{how}, where L1 believes proofs and nobody can contest an assertion: leave '{where[1]}' out{instead}"


def _governs(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A security council is the guardian of the settlement that it watches, which knows what it is to do."""
    settlement = cast.parts.get(("chains", str(fields.get("on")), "settlement"))
    if len(where) != 2 or not is_kind(part, "security_council") or settlement is None:
        return
    chain = members(cast.scenario, "chains").get(str(fields["on"]))
    settles = chain.get("settlement") if isinstance(chain, Mapping) else None
    given: Mapping[str, Any] = settles if isinstance(settles, Mapping) else {}
    named = given.get("guardian")
    if "guardian" in settlement.model_fields and named != where[1]:
        who = f"the guardian of '{fields['on']}' is '{named}'" if named else f"the settlement of '{fields['on']}' names no guardian"
        yield "on", f"{who}, so this council may do nothing: write 'guardian: {where[1]}' under 'chains.{fields['on']}.settlement'"
    if "faulty_from" in settlement.model_fields and given.get("faulty_from") is None and fields.get("pauses_at") is None:
        message = f"'{fields['on']}' settles by '{settlement.kind}', where nothing false is proved, so this council would never act"
        yield "on", f"{message}: write 'pauses_at' here, or 'faulty_from' under 'chains.{fields['on']}.settlement'"
    for key in ("falls_back", "falls_back_at"):
        if fields.get(key) not in (None, False) and "fall back" not in getattr(settlement, "powers", ()):
            message = f"'{fields['on']}' settles by '{settlement.kind}', which has nothing to fall back to"
            yield key, f"{message}: leave '{key}' out, or settle by 'dispute_game'"


def _forced(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """What is sent through L1 after a time is sent to a chain that takes something from there."""
    if "forced_after" not in part.model_fields or fields.get("forced_after") is None:
        return
    on, rule = _inclusion(fields, cast)
    if on and (rule is None or not getattr(rule, "queues", True)):
        has = "has none" if rule is None else f"has kind '{rule.kind}'"
        remedy = f"leave 'forced_after' out, or write another kind under 'chains.{on}.forced_inclusion'"
        yield "forced_after", f"nothing reaches '{on}' through an L1, whose 'forced_inclusion' {has}: {remedy}"


def _escapes(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """Who leaves through an escape hatch leaves by a bridge of a chain that has one."""
    market = cast.parts.get(("markets", str(fields.get("market"))))
    on, rule = _inclusion(fields, cast)
    if len(where) != 2 or not is_kind(part, "crowd_of_exiters") or market is None:
        return
    if not is_kind(market, "bridge"):
        fit = cast.those("markets", lambda part: is_kind(part, "bridge"))
        yield "market", f"'{fields['market']}' is of kind '{market.kind}', where a bridge is due" + (f"; bridges are: {fit}" if fit else "")
        return
    inclusion = (members(cast.scenario, "chains").get(on) or {}).get("forced_inclusion") if on else None
    if on and (rule is None or not isinstance(inclusion, Mapping) or inclusion.get("escape_after") is None):
        remedy = f"write how long under 'chains.{on}.forced_inclusion.escape_after', such as '7d'"
        yield "market", f"nobody escapes through '{fields['market']}', since nobody may ever stop '{on}': {remedy}"


def _inclusion(fields: Mapping[str, Any], cast: Cast) -> tuple[str, type[Part] | None]:
    """The chain of the market that is named, where it is known, and its rule about what is sent through L1."""
    market = members(cast.scenario, "markets").get(str(fields.get("market")))
    on = str(market.get("on")) if isinstance(market, Mapping) else ""
    return (on, cast.parts.get(("chains", on, "forced_inclusion"))) if cast.chain(on) is not None else ("", None)


def _region(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A region is on the network."""
    region = fields.get("region")
    if "region" in part.model_fields and isinstance(region, str) and region not in cast.regions:
        yield "region", f"there is no region '{region}' on the network{did_you_mean(region, cast.regions)}"


def _action(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A market offers the action, with these fields."""
    market = cast.parts.get(("markets", str(fields.get("market"))))
    offered: Mapping[str, Sequence[str]] = getattr(market, "actions", {})
    action = fields.get("action")
    if not isinstance(action, str) or not offered:
        return
    if action not in offered:
        yield "action", f"market '{fields['market']}' has no action '{action}'{did_you_mean(action, offered)}"
        return
    given = fields.get("fields")
    for name in given if isinstance(given, Mapping) else ():
        if name not in offered[action]:
            yield f"fields.{name}", f"action '{action}' has no field '{name}'{did_you_mean(name, offered[action])}"
    takes = fields.get("takes")
    if isinstance(takes, str) and takes not in offered[action]:
        yield "takes", f"action '{action}' has no field '{takes}'{did_you_mean(takes, offered[action])}"


def _steps(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """The acts of one transaction are on one chain; what must be undone in the same transaction is not alone in it."""
    if "then" not in part.model_fields:
        return
    market, then = str(fields.get("market")), fields.get("then")
    markets = members(cast.scenario, "markets")
    if isinstance(then, Mapping):
        here, there = markets.get(market), markets.get(str(then.get("market")))
        if isinstance(here, Mapping) and isinstance(there, Mapping) and here.get("on") != there.get("on"):
            message = f"'{then['market']}' is on '{there.get('on')}', but '{market}' on '{here.get('on')}': a transaction is on one chain"
            yield "then.market", message
    elif where[-1] != "then" and fields.get("action") in getattr(cast.parts.get(("markets", market)), "within", ()):
        yield "action", f"'{fields['action']}' must be undone in the same transaction: write under 'then' what it does next"


def _column(where: Where, part: type[Part], fields: Mapping[str, Any], cast: Cast) -> Disagreement:
    """A recording has the column."""
    data = members(cast.scenario, "data").get(str(fields.get("data")))
    columns = data.get("columns") if isinstance(data, Mapping) else None
    column = fields.get("column")
    if isinstance(column, str) and isinstance(columns, Mapping | list) and column not in columns:
        yield "column", f"data '{fields['data']}' has no column '{column}'{did_you_mean(column, [str(name) for name in columns])}"
