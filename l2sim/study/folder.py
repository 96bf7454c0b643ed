"""Folder of a study: every run is a small file that is there whole or not at all.

::

    results/<study>/<study id>/
        study.yaml         the study, its scenario inside
        manifest.json      seed, versions, digests; times and facts about the host are here alone
        points.csv         a row for each point: its levels
        runs/000137.json   digests and figures of one run, all its worlds; or why it failed
        summary.csv        once all runs are there: means with their intervals
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2sim import __version__
from l2sim.results import OutputError, RunNotFound
from l2sim.results.folder import prepared, write_file, writing
from l2sim.results.provenance import host, revision, versions

if TYPE_CHECKING:
    from l2sim.study.description import Study

FORMAT = 1
"""Of the files in the folder; a folder of another one is not continued."""

RUNS = "runs"


@contextmanager
def opened(folder: Path, study: "Study") -> Iterator[None]:
    """A study's folder that can be written, begun or begun earlier by the same study and the same version of the package.

    Raises:
        OutputError: it cannot be written, or what is there was made by another version or another study.
    """
    _agree(folder, study)
    with prepared(folder), prepared(folder / RUNS):
        with writing(folder):
            write_file(folder / "study.yaml", study.yaml().encode())
            write_file(folder / "points.csv", _points(study))
            if not (folder / "manifest.json").exists():
                write_file(folder / "manifest.json", as_json(_beginning(folder, study)))
        yield


def land(folder: Path, run: int, record: Mapping[str, Any]) -> None:
    """Put a run in its place.

    Raises:
        OutputError: the folder cannot be written.
    """
    with writing(folder):
        write_file(_place(folder, run), as_json(record))


def landed(folder: Path) -> set[int]:
    """The numbers of the runs that are there, whatever became of them."""
    names = (path.stem for path in (folder / RUNS).glob("[0-9]*.json"))
    return {int(name) for name in names if name.isdigit()}


def record_of(folder: Path, run: int) -> dict[str, Any]:
    """What is written down of a run.

    Raises:
        RunNotFound: it is not there, or cannot be read.
    """
    place = _place(folder, run)
    try:
        record = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        raise RunNotFound(f"'{folder}' has no run {run}; it has {len(landed(folder))} runs") from None
    except (OSError, ValueError) as error:
        raise RunNotFound(f"run {run} cannot be read ({error}): remove '{place}' and start the study again, which runs it again") from None
    if not isinstance(record, dict) or record.get("run") != run or not isinstance(record.get("worlds", record.get("failed")), dict):
        raise RunNotFound(f"'{place}' is no record of run {run}: remove it and start the study again, which runs it again")
    return record


def manifest_of(folder: Path, formats: tuple[int, ...] = (FORMAT,)) -> dict[str, Any]:
    """What is known about a study beside its runs; empty ``formats`` stand for any.

    Raises:
        RunNotFound: there is no study in that folder, its manifest is damaged, or it is in a format that cannot be read.
    """
    place = folder / "manifest.json"
    try:
        manifest = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        raise RunNotFound(f"'{folder}' is no study: name a folder such as results/<study>/<study id>") from None
    except (OSError, ValueError) as error:
        raise RunNotFound(f"'{place}' cannot be read ({error}): remove it with its folder, or name another place with --out") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("versions"), dict):
        raise RunNotFound(f"'{place}' is no manifest of a study: remove it with its folder, or name another place with --out")
    if formats and manifest.get("format") not in formats:
        made = manifest["versions"].get("l2sim", "another version")
        raise RunNotFound(f"'{folder}' is in format {manifest.get('format')} of l2sim {made}, and this version reads format {FORMAT}")
    return manifest


def seal(folder: Path, study: "Study", replications: list[int], seconds: float) -> None:
    """Write what belongs to the whole study, now that all its runs are there: the manifest and the summary.

    Raises:
        OutputError: the folder cannot be written.
    """
    from l2sim.study.findings import Findings

    points = len(study.points)
    runs = sorted(number * points + point for point, most in enumerate(replications) for number in range(most))
    digests: dict[str, Any] = {}
    failed = 0
    for run in runs:
        record = record_of(folder, run)
        failed += "failed" in record
        for world, measured in record.get("worlds", {}).items():
            digests.setdefault(world, sha256()).update(f"{run} {measured['digest']}\n".encode())
    manifest = manifest_of(folder)
    manifest |= {"runs": len(runs), "failed": failed, "replications": replications}
    manifest |= {"digests": {world: digest.hexdigest() for world, digest in sorted(digests.items())}}
    manifest["seconds"] = round(manifest.get("seconds", 0.0) + seconds, 3)
    with writing(folder):
        write_file(folder / "manifest.json", as_json(manifest))
        summary = Findings.load(folder).summary
        write_file(folder / "summary.csv", summary.to_csv(index=False, lineterminator="\n").encode())


def as_json(content: Mapping[str, Any]) -> bytes:
    """Plain data as text, the same for the same data."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _place(folder: Path, run: int) -> Path:
    return folder / RUNS / f"{run:06d}.json"


def _beginning(folder: Path, study: "Study") -> dict[str, Any]:
    return {
        "format": FORMAT,
        "study": folder.name,
        "title": study.title,
        "study_digest": study.digest,
        "seed": study.seed,
        "versions": versions(),
        "revision": revision(),
        "host": host(),
    }


def _agree(folder: Path, study: "Study") -> None:
    """Refuse a folder that another version or another study has begun: its name says so unless somebody has renamed it."""
    remedy = f"remove or rename '{folder}', or name another place with --out"
    if not (folder / "manifest.json").exists():
        if landed(folder):
            raise OutputError(f"'{folder}' has runs but no manifest that says what made them; {remedy}")
        return
    manifest = manifest_of(folder, formats=())
    made = manifest["versions"].get("l2sim", "of another version")
    if (made, manifest.get("format")) != (__version__, FORMAT):
        kinds = "" if made != __version__ else f" in format {manifest.get('format')} instead of {FORMAT}"
        raise OutputError(f"the runs in '{folder}' were made by l2sim {made}{kinds}, and this is {__version__}: they do not mix; {remedy}")
    if manifest.get("study_digest") != study.digest:
        raise OutputError(f"the runs in '{folder}' belong to another study, {manifest.get('study')}; {remedy}")


def _points(study: "Study") -> bytes:
    text = io.StringIO()
    points = study.points
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["point", *points[0].levels])  # all points have the same factors
    table.writerows([number, *point.levels.values()] for number, point in enumerate(points))
    return text.getvalue().encode()
