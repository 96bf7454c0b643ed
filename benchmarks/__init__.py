"""Benchmarks: what a run costs, compared with other ways of writing it. See README.md."""
