"""Study: from one run to a finding. A scenario, what varies, how often, and what is compared.

The names below are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2sim.study.description import Study
    from l2sim.study.findings import Findings
    from l2sim.study.precision import Precision
    from l2sim.study.running import replay, sweep

__all__ = ["Findings", "Precision", "Study", "replay", "sweep"]

_HOME = {"Study": "description", "Precision": "precision", "Findings": "findings", "sweep": "running", "replay": "running"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"l2sim.study.{_HOME[name]}"), name)
    raise AttributeError(f"module 'l2sim.study' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
