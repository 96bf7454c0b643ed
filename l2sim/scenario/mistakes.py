"""Mistakes: what is wrong with a scenario, where, and what would be right, all of it at once."""

from collections.abc import Iterable
from typing import NamedTuple


class Mark(NamedTuple):
    """A place in a file or in a ``--set``: line and column count from 1."""

    file: str
    line: int
    column: int
    source: str = ""
    """The text of that line."""

    def __str__(self) -> str:
        in_file = self.line and not self.file.startswith("--set ")
        return f"{self.file}:{self.line}:{self.column}" if in_file else self.file


class Mistake(NamedTuple):
    """One thing that is wrong."""

    message: str
    path: str = ""
    """Dotted path in the scenario, such as ``agents.keepers.reaction``."""
    mark: Mark | None = None

    def __str__(self) -> str:
        text = ": ".join(part for part in (str(self.mark or ""), self.path, self.message) if part)
        if self.mark is None or not self.mark.source.strip():
            return text
        source = self.mark.source.replace("\t", " ")
        number = f"{self.mark.line:>5} | "
        return f"{text}\n{number}{source}\n{' ' * (len(number) - 2)}| {' ' * (self.mark.column - 1)}^"

    def place(self) -> tuple[str, int, int, str]:
        """Where it sorts: by file, line and column."""
        mark = self.mark or Mark("", 0, 0)
        return mark.file, mark.line, mark.column, self.path


class ScenarioError(Exception):
    """The input is wrong; ``str`` of it is everything that a user needs to read.

    Attributes:
        mistakes: every mistake, in the order of the files.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(dict.fromkeys(mistakes), key=Mistake.place))
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)
