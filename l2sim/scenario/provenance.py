"""Provenance: which values came from a preset, and whether these are sourced or assumed."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from l2sim import presets
from l2sim.part import Part, did_you_mean, room
from l2sim.scenario.mistakes import Mistake, ScenarioError
from l2sim.scenario.nodes import Node, Where, merge, plain, read, without
from l2sim.scenario.references import walk

CLAIMS = ("settlement", "proposer")
"""What of a preset makes claims about a chain's state on its L1."""


class Provenance(NamedTuple):
    """Where one value comes from."""

    path: str
    """Dotted path in the scenario, or in the chain of a preset."""
    value: Any
    origin: str
    """``sourced``, ``assumed`` or ``scenario``."""
    text: str
    """The source with its date, or why it was assumed, or where in the scenario it is written."""


class Preset(NamedTuple):
    """A page that describes a chain."""

    name: str
    about: str
    chain: Node
    sources: Mapping[str, str]
    assumed: Mapping[str, str]

    def origin(self, path: str) -> tuple[str, str]:
        """Whether the value at a dotted path in the chain is sourced or assumed, and the text about it.

        An entry for ``batch_poster`` speaks for everything below it that has none of its own.

        Raises:
            KeyError: the page says nothing about it.
        """
        while path:
            if path in self.sources:
                return "sourced", self.sources[path]
            if path in self.assumed:
                return "assumed", self.assumed[path]
            path = path.rpartition(".")[0]
        raise KeyError(path)

    def rows(self) -> list[Provenance]:
        """Every value of the chain with its origin."""
        data, _ = plain(self.chain)
        return [Provenance(".".join(where), value, *self.origin(".".join(where))) for where, value in leaves(data)]


@lru_cache  # pages come with the package, and are read only
def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ScenarioError: there is none.
    """
    if name not in presets.names():
        raise ScenarioError([Mistake(f"there is no preset '{name}'{did_you_mean(name, presets.names())}")])
    page = read(presets.FOLDER / f"{name}.yaml")
    about, sources, assumed = (plain(page.value[key])[0] for key in ("about", "sources", "assumed"))
    return Preset(name, about.strip(), page.value["chain"], sources or {}, assumed or {})


def overlaid(tree: Node) -> tuple[Node, dict[str, Preset], list[Mistake]]:
    """The tree with its chains laid over their presets, the presets by the names of the chains, and what is wrong with them.

    The settlement and the proposer of a preset come along where something depends on them, see ``_asserted``: a rollup about which
    claims are made keeps copies of its state for days, so that they can be disputed.
    """
    chains = tree.value.get("chains")
    if chains is None or not chains.branch:
        return tree, {}, []
    used: dict[str, Preset] = {}
    mistakes: list[Mistake] = []
    members = dict(chains.value)
    for name, chain in chains.value.items():
        node = chain.value.get("preset") if chain.branch else None
        if node is None:
            continue
        members[name] = without(chain, ("preset",))
        try:
            used[name] = preset(str(node.value))
        except ScenarioError as error:
            mistakes += [mistake._replace(path=f"chains.{name}.preset", mark=node.mark) for mistake in error.mistakes]
            continue
        page = used[name].chain
        for part in () if _asserted(name, members[name], tree) else (part for part in CLAIMS if part in page.value):
            page = without(page, (part,))
        members[name] = merge(members[name], page, ("chains", name), inherited=True)
    return merge(Node({"chains": Node(members, chains.mark, chains.key)}, tree.mark), without(tree, ("chains",))), used, mistakes


def _asserted(name: str, chain: Node, tree: Node) -> bool:
    """Whether anything depends on what becomes of claims about a chain.

    A bridge leads away from it, an agent or an attack is about its settlement, or the scenario says something about either part.
    Without a settlement there is nobody to propose; without a proposer, others may assert.
    """
    settlement, proposer = (chain.value.get(part) for part in CLAIMS)
    if settlement is not None:
        return settlement.value is not None
    if proposer is not None and proposer.value is not None:
        return True
    around = {section: _members(tree, section) for section in ("markets", "agents", "attacks")}
    if any(market.get("kind") == "bridge" and market.get("on") == name for market in around["markets"]):
        return True
    found = (one for section in ("agents", "attacks") for member in around[section] for one in walk(room(section).base, member))
    return any(one.refers is not None and one.refers.has in CLAIMS and one.value == name for one in found)


def _members(tree: Node, section: str) -> list[Mapping[str, Any]]:
    """What is in a section as plain data, as far as it can be read."""
    found = plain(tree.value[section])[0] if section in tree.value else {}
    return [member for member in found.values() if isinstance(member, Mapping)] if isinstance(found, Mapping) else []


def trace(scenario: Part, resolved: Mapping[str, Any], nodes: Mapping[Where, Node], used: Mapping[str, Preset]) -> list[Provenance]:
    """Where every value of a resolved scenario comes from; what nobody wrote is a default, which is an assumption."""
    rows = []
    for where, value in leaves(resolved):
        path = ".".join(where)
        node = nodes.get(where)
        page = used.get(where[1]) if where[0] == "chains" else None
        if node is not None and page is not None and node.mark.file.startswith(presets.FOLDER.as_posix()):
            rows.append(Provenance(path, value, *page.origin(".".join(where[2:]))))
        elif node is not None:
            rows.append(Provenance(path, value, "scenario", str(node.mark)))
        else:
            rows.append(Provenance(path, value, "assumed", f"default: {_help(scenario, where)}"))
    return rows


def leaves(data: Any, where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """The values of plain data that are not mappings, with their paths; an empty mapping has none."""
    if isinstance(data, Mapping):
        for name, inner in data.items():
            yield from leaves(inner, (*where, name))
    else:
        yield where, data


def _help(part: Any, where: Where) -> str:
    """The docstring of the field that a path leads to."""
    text = ""
    for step in where:
        if isinstance(part, Part):
            field = next((field for name, field in type(part).model_fields.items() if step in (name, field.alias)), None)
            text = (field.description if field else None) or text
            part = getattr(part, step, None)
        else:
            part = part.get(step) if isinstance(part, Mapping) else None
    return text
