"""Presets: what a chain is, each value sourced and dated or marked assumed. One YAML file each, with these keys:

``about`` says what it describes, ``chain`` is the mapping that a scenario's ``preset:`` is laid over, ``sources`` gives for a
dotted path in ``chain`` the value in words, where it was read and when, and ``assumed`` why a value was chosen without a source.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The presets there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
