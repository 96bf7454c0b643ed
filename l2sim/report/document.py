"""Document: what a report says, before it is a page, a text with pictures or a PDF."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from l2sim.report.answer import Finding
from l2sim.report.cards import Card
from l2sim.report.figures import Picture
from l2sim.report.glossary import Entry
from l2sim.report.tables import Table

if TYPE_CHECKING:
    import pandas as pd


class Section(NamedTuple):
    """A heading with what is under it."""

    anchor: str
    title: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    paragraphs: Sequence[str] = ()
    """What is said first."""


class Text(NamedTuple):
    """A file that is printed in full, such as the scenario."""

    anchor: str
    title: str
    note: str
    text: str


class Document(NamedTuple):
    """A report: the question and the answer first, then what they rest on."""

    title: str
    question: str
    introduction: Sequence[str]
    """What the figures are: how many runs, which intervals, how many of them."""
    cards: Sequence[Card]
    findings: Sequence[Finding]
    silence: str
    """What is said where there is no finding."""
    key_figures: Table | None
    sections: Sequence[Section]
    assumptions: Sequence[Table]
    """What is taken for granted, and where values come from: fitted, sourced and assumed ones apart."""
    chosen: str
    """How many values come from nowhere but the file itself."""
    texts: Sequence[Text]
    facts: Mapping[str, object]
    made_by: str
    """The command that makes every figure."""
    commands: Sequence[str]
    """What to type to do it again, each with a word about it."""
    versions: Mapping[str, str]
    digests: Table | None
    glossary: Sequence[Entry]
    data: "Mapping[str, pd.DataFrame]"
    """Further tables that are written beside those of the figures, by name."""

    @property
    def pictures(self) -> list[Picture]:
        """All figures, in order."""
        return [picture for section in self.sections for picture in section.pictures]
