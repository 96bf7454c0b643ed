"""Cast: what the checks of agreement look members up in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from l2sim.part import Part
from l2sim.scenario.nodes import Where
from l2sim.scenario.references import members


class Cast(NamedTuple):
    """What the checks look things up in."""

    scenario: Mapping[str, Any]
    parts: Mapping[Where, type[Part]]
    regions: Sequence[str]

    def chain(self, name: Any) -> type[Part] | None:
        return self.parts.get(("chains", str(name)))

    def made(self, section: str) -> Iterator[tuple[str, Any]]:
        """The members of a section, made of what is written; but for those with which something is wrong, which is said elsewhere."""
        for name, fields in members(self.scenario, section).items():
            part = self.parts.get((section, name))
            if part is not None and isinstance(fields, Mapping):
                with suppress(ValueError):
                    yield name, part.model_validate({key: value for key, value in fields.items() if key != "kind"})

    def one(self, section: str, name: str) -> Any:
        """A member of a section, made of what is written; None where there is none, or something is wrong with it."""
        fields, part = members(self.scenario, section).get(name), self.parts.get((section, name))
        if part is None or not isinstance(fields, Mapping):
            return None
        try:
            return part.model_validate({key: value for key, value in fields.items() if key != "kind"})
        except (ValueError, AttributeError):
            return None

    def those(self, section: str, fit: Callable[[type[Part]], bool]) -> str:
        """The members of a section that would do, as text."""
        return ", ".join(where[1] for where, part in sorted(self.parts.items()) if len(where) == 2 and where[0] == section and fit(part))


Disagreement = Iterator[tuple[str, str]]
"""Keys of a part, dotted, and what is wrong with what is under them."""


def is_kind(part: type[Part], kind: str) -> bool:
    """Whether a class is that kind or made from it."""
    return kind in {getattr(base, "kind", "") for base in part.__mro__}
