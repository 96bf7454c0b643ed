"""Glossary: what the kinds in a scenario are and what their parameters mean, in the words of their own docstrings."""

import inspect
import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from l2sim.part import Part


class Entry(NamedTuple):
    """One kind."""

    room: str
    kind: str
    about: str
    """HTML."""
    fields: list[tuple[str, str]]
    """Names, and HTML about them."""


def entries(*wholes: Part) -> list[Entry]:
    """The kinds that occur anywhere in a scenario or a study, by room and name."""
    classes = {type(part) for whole in wholes for _, part in whole.parts() if part.kind and part.room is not None}
    found = sorted(classes, key=lambda kind: (kind.room.name if kind.room else "", kind.kind))
    return [
        Entry(part.room.name if part.room else "", part.kind, paragraphs(inspect.getdoc(part) or ""), list(_fields(part))) for part in found
    ]


def _fields(part: type[Part]) -> Iterator[tuple[str, str]]:
    for name, field in part.model_fields.items():
        yield field.alias or name, inline(field.description or "")


def paragraphs(text: str) -> str:
    """A docstring as paragraphs and lists of HTML."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        items = re.split(r"(?:^|\n)- ", block)
        if items[0].strip():
            blocks.append(f"<p>{inline(' '.join(items[0].split()))}</p>")
        if len(items) > 1:
            blocks.append("<ul>" + "".join(f"<li>{inline(' '.join(item.split()))}</li>" for item in items[1:]) + "</ul>")
    return "".join(blocks)


def inline(text: str) -> str:
    """Text with ``code``, **weight** and *stress*."""
    safe = escape(" ".join(text.split()), quote=False)
    safe = re.sub(r"``(.+?)``|`([^`]+)`", lambda match: f"<code>{match[1] or match[2]}</code>", safe)
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", safe)
