"""Validation: from a tree to a scenario, or to everything that is wrong with it at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from l2sim.part import Part, did_you_mean
from l2sim.scenario.agreement import disagreements
from l2sim.scenario.mistakes import Mark, Mistake, ScenarioError
from l2sim.scenario.nodes import Node, Where, plain
from l2sim.scenario.provenance import overlaid
from l2sim.scenario.references import Found, unresolved, walk
from l2sim.scenario.tables import RecordingError, fingerprint
from l2sim.world.network import Network

S = TypeVar("S", bound=Part)

SECTIONS = ("data", "prices", "chains", "markets", "agents", "attacks", "metrics")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def checked(scenario: type[S], tree: Node) -> S:
    """The scenario that a tree describes.

    Raises:
        ScenarioError: with every mistake there is.
    """
    tree, _, mistakes = overlaid(tree)
    tree, missing = _with_files(tree)
    data, nodes = plain(tree)
    found = list(walk(scenario, data))
    mistakes += missing
    mistakes += _misnamed(tree)
    answer = None
    try:
        answer = scenario.model_validate(data)
    except ValidationError as error:
        unknown = {mistake.path for mistake in mistakes}
        told = _explained(error, found, nodes)
        # A chain whose preset does not exist lacks all that the preset would say, its kind first.
        mistakes += [one for one in told if f"{one.path}.preset" not in unknown]
    # What a study's comparisons name is not in the study itself.
    here = [one for one in found if one.refers is None or one.refers.section.split("|")[0] in scenario.model_fields]
    for one, mistake in unresolved(here, data):
        mistakes.append(mistake._replace(mark=_nearest(nodes, one.where, one.key)))
    for where, key, mistake in disagreements(found, data, _regions(data)):
        mistakes.append(mistake._replace(mark=_nearest(nodes, where, key)))
    if answer is None or mistakes:
        raise ScenarioError(mistakes)
    return answer


def _nearest(nodes: Mapping[Where, Node], where: Where, key: bool = False) -> Mark:
    """The mark of what a path leads to, or of the nearest thing around it that was written down."""
    if where in nodes:
        node = nodes[where]
        return (node.key or node.mark) if key or node.branch else node.mark
    while where not in nodes:
        where = where[:-1]
    return nodes[where].key or nodes[where].mark


def _with_files(tree: Node) -> tuple[Node, list[Mistake]]:
    """The tree with the files of recordings found, relative to where they were named, and their digests noted."""
    section = tree.value.get("data")
    if section is None or not section.branch:
        return tree, []
    members, mistakes = dict(section.value), []
    for name, member in section.value.items():
        node = member.value.get("file") if member.branch else None
        if node is None or not isinstance(node.value, str):
            continue
        folder = Path(node.mark.file).parent if node.mark.line and not node.mark.file.startswith("--set ") else Path()
        path = next((path for path in (folder / node.value, Path(node.value)) if path.is_file()), None)
        if path is None and "sha256" in member.value:
            continue  # resolved before, perhaps elsewhere: it is missed when it is read
        if path is None:
            mistakes.append(Mistake(f"there is no file '{node.value}'; {_looked_in(folder)}", f"data.{name}.file", node.mark))
            continue
        fields = dict(member.value)
        fields["file"] = replace(node, value=path.resolve().as_posix())
        try:
            fields.setdefault("sha256", Node(fingerprint(path), node.mark))
        except RecordingError as error:
            mistakes.append(Mistake(str(error), f"data.{name}.file", node.mark))
        members[name] = replace(member, value=fields)
    return replace(tree, value={**tree.value, "data": replace(section, value=members)}), mistakes


def _looked_in(folder: Path) -> str:
    here = Path.cwd()
    places = dict.fromkeys(path.resolve().as_posix() for path in (folder, here))
    return f"looked in {' and '.join(places)}"


def _misnamed(tree: Node) -> Iterator[Mistake]:
    """Members whose names could not be a stream, a column and a handle at once."""
    for section in SECTIONS:
        node = tree.value.get(section)
        for name, member in node.value.items() if node is not None and node.branch else ():
            if not _NAME.fullmatch(name):
                right = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
                hint = f"; write '{right}'" if _NAME.fullmatch(right) else ""
                yield Mistake(f"a name is lower-case letters, digits and '_'{hint}", f"{section}.{name}", member.key)


def _regions(data: Mapping[str, Any]) -> list[str]:
    """The regions of the network as it is written, or as it is by default."""
    network = data.get("network")
    links = network.get("links") if isinstance(network, Mapping) else None
    if not isinstance(links, Mapping):
        links = Network().links
    inner = [other for others in links.values() if isinstance(others, Mapping) for other in others]
    return sorted({"us_east", *links, *inner})


def _explained(error: ValidationError, found: Sequence[Found], nodes: Mapping[Where, Node]) -> Iterator[Mistake]:
    """A mistake for every error, those of one value (which may be one of several things) put together."""
    parts = {one.where: one.part for one in found if one.part is not None}
    values: dict[tuple[Where, Mark], list[str]] = {}
    for detail in error.errors(include_url=False):
        where = tuple(str(step) for step in detail["loc"])
        message, kind = detail["msg"], detail["type"]
        if kind == "missing":
            part = parts.get(where[:-1])
            field = next((field for name, field in part.model_fields.items() if where[-1] in (name, field.alias)), None) if part else None
            text = f": {field.description}" if field is not None and field.description else ""
            yield Mistake(f"'{where[-1]}' is missing{text}", ".".join(where[:-1]), _nearest(nodes, where))
            continue
        if kind == "extra_forbidden":
            part = parts.get(where[:-1])
            known = [field.alias or name for name, field in part.model_fields.items()] if part else []
            known += ["preset"] if len(where) == 3 and where[0] == "chains" else ["extends"] if len(where) == 1 else []
            known += ["kind"] if part is not None and part.kind else []
            yield Mistake(f"unknown key '{where[-1]}'{did_you_mean(where[-1], known)}", ".".join(where), _nearest(nodes, where, key=True))
            continue
        if kind == "missing_kind" and len(where) == 2 and where[0] == "chains":
            message = message.replace("'kind: …'", "'kind: …' or 'preset: …'")
        key = where[-1:] == ("[key]",)
        while where not in nodes:
            where = where[:-1]
        at = (*where, "kind") if kind in ("unknown_kind", "wrong_kind") and (*where, "kind") in nodes else where
        values.setdefault((at, _nearest(nodes, at, key)), []).append(_worded(message, detail))
    for (where, mark), messages in values.items():
        yield Mistake("; or ".join(dict.fromkeys(messages)), ".".join(where), mark)


def _worded(message: str, detail: Any) -> str:
    if not message.startswith("Input should be"):
        return message
    value = detail["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) or value is None else ""
    return "must be" + message.removeprefix("Input should be") + shown
