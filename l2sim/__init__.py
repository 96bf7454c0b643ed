"""l2sim: what happens to the people who trade derivatives on a rollup when somebody attacks it.

The names below are loaded when they are first asked for, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from l2sim.report import write_report
    from l2sim.results import Results
    from l2sim.scenario import Scenario
    from l2sim.simulation import simulate
    from l2sim.study import Findings, Study, sweep

__all__ = ["Findings", "Results", "Scenario", "Study", "__version__", "simulate", "sweep", "write_report"]

_HOME = {
    "Scenario": "l2sim.scenario",
    "Results": "l2sim.results",
    "simulate": "l2sim.simulation",
    "Findings": "l2sim.study",
    "Study": "l2sim.study",
    "sweep": "l2sim.study",
    "write_report": "l2sim.report",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'l2sim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
