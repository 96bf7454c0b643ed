"""Reading: from a study's file, or a scenario's and what varies on the command line, to a tree and the scenario under it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from l2sim.part import did_you_mean
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import Mark, Mistake, ScenarioError
from l2sim.scenario.nodes import Node, extended, grown, parse, plain, read, setting
from l2sim.scenario.validation import SECTIONS


class Source(NamedTuple):
    """A study as it is written."""

    study: Node
    """Its own tree; a design without a kind is a grid."""
    scenario: Node
    """The scenario's tree, with what it extends but before anything is set."""
    name: str
    """What the scenario is called."""
    folder: Path
    """Where paths in it start."""


def source(tree: Node, folder: Path, name: str, vary: Iterable[str] = (), overrides: Mapping[str, Any] | None = None) -> Source:
    """A tree read as a study, or as a scenario that becomes a study of one point; ``vary`` holds texts ``PATH=A,B,C``.

    Raises:
        ScenarioError: there is no scenario, it cannot be read, or a text of ``vary`` makes no sense.
    """
    if "scenario" not in tree.value and {"duration", "extends", "chains", "prices"} & set(tree.value):
        words = {key: tree.value[key] for key in ("title", "question") if key in tree.value}
        tree = Node({"scenario": tree, **words}, tree.mark)
    under = tree.value.get("scenario")
    if under is None:
        message = "'scenario' is missing: the path of a scenario file, or a scenario written out"
        raise ScenarioError([Mistake(message, mark=tree.mark)])
    scenario, called = _scenario(under, folder, name)
    members = {**tree.value, **{key: grown(value, f"{key}={value}") for key, value in (overrides or {}).items()}}
    tree = _with_grid(replace(tree, value=members), _factors(vary))
    return Source(tree, scenario, called, folder)


def _scenario(node: Node, folder: Path, name: str) -> tuple[Node, str]:
    if node.branch:
        return extended(node, folder), name
    if not isinstance(node.value, str):
        raise ScenarioError([Mistake("must be the path of a scenario file, or a scenario written out", "scenario", node.mark)])
    path = folder / node.value
    try:
        return extended(read(path), path.parent, (path.resolve(),)), path.stem
    except ScenarioError as error:
        if any(mistake.mark and mistake.mark.line for mistake in error.mistakes):
            raise
        raise ScenarioError([Mistake(str(mistake), "scenario", node.mark) for mistake in error.mistakes]) from None


def _with_grid(tree: Node, factors: Mapping[str, Node]) -> Node:
    """The tree with a kind for its design where it has none, and with further factors."""
    vary = tree.value.get("vary")
    if vary is None or vary.value is None:
        if not factors:
            return tree
        vary = Node({}, tree.mark)
    if not vary.branch:
        return tree
    members = {"kind": Node("grid", vary.mark), **vary.value}
    if factors:
        known = members.get("factors")
        added = Node(dict(factors), vary.mark)
        members["factors"] = added if known is None or not known.branch else replace(known, value={**known.value, **factors})
    return replace(tree, value={**tree.value, "vary": replace(vary, value=members)})


# ---- texts of a command line


def _factors(vary: Iterable[str]) -> dict[str, Node]:
    """The factors that texts ``PATH=A,B,C`` describe.

    Raises:
        ScenarioError: with what is wrong with each of them.
    """
    factors: dict[str, Node] = {}
    mistakes: list[Mistake] = []
    for text in vary:
        path, equals, values = text.partition("=")
        path, whole = path.strip(), Mark(f"--vary {text}", 0, 0)
        if not equals or not values.strip() or not all(path.split(".")):
            mistakes.append(Mistake("write --vary PATH=A,B,C, such as --vary agents.keepers.count=1,2,4", mark=whole))
        elif path in factors:
            mistakes.append(Mistake("is given twice: write all its values behind one --vary", path, whole))
        else:
            try:
                factors[path] = Node([_marked(parse(value, whole.file), whole) for value in _split(values)], whole, whole)
            except ScenarioError as error:
                mistakes += [mistake._replace(path=path, mark=whole) for mistake in error.mistakes]
    if mistakes:
        raise ScenarioError(mistakes)
    return factors


def _split(text: str) -> Iterator[str]:
    """The parts between commas that are outside of brackets and quotes."""
    depth, start, quote = 0, 0, ""
    for i, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "," and not depth:
            yield text[start:i]
            start = i + 1
        depth += 0 if quote else (sign in "{[") - (sign in "}]")
    yield text[start:]


def _marked(node: Node, mark: Mark) -> Node:
    """The tree as if all of it stood in one place."""
    inner = node.value
    if isinstance(inner, dict):
        inner = {name: _marked(member, mark) for name, member in inner.items()}
    elif isinstance(inner, list):
        inner = [_marked(member, mark) for member in inner]
    return Node(inner, mark, node.key and mark)


# ---- the scenario under a study


def based(written: Source, settings: Iterable[str]) -> tuple[Scenario | None, list[Mistake]]:
    """The scenario with what ``set`` and further texts ``PATH=VALUE`` lay over it, or what is wrong with it."""
    members = members_of(written.scenario)
    changes: list[Node] = []
    mistakes: list[Mistake] = []
    laid = written.study.value.get("set")
    for path, node in sorted(laid.value.items()) if laid is not None and laid.branch else ():
        found = stranger(path, plain(node)[0], members)
        if found or not all(path.split(".")):
            mistakes.append(Mistake(found or "a path has no empty steps: write it like agents.keepers.count", f"set.{path}", node.key))
        else:
            changes.append(_laid(path, node))
    for text in settings:
        try:
            tree = setting(text)
        except ScenarioError as error:
            mistakes += error.mistakes
            continue
        path, node = text.partition("=")[0].strip(), tree
        for step in path.split("."):
            node = node.value[step]
        found = stranger(path, plain(node)[0], members)
        if found:
            mistakes.append(Mistake(found, path, node.key))
        else:
            changes.append(tree)
    base = None
    try:
        base = Scenario._grown(written.scenario, written.name, changes)
    except ScenarioError as error:
        mistakes += error.mistakes
    return base, mistakes


def _laid(path: str, node: Node) -> Node:
    """The tree that holds only a value under a dotted path, all of it marked where the value is."""
    spot = node.key or node.mark
    for step in reversed(path.split(".")):
        node = Node({step: replace(node, key=spot)}, spot)
    return node


def members_of(tree: Node) -> list[str]:
    """The members of a scenario's sections, ``agents.keepers``."""
    return [f"{section}.{name}" for section in SECTIONS for name in _names(tree.value.get(section))]


def _names(section: Node | None) -> list[str]:
    return list(section.value) if section is not None and section.branch else []


def stranger(path: str, value: Any, members: Iterable[str]) -> str:
    """What is wrong with a path that leads into a member that the scenario does not have; nothing where all is well.

    A value that is a whole member, with its kind or preset, may make a new one.
    """
    section, *rest = path.split(".")
    if section not in SECTIONS or not rest:
        return ""
    member = f"{section}.{rest[0]}"
    makes = len(rest) == 1 and isinstance(value, Mapping) and {"kind", "preset"} & set(value)
    if member in set(members) or makes:
        return ""
    near = [known for known in members if known.startswith(f"{section}.")]
    hint = did_you_mean(member, members if get_close_matches(member, members, n=1) else near) or f"; there is nothing under '{section}'"
    return f"there is no '{member}' in the scenario{hint}"


def holds(tree: Node, path: str) -> bool:
    """Whether something is written under a path."""
    for step in path.split("."):
        if not tree.branch or step not in tree.value:
            return False
        tree = tree.value[step]
    return True
