"""Cases: points written out one by one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ConfigDict, field_validator

from l2sim.designs import Design, Point
from l2sim.designs.grid import Factor, factor, joined, listed_levels, wrong


class Cases(Design):
    """Points one by one: with names, which are the levels of a single factor ``case``, or as a list whose factors are the paths."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cases": {"few": {"agents.keepers.count": 1}}}]})

    cases: dict[str, Any] | list[Any]
    """Settings by path: ``{calm: {prices.eth.volatility: 60 %}, wild: {…}}``, each with the paths it likes, or a list
    ``[{agents.keepers.count: 1, attacks.outage.lasts: 30min}, …]``, all with the same paths."""

    @field_validator("cases")
    @classmethod
    def _differ(cls, written: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
        made = list(_factors(written).values())
        seen: dict[tuple[float | str, ...], int] = {}
        for number, levels in enumerate(zip(*(one.levels for one in made), strict=True), 1):
            first = seen.setdefault(tuple(level.value for level in levels), number)
            if first != number:
                raise wrong(f"cases {first} and {number} are equal")
        return written

    def points(self, rng: np.random.Generator) -> list[Point]:
        made = _factors(self.cases)
        return [joined(dict(zip(made, levels, strict=True))) for levels in zip(*(one.levels for one in made.values()), strict=True)]

    def units(self) -> Mapping[str, str]:
        return {name: one.unit for name, one in _factors(self.cases).items() if one.unit is not None}


def _factors(cases: Mapping[str, Any] | list[Any]) -> dict[str, Factor]:
    if not cases:
        raise wrong("there are no cases: write at least one, such as 'few: {agents.keepers.count: 1}'")
    if isinstance(cases, Mapping):
        return {"case": factor("case", cases)}
    for i, case in enumerate(cases, 1):
        if not isinstance(case, Mapping) or not case:
            raise wrong(f"case {i} must be a mapping of paths to values, such as {{agents.keepers.count: 1}}")
        if set(case) != set(cases[0]):
            path = min(set(case) ^ set(cases[0]))
            raise wrong(f"cases of a list set the same paths, but '{path}' is only in case {i if path in case else 1} of 1 and {i}")
    return {path: listed_levels(path, [case[path] for case in cases]) for path in cases[0]}
