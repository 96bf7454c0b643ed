"""Provenance of a run: which software made it, and where; written into manifests only, so that tables compare byte for byte."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import l2sim

PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "simpy", "pydantic", "networkx", "joblib")


def versions() -> dict[str, str]:
    """Versions of the package, of Python and of what the figures depend on."""
    found = {"l2sim": l2sim.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def revision() -> str | None:
    """The git revision that the package runs from, with ``-dirty`` where files differ from it; None outside a checkout."""
    checkout = Path(l2sim.__file__).resolve().parent.parent
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None


def host() -> dict[str, str | int | None]:
    """The kind of machine."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
