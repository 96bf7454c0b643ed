"""Folders: files appear whole or not at all. Everything is made under a temporary name beside its place, then renamed."""

import errno
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from time import time

_PARTIAL = ".partial-"

_HERE = sha256(platform.node().encode()).hexdigest()[:8]
"""This machine, in the names of partials: on a shared disk another machine's process may have the same number."""

_FORGOTTEN = 86400.0
"""The age at which a partial of another machine, whose processes cannot be seen from here, is taken for dead (s)."""


class OutputError(Exception):
    """The output cannot be written; the message names the place and the remedy."""


class RunNotFound(Exception):
    """There is no such run or replication; the message says what there is."""


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the operating system says about writing into an OutputError that names the place and a remedy."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        where = error.filename or place
        remedy = "name a folder that can be written with --out"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "what was finished is kept: make room and start the same again"
        raise OutputError(f"cannot write to '{where}': {reason}; {remedy}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file, replacing what is there."""
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files by their relative paths; where the folder is there already, it stays as it is."""
    partial = _partial(path)
    try:
        for name, content in files.items():
            place = partial / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        try:
            partial.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """Make a folder that can be written, swept of what dead processes left; it goes again if nothing gets into it."""
    with writing(folder):
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        probe = _partial(folder / "probe")
        probe.write_bytes(b"")
        probe.unlink()
    try:
        yield
    finally:
        for place in missing:
            with suppress(OSError):
                place.rmdir()


def sweep(folder: Path) -> None:
    """Remove what processes that no longer live left half-written."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        process, _, machine = partial.name.removeprefix(_PARTIAL).split("-")[0].partition("@")
        if process.isdigit() and not (_lives(int(process)) if machine in ("", _HERE) else _is_young(partial)):
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f"{_PARTIAL}{os.getpid()}@{_HERE}-{path.name}")


def _is_young(partial: Path) -> bool:
    try:
        return time() - partial.stat().st_mtime < _FORGOTTEN
    except OSError:
        return True  # it is gone already


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False  # our own number on something that we did not begin: an earlier process had it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
