"""Results: logs, metrics, and the scenario and seed that produced them; and runs, which are results kept in a folder."""

from l2sim.results.folder import OutputError, RunNotFound
from l2sim.results.results import Measured, Results
from l2sim.results.run import Run

__all__ = ["Measured", "OutputError", "Results", "Run", "RunNotFound"]
