"""Description: a study as it is written: a scenario, what varies, how often, and what is compared."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr

from l2sim.comparisons import Comparison
from l2sim.designs import Design, Point
from l2sim.part import Part, did_you_mean
from l2sim.scenario import Scenario
from l2sim.scenario.mistakes import Mark, Mistake, ScenarioError
from l2sim.scenario.nodes import Node, Where, grown, plain, read
from l2sim.scenario.references import unresolved, walk
from l2sim.scenario.validation import checked
from l2sim.scenario.writing import written
from l2sim.streams import Streams
from l2sim.study.precision import Precision
from l2sim.study.reading import Source, based, holds, members_of, source, stranger

WORLDS = {
    "as_written": "",
    "without_attacks": "there are no attacks",
    "without_impact": "it needs a metric of kind 'liquidation_cascade' and an outside venue whose price answers to trades",
}
"""The worlds that need no description: what is written, and the counterfactuals that scenarios may have, with why some have not."""

MANY = 64
"""Levels of a factor beyond which only the least and the greatest are tried before a study runs."""

KEPT = 64
"""Points whose worlds a process keeps at hand; many runs share a point."""


class Study(Part):
    """Many runs of a scenario that answer a question: what varies, how often each point is run, and what is compared.

    A study is made by ``load`` or ``of``. Runs are numbered ``replication * len(points) + point``.
    """

    name: Annotated[str, Field(pattern=r"^[^/\\.][^/\\]*$")]
    """What the folder of results is called; by default as the file without its ending."""
    title: str = ""
    """What the report is called."""
    question: str = ""
    """The question that the study answers, in a sentence."""
    written: Annotated[str | dict[str, Any], Field(alias="scenario")]
    """The scenario: the path of its file, seen from the study's file, or the scenario itself."""
    set: dict[str, Any] = {}
    """Values by dotted path that are laid over the scenario at every point."""
    vary: Design | None = None
    """What varies; without a kind it is a grid. Without anything that varies there is one point, the scenario itself."""
    replications: Annotated[int, Field(ge=1)] = 8
    """How often each point is run, each time with other luck."""
    precision: Precision | None = None
    """How well a figure is to be known, instead of a number of replications."""
    seed: Annotated[int, Field(ge=0)] = 1
    """With which luck: the same seed and replication have the same luck at every point (common random numbers)."""
    independent: bool = False
    """Whether every point has luck of its own, mixed from the seed and what the point sets."""
    worlds: Annotated[list[str], Field(min_length=1)] | None = None
    """Which of the worlds ``as_written``, ``without_attacks``, ``without_impact`` are run; by default all that make sense."""
    without: dict[str, Annotated[list[str], Field(min_length=1)]] = {}
    """Further counterfactual worlds by name, and what each leaves out: ``{without_keepers: [agents.keepers]}``."""
    compare: dict[str, Comparison] = {}
    """What is compared."""

    _base: Scenario = PrivateAttr()
    _tree: Node = PrivateAttr()

    # ---- where studies come from

    @classmethod
    def load(cls, path: str | Path, set: Iterable[str] = (), vary: Iterable[str] = (), **overrides: Any) -> Self:  # noqa: A002
        """The study in a YAML file; a scenario's file is a study of that scenario.

        Args:
            path: the file.
            set: texts ``PATH=VALUE`` that are laid over the scenario.
            vary: texts ``PATH=A,B,C``, factors of a grid beside those of the file.
            overrides: fields with other values, such as ``replications=200``; None leaves a field as it is written.

        Raises:
            ScenarioError: with all mistakes at once, each with file, line and column; levels are tried by ``check``.
        """
        path = Path(path)
        given = {name: value for name, value in overrides.items() if value is not None}
        return cls._made(source(read(path), path.parent, path.stem, vary, given), path.stem, set)

    @classmethod
    def of(cls, mapping: Mapping[str, Any], name: str = "study", folder: str | Path = ".") -> Self:
        """The study in plain Python data, written as in a file in that folder.

        Raises:
            ScenarioError: with all mistakes at once.
        """
        return cls._made(source(grown(mapping, ""), Path(folder), name), name, ())

    @classmethod
    def _made(cls, written: Source, name: str, settings: Iterable[str]) -> Self:
        tree = Node({"name": Node(name, written.study.mark), **written.study.value}, written.study.mark)
        base, mistakes = based(written, settings)
        try:
            study = checked(cls, tree)
        except ScenarioError as error:
            raise ScenarioError([*mistakes, *error.mistakes]) from None
        if base is None or mistakes:
            raise ScenarioError(mistakes)
        if study.compare:  # questions are answered in the order in which they are asked
            study = study.model_copy(update={"compare": {name: study.compare[name] for name in tree.value["compare"].value}})
        study._base = base
        study._tree = tree
        mistakes = list(study._disagreements())
        if mistakes:
            raise ScenarioError(mistakes)
        return study

    # ---- its points

    @property
    def base(self) -> Scenario:
        """The scenario with what is set at every point, before anything varies."""
        return self._base

    @property
    def points(self) -> list[Point]:
        """Every point, by its number."""
        return list(_points(self))

    @property
    def units(self) -> Mapping[str, str]:
        """The unit of each factor whose levels are numbers."""
        return {} if self.vary is None else self.vary.units()

    def scenario(self, point: Point) -> Scenario:
        """The scenario at a point.

        Raises:
            ScenarioError: what it sets does not go together.
        """
        return _varied(self, _text(point.settings))

    def worlds_at(self, point: Point) -> dict[str, Scenario]:
        """The worlds that are run at a point on the same luck; those of ``without`` where it has what they leave out.

        Raises:
            ScenarioError: what it sets does not go together, or something that stays refers to what is left out.
        """
        return dict(_worlds(self, _text(point.settings)))

    def seed_at(self, point: Point) -> int:
        """The seed of a point: the study's, or where points are independent sha256 of it and of what the point sets."""
        if not self.independent:
            return self.seed
        return int.from_bytes(sha256(f"{self.seed}/{_text(point.settings)}".encode()).digest()[:8], "big") >> 1

    # ---- what it is

    def resolved(self) -> dict[str, Any]:
        """The whole of it as plain data that needs no other file but recordings: the scenario with what is set is part of it."""
        page = {"name": self.name, "title": self.title, "question": self.question, "scenario": _inline(self._base)}
        unsaid = {"replications"} if self.precision else set()  # they would contradict each other
        return {**page, **self.model_dump(mode="json", by_alias=True, exclude={*page, "written", "set", *unsaid})}

    def yaml(self) -> str:
        """The whole of it as YAML, which loads to the same study."""
        return written(self.resolved())

    @cached_property
    def digest(self) -> str:
        """What its runs are: sha256 over scenario, design, seed and worlds, with recordings by name and content and not by folder.

        How often it is run and what is compared do not count, so that a study with more replications goes on where it was.
        """
        page = self.resolved()
        for data in page["scenario"].get("data", {}).values():
            data["file"] = Path(data["file"]).name
        return sha256(
            _text({key: page[key] for key in ("scenario", "vary", "seed", "independent", "worlds", "without")}).encode()
        ).hexdigest()

    @cached_property
    def _identity(self) -> str:
        return sha256(_text(self.resolved()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Study) and self._identity == other._identity)

    def __hash__(self) -> int:
        return hash(self._identity)

    # ---- what is wrong with it

    def check(self) -> None:
        """Try every level of every factor, and every world, before anything runs, and look up the names in comparisons.

        Points are tried until every level was in one; of numbers with more than 64 levels only the least and the greatest.

        Raises:
            ScenarioError: with all mistakes at once.
        """
        mistakes: list[Mistake] = []
        worlds: dict[str, None] = {}
        for point in covering(self.points):
            try:
                worlds |= dict.fromkeys(self.worlds_at(point))
            except ScenarioError as error:
                mistakes += [self._placed(mistake, point) for mistake in error.mistakes]
        nodes = plain(self._tree)[1]
        for i, name in enumerate(self.worlds or () if not mistakes else ()):
            if name not in worlds:
                why = WORLDS.get(name, "what it leaves out is not there")
                message = f"no point of the study has a world '{name}': {why}"
                mistakes.append(Mistake(message, f"worlds.{i}", nodes["worlds", str(i)].mark))
        if not mistakes:  # what varies may add metrics, and what is wrong there has consequences here
            known: dict[str, Any] = {"world": worlds, "factor": self.points[0].levels}
            for section, _, name in (path.partition(".") for path in self._members()):
                known.setdefault(section, {})[name] = {}
            for one, mistake in unresolved(list(walk(dict[str, Comparison], self.compare, ("compare",))), known):
                mistakes.append(mistake._replace(mark=_nearest(nodes, one.where)))
        if mistakes:
            raise ScenarioError(mistakes)

    def _placed(self, mistake: Mistake, point: Point) -> Mistake:
        """A mistake about something that a point sets, with the place where its level is written."""
        if mistake.mark is not None and mistake.mark.file:
            return mistake
        inside = [path for path in point.settings if f"{mistake.path}.".startswith(f"{path}.") or path.startswith(f"{mistake.path}.")]
        if not inside:
            return mistake
        whole = mistake.message.startswith("unknown key") and inside[-1] == mistake.path
        deeper = mistake.path.removeprefix(inside[-1]).strip(".").split(".")
        return mistake._replace(mark=self._mark(inside[-1], None if whole else point.settings[inside[-1]], deeper))

    def _mark(self, path: str, value: Any = None, deeper: Iterable[str] = ()) -> Mark:
        """Where the value of a path, or something deeper in it, is written among what varies; without a value the path itself."""
        nodes = {where: node for where, node in plain(self._tree)[1].items() if where[0:1] == ("vary",)}
        named = [where for where in nodes if where[-1] == path]
        for where in named if value is not None else ():
            for other in (where, *(inner for inner in nodes if inner[:-1] == where)):
                if plain(nodes[other])[0] == value:
                    for step in deeper:
                        other = (*other, step) if (*other, step) in nodes else other
                    return nodes[other].mark
        node = nodes[named[0] if named else ("vary",)]
        return node.key or node.mark

    def _values(self) -> dict[str, Any]:
        """What points set, by path."""
        return {path: value for point in self.points for path, value in point.settings.items()}

    def _members(self) -> list[str]:
        """The members of the scenario's sections, and those that a factor adds."""
        added = (path for path, value in self._values().items() if path.count(".") == 1 and isinstance(value, dict))
        return list(dict.fromkeys((*members_of(self._base._tree), *added)))

    def _disagreements(self) -> Iterator[Mistake]:
        """Names that lead nowhere: paths that vary, worlds, what is left out, a figure's metric."""
        nodes = plain(self._tree)[1]

        def mistake(message: str, *where: str) -> Mistake:
            return Mistake(message, ".".join(where), _nearest(nodes, where))

        values, members = self._values(), self._members()
        for path, value in values.items():
            message = stranger(path, value, members)
            if message:
                yield Mistake(message, path, self._mark(path))
        for i, name in enumerate(self.worlds or ()):
            if name not in WORLDS and name not in self.without:
                yield mistake(f"there is no world '{name}'{did_you_mean(name, (*WORLDS, *self.without))}", "worlds", str(i))
        for name, paths in self.without.items():
            if name in WORLDS:
                yield mistake(f"'{name}' is a world already: choose another name", "without", name)
            for i, path in enumerate(paths):
                if path not in members and not holds(self._base._tree, path):
                    yield mistake(f"there is no '{path}' to leave out{did_you_mean(path, members)}", "without", name, str(i))
        if self.precision is not None:
            metric, _, figure = self.precision.figure.partition(".")
            metrics = [path.partition(".")[2] for path in members if path.startswith("metrics.")]
            if metric not in metrics or not figure:
                hint = did_you_mean(metric, metrics) if metric not in metrics else f"; write '{metric}.' and the name of a figure"
                what = f"there is no metric '{metric}'" if metric not in metrics else f"'{metric}' is a metric, not a figure"
                yield mistake(f"{what}{hint}", "precision", "figure")
            run = (*(self.worlds or WORLDS), *self.without)
            if metric in self._base.metrics and (why := self.precision.misfit(self._base.metrics[metric].unit(figure))):
                yield mistake(why, "precision", "within")
            if "replications" in self._tree.value:
                yield mistake("'replications' and 'precision' both say how often a point is run: leave one of them out", "replications")
            if self.precision.world not in run:
                yield mistake(f"there is no world '{self.precision.world}'{did_you_mean(self.precision.world, run)}", "precision", "world")


def _nearest(nodes: Mapping[Where, Node], where: Where) -> Mark:
    while where not in nodes:
        where = where[:-1]
    node = nodes[where]
    return (node.key or node.mark) if isinstance(node.value, dict | list) else node.mark


def covering(points: Iterable[Point]) -> list[Point]:
    """Points in which every level of every factor is; of numbers with many levels only the least and the greatest."""
    points = list(points)
    wanted: dict[tuple[str, float | str], None] = {}
    for name in points[0].levels:
        levels = list(dict.fromkeys(point.levels[name] for point in points))
        numbers = [level for level in levels if not isinstance(level, str)]
        if len(numbers) > MANY:
            levels = [min(numbers), max(numbers), *(level for level in levels if isinstance(level, str))]
        wanted |= {(name, level): None for level in levels}
    chosen: list[Point] = []
    for point in points:
        new = [pair for pair in point.levels.items() if pair in wanted]
        if new or not chosen:
            chosen.append(point)
        for pair in new:
            del wanted[pair]
    return chosen


def _inline(scenario: Scenario) -> dict[str, Any]:
    """A scenario as plain data: over its presets as it was written, with the files of recordings where they were found."""
    page: dict[str, Any] = plain(scenario._tree)[0]
    return {**page, "data": scenario.resolved()["data"]} if scenario.data else page


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=8)
def _points(study: Study) -> tuple[Point, ...]:
    if study.vary is None:
        return (Point({}, {}),)
    return tuple(study.vary.points(Streams(study.seed).generator("design")))


@lru_cache(maxsize=KEPT)
def _varied(study: Study, settings: str) -> Scenario:
    return study.base.vary(json.loads(settings))


@lru_cache(maxsize=KEPT)
def _worlds(study: Study, settings: str) -> Mapping[str, Scenario]:
    from l2sim.results.run import worlds_of

    scenario = _varied(study, settings)
    worlds = worlds_of(scenario, study.worlds)
    for name, paths in study.without.items():
        there = [path for path in paths if holds(scenario._tree, path)]
        if there:
            try:
                worlds[name] = scenario.without(*there)
            except ScenarioError as error:
                raise ScenarioError([one._replace(message=f"in world '{name}', {one.message}") for one in error.mistakes]) from None
    return worlds
