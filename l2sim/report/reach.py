"""Reach: which chains an attack acts on, so that a picture of one chain shades only what concerns it."""

from typing import TYPE_CHECKING

from l2sim.report.evidence import Evidence
from l2sim.report.series import Window, windows
from l2sim.scenario.references import walk

if TYPE_CHECKING:
    from l2sim.log import Log


def windows_on(evidence: Evidence, log: "Log", chain: str) -> list[Window]:
    """The attacks that act on a chain or on an L1 below it, each while it lasts."""
    below = foundation(evidence, chain)
    return [window for window in windows(log) if not (at := struck(evidence, window.name)) or at & below]


def struck(evidence: Evidence, attack: str) -> set[str]:
    """The chains that an attack names, and those of the markets that it names; none where it names neither, and may act anywhere."""
    part, found = evidence.scenario.attacks.get(attack), set()
    for one in walk(type(part), part) if part is not None else ():
        if one.refers is not None and one.value in evidence.scenario.chains and "chains" in one.refers.section.split("|"):
            found.add(one.value)
        elif one.refers is not None and one.value in evidence.scenario.markets and "markets" in one.refers.section.split("|"):
            found.add(str(getattr(evidence.scenario.markets[one.value], "on", "")))
    return found - {""}


def foundation(evidence: Evidence, chain: str) -> set[str]:
    """A chain and what it settles on, down to the last."""
    found: set[str] = set()
    while chain and chain not in found:
        found.add(chain)
        chain = str(getattr(evidence.scenario.chains.get(chain), "settles_on", None) or "")
    return found
