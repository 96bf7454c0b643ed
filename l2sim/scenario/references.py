"""References: one walk over annotations and plain data that finds the class of every part and every name of another member."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
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
    refers: Refers | None = None
    """Of which sections the value names a member, and which one will do, where it is a reference."""
    key: bool = False
    """Whether the reference is the last key of ``where`` and not what is under it."""


def walk(annotation: Any, value: Any, where: Where = (), metadata: Sequence[Any] = (), key: bool = False) -> Iterator[Found]:
    """Every part and every reference in ``value``, which is written for a field annotated so."""
    for note in metadata:
        if isinstance(note, Refers) and isinstance(value, str):
            yield Found(where, value, refers=note, key=key)
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
        if one.refers is None:
            continue
        sections = one.refers.section.split("|")
        serving = (_serving(scenario, section, alone=len(sections) == 1) for section in sections)
        known = sorted({*one.refers.also, *chain.from_iterable(serving)})
        name = one.value.partition(".")[0] if one.refers.dotted else one.value
        if name not in known:
            nouns = " or ".join(_NOUNS.get(section, section) for section in sections)
            hint = did_you_mean(name, known) or f"; there is nothing under '{sections[0]}'"
            yield one, Mistake(f"there is no {nouns} '{name}'{hint}", ".".join(one.where))


def _serving(scenario: Mapping[str, Any], section: str, alone: bool) -> Iterator[str]:
    """The members of a section that a reference may name: beside prices, only the markets that show one."""
    for name, member in members(scenario, section).items():
        if alone or section != "markets" or (isinstance(member, Mapping) and member.get("kind") == "price_feed"):
            yield name


def members(scenario: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """What is in a section; nothing where it is no mapping."""
    found = scenario.get(section)
    return found if isinstance(found, Mapping) else {}


_NOUNS = {"chains": "chain", "markets": "market", "prices": "price", "agents": "agent", "attacks": "attack", "metrics": "metric"}
