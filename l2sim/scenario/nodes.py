"""Nodes: scenario files as trees that remember where everything was written, and how trees are laid over each other.

YAML 1.2 by ruamel.yaml, which gets ``1e-3`` (a number), ``no`` (text) and duplicate keys (an error) right. Files are composed,
not constructed: overlays are merged as nodes, so that a mistake found later is still traced to its file, line and column.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from l2sim.part import room
from l2sim.scenario.mistakes import Mark, Mistake, ScenarioError

Where = tuple[str, ...]
"""A path in the tree: the keys from the root."""


@dataclass(frozen=True)
class Node:
    """A value, and where it and the key that names it were written."""

    value: Any
    """A mapping of names to nodes, a list of nodes, or a scalar."""
    mark: Mark
    key: Mark | None = None

    @property
    def branch(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.value, dict)


def read(path: Path) -> Node:
    """The tree of a YAML file.

    Raises:
        ScenarioError: the file is missing, a directory, not text, not YAML, empty, or no mapping.
    """
    shown = Mark(path.as_posix(), 0, 0)
    if path.is_dir():
        raise ScenarioError([Mistake("is a directory; name a scenario file in it", mark=shown)])
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        near = get_close_matches(path.name, [other.name for other in path.parent.glob("*.y*ml")], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ScenarioError([Mistake("there is no such file" + hint, mark=shown)]) from None
    except OSError as error:
        raise ScenarioError([Mistake(f"cannot be read: {error.strerror}", mark=shown)]) from None
    except UnicodeDecodeError as error:
        message = f"is not a text file in UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}); scenarios are YAML text"
        raise ScenarioError([Mistake(message, mark=shown)]) from None
    tree = parse(text, path.as_posix())
    if not tree.branch:
        what = "is empty" if tree.value is None else "holds no mapping"
        raise ScenarioError([Mistake(f"{what}; a scenario starts with lines such as 'title: …' and 'duration: 1h'", mark=shown)])
    return tree


def parse(text: str, name: str) -> Node:
    """The tree of YAML text; ``name`` is what marks call it.

    Raises:
        ScenarioError: the text is not YAML, a key is written twice, or an alias contains itself.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    lines = text.splitlines()
    mistakes: list[Mistake] = []
    yaml = YAML(typ="safe", pure=True)

    def mark(spot: Any) -> Mark:
        source = lines[spot.line] if spot.line < len(lines) else ""
        return Mark(name, spot.line + 1, spot.column + 1, source)

    def convert(node: Any, key: Mark | None, above: tuple[int, ...]) -> Node:
        here = mark(node.start_mark)
        if id(node) in above:
            mistakes.append(Mistake(f"the alias '*{node.anchor}' contains itself", mark=key or here))
            return Node(None, here, key)
        inside = (*above, id(node))
        if node.id == "sequence":
            return Node([convert(item, None, inside) for item in node.value], here, key)
        if node.id == "scalar":
            kept = node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
            return Node(node.value if kept else yaml.constructor.construct_object(node), here, key)
        members: dict[str, Node] = {}
        for name_node, value_node in node.value:
            spot = mark(name_node.start_mark)
            if name_node.id != "scalar":
                mistakes.append(Mistake("a key must be a name, not a list or a mapping", mark=spot))
            elif name_node.value == "<<":
                message = "'<<' merges mappings in YAML 1.1 only: write out what it stands for, or lay files over each other by 'extends'"
                mistakes.append(Mistake(message, mark=spot))
            elif name_node.value in members:
                first = members[name_node.value].key
                mistakes.append(Mistake(f"'{name_node.value}' is written twice, first in line {first.line if first else 0}", mark=spot))
            else:
                members[name_node.value] = convert(value_node, spot, inside)
        return Node(members, here, key)

    try:
        root = yaml.compose(io.StringIO(text))
        tree = Node(None, Mark(name, 1, 1)) if root is None else convert(root, None, ())
    except MarkedYAMLError as error:
        spot = error.problem_mark or error.context_mark
        message = f"not YAML: {error.problem or error.context}"
        raise ScenarioError([Mistake(message, mark=mark(spot) if spot else Mark(name, 0, 0))]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        message = str(getattr(error, "reason", "") or error).splitlines()[0]
        raise ScenarioError([Mistake(f"not YAML: {message}", mark=Mark(name, 0, 0))]) from None
    if mistakes:
        raise ScenarioError(mistakes)
    return tree


def grown(value: Any, name: str, key: Mark | None = None) -> Node:
    """The tree of plain Python data, as if it stood in a file of that name."""
    here = Mark(name, 0, 0)
    if isinstance(value, Mapping):
        return Node({str(member): grown(inner, name, here) for member, inner in value.items()}, here, key)
    if isinstance(value, list | tuple):
        return Node([grown(inner, name) for inner in value], here, key)
    return Node(value, here, key)


def branch(path: str, value: Node, name: str) -> Node:
    """The tree that holds only ``value``, under a dotted path; marks point into ``name``, a ``--set PATH=VALUE``."""
    steps = path.split(".")
    column = len(name) - len(name.removeprefix("--set ")) + 1
    starts = []
    for step in steps:
        starts.append(Mark(name, 1, column, name) if name.startswith("--set ") else Mark(name, 0, 0))
        column += len(step) + 1
    node = value
    for step, start in zip(reversed(steps), reversed(starts), strict=True):
        node = Node({step: replace(node, key=start)}, start)
    return node


def setting(text: str) -> Node:
    """The tree of a ``PATH=VALUE``, the value read as YAML.

    Raises:
        ScenarioError: there is no ``=``, the path has an empty step, or the value is not YAML.
    """
    path, equals, value = text.partition("=")
    name = f"--set {text}"
    whole = Mark(name, 0, 0)
    if not equals or not all(path.strip().split(".")):
        raise ScenarioError([Mistake("write --set PATH=VALUE, such as --set agents.keepers.reaction=2s", mark=whole)])
    offset = len("--set ") + len(path) + 1

    def moved(node: Node) -> Node:
        def spot(mark: Mark | None) -> Mark | None:
            return Mark(name, 1, mark.column + offset, name) if mark else None

        inner = node.value
        if isinstance(inner, dict):
            inner = {key: moved(member) for key, member in inner.items()}
        elif isinstance(inner, list):
            inner = [moved(member) for member in inner]
        return Node(inner, spot(node.mark) or whole, spot(node.key))

    try:
        node = moved(parse(value, name))
    except ScenarioError as error:
        raise ScenarioError([mistake._replace(mark=whole) for mistake in error.mistakes]) from None
    return branch(path.strip(), node, name)


def merge(child: Node, parent: Node, where: Where = (), inherited: bool = False) -> Node:
    """``child`` laid over ``parent``: mappings join name by name, everything else is replaced.

    A member of another ``kind`` replaces the parent's whole; a member of a section (``attacks.outage``) set to null is taken out. What
    the parent's settlement says of things for which the child has something else instead gives way, see ``Settlement.instead``. So does
    what a parent that is ``inherited``, a preset or a file that is extended, says to a batch poster whose policy the child replaces.
    """
    if not (child.branch and parent.branch):
        return child
    kind, old = child.value.get("kind"), parent.value.get("kind")
    if kind is not None and old is not None and kind.value != old.value:
        return child
    members = dict(parent.value)
    if where[:1] == ("chains",) and where[2:] == ("settlement",):
        named = kind or old
        for field in _given_way(child.value, "" if named is None else str(named.value)):
            members.pop(field, None)
    if inherited and where[:1] == ("chains",) and where[2:] == ("batch_poster",):
        for field in _unread(child.value.get("policy"), parent.value.get("policy")):
            members.pop(field, None)
    for name, node in child.value.items():
        if len(where) == 1 and node.value is None:
            members.pop(name, None)
        else:
            members[name] = merge(node, members[name], (*where, name), inherited) if name in members else node
    return Node(members, child.mark, child.key or parent.key)


def _given_way(settlement: Mapping[str, Node], kind: str) -> list[str]:
    """The fields that others of a settlement stand in for; a kind that is still in a preset is any of them."""
    kinds = room("settlement").kinds()
    those = [kinds[kind]] if kind in kinds else list(kinds.values())
    stands_for = {field: others for one in those for field, others in getattr(one, "instead", {}).items()}
    given = [field for field in stands_for if field in settlement and settlement[field].value is not None]
    return [other for field in given for other in stands_for[field]]


def _unread(policy: Node | None, old: Node | None) -> list[str]:
    """The fields of a batch poster that a policy does not read which takes the place of another."""
    kinds, (kind, before) = room("posting").kinds(), (_kind(policy), _kind(old))
    return [] if kind == before or kind not in kinds else list(getattr(kinds[kind], "instead", {}))


def _kind(node: Node | None) -> str:
    """The kind that is written in a part."""
    kind = node.value.get("kind") if node is not None and node.branch else None
    return "" if kind is None else str(kind.value)


def without(tree: Node, where: Where) -> Node:
    """The tree without what is at a path.

    Raises:
        KeyError: there is nothing at that path.
    """
    members = dict(tree.value) if tree.branch else {}
    if where[0] not in members:
        raise KeyError(where[0])
    if len(where) == 1:
        del members[where[0]]
    else:
        members[where[0]] = without(members[where[0]], where[1:])
    return replace(tree, value=members)


def extended(tree: Node, folder: Path, above: tuple[Path, ...] = ()) -> Node:
    """The tree laid over the file that its ``extends`` names, if it has one, and so on.

    Raises:
        ScenarioError: such a file cannot be read, or files extend each other in a circle.
    """
    if not tree.branch or "extends" not in tree.value:
        return tree
    node = tree.value["extends"]
    if not isinstance(node.value, str):
        raise ScenarioError([Mistake("must be the path of a scenario file", "extends", node.mark)])
    path = folder / node.value
    if path.resolve() in above:
        raise ScenarioError([Mistake(f"'{node.value}' extends this file, which extends it", "extends", node.mark)])
    try:
        parent = extended(read(path), path.parent, (*above, path.resolve()))
    except ScenarioError as error:
        if any(mistake.mark and mistake.mark.line for mistake in error.mistakes):
            raise
        raise ScenarioError([Mistake(str(mistake), "extends", node.mark) for mistake in error.mistakes]) from None
    return merge(without(tree, ("extends",)), parent, inherited=True)


def plain(node: Node) -> tuple[Any, dict[Where, Node]]:
    """Plain data, mappings sorted by name, and the node of every path in it."""
    nodes: dict[Where, Node] = {}

    def walk(node: Node, where: Where) -> Any:
        nodes[where] = node
        if isinstance(node.value, dict):
            return {name: walk(inner, (*where, name)) for name, inner in sorted(node.value.items())}
        if isinstance(node.value, list):
            return [walk(inner, (*where, str(i))) for i, inner in enumerate(node.value)]
        return node.value

    return walk(node, ()), nodes
