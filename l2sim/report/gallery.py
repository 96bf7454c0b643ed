"""The gallery: every shipped scenario with its question, what was found, a picture, and the way to its report."""

from collections.abc import Sequence
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from l2sim.report import page
from l2sim.report.answer import Finding
from l2sim.report.cards import Card
from l2sim.report.document import Document
from l2sim.report.figures import Picture
from l2sim.report.writing import environment, write
from l2sim.results.folder import prepared, write_file, writing

if TYPE_CHECKING:
    from l2sim.scenario import Scenario

FOLDER, FILE = "gallery", "index.html"
REPLICATIONS = 4
"""Of each scenario: few, so that the gallery is soon there; a report says how sure it is."""
CARDS, FINDINGS = 4, 2
PREFERRED = ("saturation", "consensus", "side_by_side", "delays", "timeline")
"""Pictures that show a scenario best, if it has them."""


class Entry(NamedTuple):
    """A scenario in the gallery."""

    name: str
    title: str
    question: str
    how: str
    """How its figures came to be."""
    cards: Sequence[Card]
    findings: Sequence[Finding]
    picture: Picture | None
    svg: str
    """The picture, its inner names made unique in the gallery."""
    link: str
    """Where its report is, from the gallery's own folder."""
    command: str
    """What makes it."""


def write_gallery(
    out: str | Path = "results", replications: int = REPLICATIONS, jobs: int = -1, scenarios: str | Path = "scenarios"
) -> Path:
    """Run every scenario in a folder, write their reports and the gallery, ``<out>/gallery/index.html``; the path of it.

    Replications that are there already are not run again.

    Args:
        out: folder for the results.
        replications: how many independent runs of each scenario.
        jobs: on how many cores; -1 is all of them.
        scenarios: folder of the scenario files.

    Raises:
        ScenarioError: there is no scenario in that folder, or one of them has mistakes; nothing is run then.
        RunFailed: an agent, an attack or a metric failed.
        OutputError: the folder cannot be written.
    """
    from l2sim import __version__
    from l2sim.simulation import experiment

    loaded = _loaded(Path(scenarios))
    folder = Path(out) / FOLDER
    with prepared(folder):
        entries = []
        for file, scenario in loaded.items():
            run = experiment(scenario, replications=replications, jobs=jobs, out=out)
            document = page.document(run)
            report = write(document, run.path)
            command = f"l2sim run {file.as_posix()} --seed {run.seed} --replications {run.replications}"
            entries.append(_entry(scenario.name, document, Path(relpath(report, folder)).as_posix(), command))
        made = environment().get_template("gallery.html.jinja").render(entries=entries, version=__version__)
        with writing(folder):
            write_file(folder / FILE, made.encode())
    return folder / FILE


def _loaded(folder: Path) -> "dict[Path, Scenario]":
    """The scenarios in a folder by file, or the mistakes in all of them."""
    from l2sim.scenario import Mistake, Scenario, ScenarioError

    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ScenarioError([Mistake(f"'{folder}' has no scenario in it: name a folder of scenario files")])
    found: dict[Path, Scenario] = {}
    mistakes: list[Mistake] = []
    for file in files:
        try:
            scenario = Scenario.load(file)
            scenario.recordings()
        except ScenarioError as error:
            mistakes += error.mistakes
        else:
            found[file] = scenario
    if mistakes:
        raise ScenarioError(mistakes)
    return found


def _entry(name: str, document: Document, link: str, command: str) -> Entry:
    ranked = sorted(document.pictures, key=lambda picture: PREFERRED.index(picture.name) if picture.name in PREFERRED else len(PREFERRED))
    picture = ranked[0] if ranked else None
    return Entry(
        name=name,
        title=document.title,
        question=document.question,
        how=" ".join(document.introduction),
        cards=document.cards[:CARDS],
        findings=document.findings[:FINDINGS],
        picture=picture,
        svg=picture.drawing.named(f"{name}-{picture.name}") if picture else "",
        link=link,
        command=command,
    )


if __name__ == "__main__":
    print(write_gallery())
