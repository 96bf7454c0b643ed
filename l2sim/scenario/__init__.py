"""Scenario: a frozen description of an experiment, everything but the seed."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import PrivateAttr

from l2sim.agents import Agent
from l2sim.attacks import Attack
from l2sim.markets import Market
from l2sim.metrics import Metric
from l2sim.part import FigureName, Part, did_you_mean
from l2sim.prices import Price, Recording
from l2sim.prices.replay import Replay
from l2sim.scenario.mistakes import Mark, Mistake, ScenarioError
from l2sim.scenario.nodes import Node, Where, branch, extended, grown, merge, plain, read, setting, without
from l2sim.scenario.provenance import Preset, Provenance, overlaid, trace
from l2sim.scenario.recordings import Data
from l2sim.scenario.tables import RecordingError
from l2sim.scenario.validation import checked
from l2sim.scenario.writing import written
from l2sim.units import Duration, Positive
from l2sim.world import Chain
from l2sim.world.network import Network

__all__ = ["Data", "Mark", "Mistake", "Preset", "Provenance", "Scenario", "ScenarioError"]


class Scenario(Part):
    """An experiment: who is there, what the rules are, what goes wrong, and which questions are put to it."""

    title: str = ""
    """What the report is called."""
    question: str = ""
    """The question that the run answers, in a sentence."""
    answer: tuple[dict[FigureName, str], ...] = ()
    """The figures that answer it, each ``metric.figure: what it is called``; the report begins with them, in this order."""
    duration: Annotated[Duration, Positive]
    """How much simulated time passes."""
    assumptions: dict[str, str] = {}
    """What this scenario takes for granted, by topic, in free text; shown in the report."""
    data: dict[str, Data] = {}
    """Recordings from files."""
    prices: dict[str, Price] = {}
    """What assets are worth outside, before anybody in the run trades."""
    network: Network = Network()
    """Regions and the delays between them."""
    chains: dict[str, Chain] = {}
    """Where markets live: rollups, L1, outside venues; ``preset:`` lays a chain over a preset."""
    markets: dict[str, Market] = {}
    """The venues on the chains."""
    agents: dict[str, Agent] = {}
    """Who acts."""
    attacks: dict[str, Attack] = {}
    """Acts that are removed to get the counterfactual."""
    metrics: dict[str, Metric] = {}
    """The questions put to the log after the run."""

    _tree: Node = PrivateAttr()
    _name: str = PrivateAttr(default="scenario")

    # ---- where scenarios come from

    @classmethod
    def load(cls, path: str | Path, set: Iterable[str] = ()) -> Self:  # noqa: A002
        """The scenario in a YAML file, laid over what it ``extends`` and its presets; ``set`` holds texts ``PATH=VALUE``.

        Raises:
            ScenarioError: with all mistakes at once, each with file, line and column.
        """
        path = Path(path)
        settings: list[Node] = []
        mistakes: list[Mistake] = []
        for text in set:
            try:
                settings.append(setting(text))
            except ScenarioError as error:
                mistakes += error.mistakes
        if mistakes:
            raise ScenarioError(mistakes)
        tree = extended(read(path), path.parent, (path.resolve(),))
        return cls._grown(tree, path.stem, settings)

    @classmethod
    def of(cls, mapping: Mapping[str, Any], name: str = "scenario") -> Self:
        """The scenario in plain Python data, written as in a file.

        Raises:
            ScenarioError: with all mistakes at once.
        """
        return cls._grown(grown(mapping, ""), name)

    @classmethod
    def _grown(cls, tree: Node, name: str, changes: Iterable[Node] = ()) -> Self:
        for change in changes:
            tree = merge(change, tree)
        scenario = checked(cls, tree)
        scenario._tree = tree
        scenario._name = name
        return scenario

    # ---- variants of it

    def vary(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> Self:
        """The scenario with some values changed: ``vary(agents__keepers__reaction="2s")`` or ``vary({"duration": "1h"})``.

        Raises:
            ScenarioError: the result is no scenario.
        """
        paths = {**(changes or {}), **{path.replace("__", "."): value for path, value in named.items()}}
        return self._grown(self._tree, self._name, [branch(path, grown(value, ""), "") for path, value in paths.items()])

    def without(self, *paths: str) -> Self:
        """The scenario without some members: ``without("agents.searchers")``.

        Raises:
            ScenarioError: there is no such member, or something that stays refers to it.
        """
        tree = self._tree
        for path in paths:
            try:
                tree = without(tree, tuple(path.split(".")))
            except KeyError:
                known = [f"{section}.{name}" for section in type(self).model_fields for name in _names(getattr(self, section))]
                raise ScenarioError([Mistake(f"there is no '{path}' to leave out{did_you_mean(path, known)}")]) from None
        return self._grown(tree, self._name)

    def without_attacks(self) -> Self:
        """The same world where nobody attacks."""
        return self.without("attacks") if "attacks" in self._tree.value else self

    # ---- what it is

    @property
    def name(self) -> str:
        """The name of its file without the ending."""
        return self._name

    def resolved(self) -> dict[str, Any]:
        """The whole of it as plain data: presets and defaults filled in, units as text, members in the order of their names."""
        return self.model_dump(mode="json", by_alias=True)

    def yaml(self) -> str:
        """The resolved form as YAML, which loads to the same scenario."""
        return written(self.resolved())

    @property
    def digest(self) -> str:
        """Its identity: sha256 over the resolved form, with recordings by name and content and not by folder."""
        resolved = self.resolved()
        for data in resolved["data"].values():
            data["file"] = Path(data["file"]).name
        return sha256(json.dumps(resolved, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def provenance(self) -> list[Provenance]:
        """Where every value comes from: sourced or assumed by a preset, a default, or this scenario's own files."""
        tree, used, _ = overlaid(self._tree)
        return trace(self, self.resolved(), plain(tree)[1], used)

    def recordings(self) -> dict[str, Recording]:
        """The series and tables under ``data``, read from their files now.

        Raises:
            ScenarioError: a file cannot be used; the row and a remedy are named.
        """
        series: dict[str, Recording] = {}
        mistakes: list[Mistake] = []
        nodes: dict[Where, Node] = plain(self._tree)[1]
        for name, data in self.data.items():
            try:
                series[name] = data.load(self.duration)
            except RecordingError as error:
                node = nodes.get(("data", name, "file"))
                mistakes.append(Mistake(str(error), f"data.{name}", node.mark if node else None))
        for name, price in self.prices.items():
            if isinstance(price, Replay) and price.data in series:
                values = series[price.data].columns[price.column]
                if self.data[price.data].time is None:
                    message = f"data '{price.data}' is a table, not a series: name its column of instants under 'time'"
                    mistakes.append(Mistake(message, f"prices.{name}.data", nodes[("prices", name)].key))
                elif not values.min() > 0:
                    message = f"column '{price.column}' of data '{price.data}' falls to {values.min():g}, which is no price"
                    mistakes.append(Mistake(message, f"prices.{name}.column", nodes[("prices", name)].key))
        if mistakes:
            raise ScenarioError(mistakes)
        return series


def _names(section: Any) -> list[str]:
    return sorted(section) if isinstance(section, dict) else []
