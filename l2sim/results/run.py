"""Run: an experiment kept in a folder: every world of it on the same luck, and what they answer together.

::

    results/<scenario>/<run id>/
        scenario.yaml                        the resolved scenario
        manifest.json                        seed, versions, digests; times and facts about the host are here alone
        summary.csv                          a row for each replication, world and figure
        replications/0000/manifest.json      digests and figures of the replication's worlds
        replications/0000/as_written/*.parquet, about.json

A replication, all its worlds together, is there whole or not at all; what is there is not run again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from l2sim import __version__
from l2sim.results.folder import RunNotFound, prepared, write_file, write_folder, writing
from l2sim.results.provenance import host, revision, versions
from l2sim.results.results import Measured, Results
from l2sim.results.tables import pack
from l2sim.statistics.intervals import CONFIDENCE, ratio

if TYPE_CHECKING:
    from l2sim.scenario import Scenario

AS_WRITTEN = "as_written"
WITHOUT_ATTACKS = "without_attacks"
WITHOUT_IMPACT = "without_impact"

REPLICATIONS = "replications"


class Run:
    """What an experiment found.

    Attributes:
        path: its folder.
        scenario: what was run.
        seed: with which luck.
        worlds: the results by world: ``as_written``, and the counterfactuals that make sense for the scenario.
        manifest: everything else that is known about the run.
    """

    def __init__(self, path: Path, scenario: "Scenario", seed: int, worlds: Mapping[str, Results], manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.scenario = scenario
        self.seed = seed
        self.worlds = dict(worlds)
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"<Run of '{self.scenario.title}', {', '.join(self.worlds)}, {self.replications} replications, in {self.path}>"

    @property
    def replications(self) -> int:
        """How many replications there are."""
        return self.worlds[AS_WRITTEN].replications

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """The run in a folder; its logs are read when they are asked for.

        Raises:
            RunNotFound: there is none.
        """
        from l2sim.scenario import Scenario

        folder = Path(folder)
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
            seed, numbers, _ = manifest["seed"], manifest["replications"], dict(manifest["versions"])
            records = {number: _record(folder, number) for number in numbers}
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError):
            raise RunNotFound(f"'{folder}' is no run: name a folder such as results/<scenario>/<run id>{_near(folder)}") from None
        scenario = Scenario.load(folder / "scenario.yaml")
        worlds = {}
        for name, variant in worlds_of(scenario, manifest["digests"]).items():
            measured = {}
            for number, record in records.items():
                world = record["worlds"][name]
                figures = {figure: np.nan if value is None else float(value) for figure, value in world["figures"].items()}
                measured[number] = Measured(_place(folder, number) / name, world["digest"], figures)
            worlds[name] = Results(variant, seed, measured)
        return cls(folder, scenario, seed, worlds, manifest)

    @property
    def summary(self) -> pd.DataFrame:
        """A row for each replication, world and figure: the contents of ``summary.csv``."""
        rows = []
        for world, results in self.worlds.items():
            units = results.units
            for number, replication in results.measured.items():
                rows += [(number, world, figure, value, units[figure]) for figure, value in replication.figures.items()]
        frame = pd.DataFrame(rows, columns=["replication", "world", "figure", "value", "unit"])
        return frame.sort_values("replication", kind="stable", ignore_index=True)

    def key_figures(self, confidence: float = CONFIDENCE) -> pd.DataFrame:
        """The figures that the metrics are quoted by: a row each with ``mean``, ``low``, ``high``, ``n`` and ``unit`` as written.

        With attacks in the scenario also ``without`` (the mean where nobody attacks), and ``difference``, ``difference_low``,
        ``difference_high`` and ``pairs``: the mean paired difference that the attacks make, its interval, the number of pairs.
        A figure without any observation in these worlds is left out.
        """
        written = self.worlds[AS_WRITTEN]
        answer = written.mean(confidence)
        answer = answer.loc[[figure for figure in answer.index if is_key(figure, self.scenario)]]
        if WITHOUT_ATTACKS in self.worlds:
            calm = self.worlds[WITHOUT_ATTACKS]
            difference = written.minus(calm, confidence).reindex(answer.index)
            answer["without"] = calm.mean(confidence)["mean"].reindex(answer.index)
            answer["difference"] = difference["mean"]
            answer["difference_low"] = difference["low"]
            answer["difference_high"] = difference["high"]
            answer["pairs"] = difference["n"]
        return answer.dropna(subset=[column for column in ("mean", "without") if column in answer], how="all")

    def multiplier(self, confidence: float = CONFIDENCE) -> pd.DataFrame:
        """How many times larger liquidations and the fall are because liquidations move the price they are marked at.

        A row for each liquidation cascade's ``notional`` and ``price_drop``: the geometric mean over replications of the figure
        as written over the same figure on the same luck where trades move no price, with the interval of Student's t on
        logarithms. ``n`` pairs have a ratio; ``left_out`` have none because one of the two is zero or unobserved. Empty where
        the scenario has no outside venue with impact or asks for no cascade.
        """
        rows = {}
        if WITHOUT_IMPACT in self.worlds:
            written, still = self.worlds[AS_WRITTEN].summary, self.worlds[WITHOUT_IMPACT].summary
            for name in _cascades(self.scenario):
                for figure in (f"{name}.notional", f"{name}.price_drop"):
                    found = ratio(written[figure].to_numpy(np.float64), still[figure].to_numpy(np.float64), confidence)
                    rows[figure] = {**found._asdict(), "left_out": len(written) - found.n, "unit": "×"}
        columns = ["mean", "low", "high", "n", "left_out", "unit"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("figure")


def worlds_of(scenario: "Scenario", names: Sequence[str] | Mapping[str, Any] | None = None) -> dict[str, "Scenario"]:
    """The worlds that an experiment runs on the same luck: as written, and the counterfactuals that make sense for it.

    ``without_attacks`` where there are attacks; ``without_impact`` where liquidation cascades are asked for and an outside
    venue's price answers to trades. ``names`` limits them to those.
    """
    worlds: dict[str, Callable[[], Scenario]] = {AS_WRITTEN: lambda: scenario}
    if scenario.attacks:
        worlds[WITHOUT_ATTACKS] = scenario.without_attacks
    still = {f"chains.{name}.impact": "none" for name, chain in scenario.chains.items() if getattr(chain, "impact", "none") != "none"}
    if still and _cascades(scenario):
        worlds[WITHOUT_IMPACT] = lambda: scenario.vary(still)
    return {name: make() for name, make in worlds.items() if names is None or name in names}


def run_id(scenario: "Scenario", seed: int) -> str:
    """The name of a run: 16 hexadecimal digits that depend on the resolved scenario, the seed and the package's version."""
    return sha256(json.dumps([scenario.digest, seed, __version__]).encode()).hexdigest()[:16]


def finished(folder: Path, replications: int) -> list[int]:
    """Which of the first ``replications`` are there."""
    return [number for number in range(replications) if _place(folder, number).is_dir()]


def keep(folder: Path, number: int, worlds: Mapping[str, Mapping[str, bytes]], record: Mapping[str, Any]) -> None:
    """Put a replication in its place, all its worlds and the record of it together.

    Raises:
        OutputError: the folder cannot be written.
    """
    files = {f"{world}/{name}": content for world, packed in worlds.items() for name, content in packed.items()}
    files["manifest.json"] = _json({"replication": number, **record})
    place = _place(folder, number)
    with writing(place):
        write_folder(place, files)


def record_of(digest: str, figures: Mapping[str, float]) -> dict[str, Any]:
    """What is written down of one world of a replication."""
    return {"digest": digest, "figures": {name: None if np.isnan(value) else value for name, value in figures.items()}}


def seal(folder: Path, scenario: "Scenario", seed: int, numbers: Sequence[int]) -> Run:
    """Write what belongs to the whole run, over these replications of it, and load it.

    Raises:
        OutputError: the folder cannot be written.
    """
    records = {number: _record(folder, number) for number in numbers}
    worlds = list(records[numbers[0]]["worlds"])
    digests = {world: {str(number): record["worlds"][world]["digest"] for number, record in records.items()} for world in worlds}
    manifest = {
        "run": folder.name,
        "title": scenario.title,
        "seed": seed,
        "replications": list(numbers),
        "digests": digests,
        "scenario_digest": scenario.digest,
        "scenario": scenario.resolved(),
        "provenance": [row._asdict() for row in scenario.provenance()],
        "versions": versions(),
        "revision": revision(),
        "seconds": sum(record.get("seconds", 0.0) for record in records.values()),
        "host": host(),
    }
    with writing(folder):
        write_file(folder / "scenario.yaml", scenario.yaml().encode())
        write_file(folder / "manifest.json", _json(manifest))
        run = Run.load(folder)
        write_file(folder / "summary.csv", run.summary.to_csv(index=False, lineterminator="\n").encode())
    return run


def save(results: Results, folder: Path) -> None:
    """Keep the results of one world as a run."""
    with prepared(folder), prepared(folder / REPLICATIONS):
        for number, measured in results.measured.items():
            record = {"worlds": {AS_WRITTEN: record_of(measured.digest, measured.figures)}}
            keep(folder, number, {AS_WRITTEN: pack(results.log(number))}, record)
        seal(folder, results.scenario, results.seed, list(results.measured))


def _place(folder: Path, number: int) -> Path:
    return folder / REPLICATIONS / f"{number:04d}"


def _record(folder: Path, number: int) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((_place(folder, number) / "manifest.json").read_text("utf-8"))
    return record


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _near(folder: Path) -> str:
    there = sorted(path.parent.as_posix() for path in folder.glob("*/manifest.json")) if folder.is_dir() else []
    return f"; there are {', '.join(there)}" if there else ""


def _cascades(scenario: "Scenario") -> list[str]:
    return [name for name, metric in scenario.metrics.items() if metric.kind == "liquidation_cascade"]


def is_key(figure: str, scenario: "Scenario") -> bool:
    """Whether its metric is quoted by a figure, ``metric.figure`` or ``metric.subject.figure``."""
    name, _, rest = figure.partition(".")
    key = scenario.metrics[name].key
    return not key or rest in key or rest.rpartition(".")[2] in key
