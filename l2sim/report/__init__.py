"""Report: what a run found, as one HTML file that opens anywhere, and the data of its figures beside it."""

from l2sim.report.page import write_report

__all__ = ["write_report"]
