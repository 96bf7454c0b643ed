"""Reference: what may be written in files, as Markdown, a page for each room; made from the parts, so that it cannot drift from them."""

import types
from collections.abc import Iterator, Mapping
from enum import Enum
from inspect import cleandoc, isclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from l2sim import units
from l2sim.part import ROOM_NAMES, InRoom, Part, Refers, Room, room, snake_case
from l2sim.scenario import Scenario
from l2sim.scenario.schema import parameters, summary
from l2sim.study.description import Study

BOUNDS = (
    (units.NotNegative, "0 or more"),
    (units.Positive, "more than 0"),
    (units.Share, "between 0 and 1"),
    (units.NotTotalLoss, "more than -100 %"),
)
SIMPLE: Mapping[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything", type(None): "none"}
SIGNS = ((Ge, "ge", "at least"), (Gt, "gt", "more than"), (Le, "le", "at most"), (Lt, "lt", "less than"))
MADE = "*Written by `l2sim reference` from the docstrings of the code; change those.*"


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    made = {"scenario.md": _single(Scenario, "Scenario files"), "study.md": _single(Study, "Study files")}
    made |= {f"{name}.md": _room(room(name)) for name in ROOM_NAMES}
    return {"index.md": _index(), **made}


def _index() -> str:
    rows = [
        f"| [{name}]({name}.md) | {summary(room(name))} | {', '.join(f'`{kind}`' for kind in _own(room(name)))} |" for name in ROOM_NAMES
    ]
    return "\n".join(
        [
            "# Reference",
            "",
            "What may be written in files: [scenarios](scenario.md), [studies](study.md), and the kinds that both are put together from.",
            "",
            "| room | a kind of it is | kinds |",
            "|---|---|---|",
            *rows,
            "",
            MADE,
            "",
        ]
    )


def _room(house: Room) -> str:
    """The page of a room: its charter, its kinds, and the pages of parameters inside them."""
    import sys

    charter = cleandoc(sys.modules[house.package].__doc__ or "")
    kinds = _own(house)
    lines = [f"# {house.name}", "", charter, "", MADE, "", "Kinds: " + ", ".join(f"[{kind}](#{kind})" for kind in kinds), ""]
    for kind, part in kinds.items():
        lines += [f"## {kind}", "", cleandoc(part.__doc__ or ""), "", *_table(part)]
        lines += _transitions(getattr(part, "transitions", {}))
        actions = getattr(part, "actions", None)
        if actions:
            lines += ["Actions: " + ", ".join(f"`{action}({', '.join(fields)})`" for action, fields in actions.items()) + ".", ""]
    lines += _inner(list(kinds.values()))
    return "\n".join(lines)


def _transitions(table: Mapping[tuple[str, str], str]) -> list[str]:
    """From which state what leads where, where a kind says so."""
    rows = [f"| {state} | {event} | {after} |" for (state, event), after in table.items()]
    return ["| state | what happens | next state |", "|---|---|---|", *rows, ""] if rows else []


def _single(part: type[Part], title: str) -> str:
    return "\n".join([f"# {title}", "", cleandoc(part.__doc__ or ""), "", MADE, "", *_table(part), *_inner([part])])


def _own(house: Room) -> dict[str, type[Part]]:
    """The kinds that come with the package; guests and classes defined by hand have pages of their own elsewhere."""
    return {kind: part for kind, part in house.kinds().items() if part.__module__.startswith("l2sim.")}


def _inner(parts: list[type[Part]]) -> list[str]:
    """The pages of parameters that fields of these parts hold, and those inside them."""
    found: dict[type[BaseModel], None] = {}
    waiting: list[type[BaseModel]] = list(parts)
    while waiting:
        for field in waiting.pop(0).model_fields.values():
            for page in _pages_in(field.annotation):
                if page not in found:
                    found[page] = None
                    waiting.append(page)
    lines = []
    for page in sorted(found, key=lambda page: page.__name__):
        lines += [f"## {_heading(page)}", "", cleandoc(page.__doc__ or ""), "", *_table(page)]
    return lines


def _heading(page: type[BaseModel]) -> str:
    return "a " + snake_case(page.__name__).replace("_", " ")


def _anchor(page: type[BaseModel]) -> str:
    return "#" + _heading(page).replace(" ", "-")


def _pages_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The classes of parameters in a type that belong to no room."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        if getattr(annotation, "room", None) is None:
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _pages_in(inner)


def _table(part: type[BaseModel]) -> list[str]:
    rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    for one, field in zip(parameters(part), part.model_fields.values(), strict=True):  # type: ignore[arg-type]
        default = f"`{one.default}`" if one.default else "required"
        cells = (f"`{one.name}`", _spelt(field.annotation, field.metadata), default, " ".join(one.text.split()))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""] if len(rows) > 2 else ["It has no parameters.", ""]


def _spelt(annotation: Any, notes: Any = ()) -> str:
    """A type in words: the unit that it is written in, the room that it is chosen from, its bounds."""
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return _spelt(annotation, [*inner, *notes])
    bounds = [words for note in notes for bound, words in BOUNDS if note is bound]
    bounds += [f"{words} {getattr(note, name)}" for note in notes for sort, name, words in SIGNS if isinstance(note, sort)]
    return ", ".join([_noun(annotation, notes), *dict.fromkeys(bounds)])


def _noun(annotation: Any, notes: Any) -> str:
    for note in notes:
        if isinstance(note, units._In):
            return f"{note.dimension.name}, as `{note.dimension.example}`"
        if isinstance(note, Refers):
            return "name in " + " or ".join(f"`{section}`" for section in note.section.split("|"))
        if isinstance(note, InRoom):
            return f"[{note.name}]({note.name}.md)"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_spelt(one) for one in inner))
    if origin in (list, tuple, set, frozenset):
        return "list of " + " and ".join(dict.fromkeys(_spelt(one) for one in inner if one is not Ellipsis))
    if origin is not None and issubclass(origin, Mapping):
        return f"by name: {_spelt(inner[1])}"
    if isclass(annotation) and issubclass(annotation, BaseModel):
        house = getattr(annotation, "room", None)
        name = annotation.__name__
        return f"[{house.name}]({house.name}.md)" if house is not None else f"[{snake_case(name).replace('_', ' ')}]({_anchor(annotation)})"
    if annotation is units.Quantity:
        return "quantity, as `3000 USD` or `2 s`"
    if isclass(annotation) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return SIMPLE.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()
