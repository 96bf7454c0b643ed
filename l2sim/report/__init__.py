"""Report: what a run, a study or a comparison found, as one HTML file that opens anywhere, and the figures and their data beside it."""

from l2sim.report.writing import write_report

__all__ = ["write_report"]
