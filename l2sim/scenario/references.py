"""References: one walk over annotations and plain data that finds the class of every part and every name of another member."""

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic_core import PydanticCustomError

from l2sim.part import InRoom, Part, Refers, did_you_mean, room
from l2sim.scenario.mistakes import Mistake
from l2sim.scenario.nodes import Where


class Found(NamedTuple):
    """A part or a reference in a scenario, before anything is validated."""

    where: Where
    value: Any
    part: type[Part] | None = None
    """The class that the value is read as, where it is a part."""
    sections: tuple[str, ...] = ()
    """The sections of which the value names a member, where it is a reference."""
    key: bool = False
    """Whether the reference is the last key of ``where`` and not what is under it."""


def walk(annotation: Any, value: Any, where: Where = (), metadata: Sequence[Any] = (), key: bool = False) -> Iterator[Found]:
    """Every part and every reference in ``value``, which is written for a field annotated so."""
    for note in metadata:
        if isinstance(note, Refers) and isinstance(value, str):
            yield Found(where, value, sections=tuple(note.section.split("|")), key=key)
        elif isinstance(note, InRoom):
            annotation = room(note.name).base
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from walk(arguments[0], value, where, arguments[1:], key)
    elif origin in (Union, UnionType):
        for arm in arguments:
            yield from walk(arm, value, where, key=key)
    elif isinstance(value, Mapping) and len(arguments) == 2:
        for name, member in value.items():
            yield from walk(arguments[0], name, (*where, name), key=True)
            yield from walk(arguments[1], member, (*where, name))
    elif isinstance(value, list | tuple) and arguments:
        for i, member in enumerate(value):
            yield from walk(arguments[0 if len(arguments) == 1 or arguments[-1] is ... else i % len(arguments)], member, (*where, str(i)))
    elif isinstance(annotation, type) and issubclass(annotation, Part) and isinstance(value, Mapping | Part):
        yield from _inside(annotation, value, where)


def _inside(annotation: type[Part], value: Any, where: Where) -> Iterator[Found]:
    part = type(value) if isinstance(value, Part) else annotation
    if isinstance(value, Mapping) and annotation.room is not None and "kind" in value:
        try:
            part = annotation.room.find(str(value["kind"]))
        except PydanticCustomError:
            return
    yield Found(where, value, part=part)
    for name, field in part.model_fields.items():
        written = field.alias or name
        inner = getattr(value, name) if isinstance(value, Part) else value.get(written, field.get_default(call_default_factory=False))
        yield from walk(field.annotation, inner, (*where, written), field.metadata)


def unresolved(found: Sequence[Found], scenario: Mapping[str, Any]) -> Iterator[tuple[Found, Mistake]]:
    """The references that lead nowhere, or to a member that cannot serve; marks are left to the caller."""
    for one in found:
        if not one.sections:
            continue
        known = sorted({name for section in one.sections for name in _members(scenario, section)})
        if one.value not in known:
            nouns = " or ".join(_NOUNS.get(section, section) for section in one.sections)
            hint = did_you_mean(one.value, known) or f"; there is nothing under '{one.sections[0]}'"
            yield one, Mistake(f"there is no {nouns} '{one.value}'{hint}", ".".join(one.where))


def unfit(found: Sequence[Found], scenario: Mapping[str, Any], regions: Sequence[str]) -> Iterator[tuple[Where, Mistake]]:
    """Members that exist but cannot serve: a market on a chain without markets, a region that is not on the network."""
    chains = {one.where[1]: one.part for one in found if one.part and len(one.where) == 2 and one.where[0] == "chains"}
    markets = {one.where[1]: one.part for one in found if one.part and len(one.where) == 2 and one.where[0] == "markets"}
    for one in found:
        fields = one.value if isinstance(one.value, Mapping) else {}
        if one.part is None:
            continue
        if len(one.where) == 2 and one.where[0] == "markets":
            chain = chains.get(str(fields.get("on")))
            if chain is not None and not getattr(chain, "trades", True):
                fit = sorted(name for name, part in chains.items() if getattr(part, "trades", True))
                choice = f"; chains that have: {', '.join(fit)}" if fit else ""
                yield (*one.where, "on"), Mistake(f"'{fields['on']}' is of kind '{chain.kind}', which has no markets{choice}")
        settled = chains.get(str(fields.get("settles_on"))) if "settles_on" in one.part.model_fields else None
        if settled is not None and settled.kind != "l1":
            fit = sorted(name for name, part in chains.items() if part and part.kind == "l1")
            choice = f"; of kind 'l1' are: {', '.join(fit)}" if fit else "; add a chain of kind 'l1'"
            yield (
                (*one.where, "settles_on"),
                Mistake(f"'{fields['settles_on']}' is of kind '{settled.kind}', which keeps no batches{choice}"),
            )
        region = fields.get("region")
        if "region" in one.part.model_fields and isinstance(region, str) and region not in regions:
            yield (*one.where, "region"), Mistake(f"there is no region '{region}' on the network{did_you_mean(region, regions)}")
        market, action = markets.get(str(fields.get("market"))), fields.get("action")
        offered = getattr(market, "actions", {})
        if isinstance(action, str) and offered and action not in offered:
            yield (*one.where, "action"), Mistake(f"market '{fields['market']}' has no action '{action}'{did_you_mean(action, offered)}")
        data = _members(scenario, "data").get(str(fields.get("data")))
        columns = data.get("columns") if isinstance(data, Mapping) else None
        column = fields.get("column", one.part.model_fields["column"].default if "column" in one.part.model_fields else None)
        if isinstance(column, str) and columns and column not in columns:
            at = (*one.where, "column") if "column" in fields else (*one.where, "data")
            yield at, Mistake(f"data '{fields['data']}' has no column '{column}'{did_you_mean(column, columns)}")


def _members(scenario: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    members = scenario.get(section)
    return members if isinstance(members, Mapping) else {}


_NOUNS = {"chains": "chain", "markets": "market", "prices": "price", "agents": "agent", "attacks": "attack", "metrics": "metric"}
