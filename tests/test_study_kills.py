"""Killed at any point: what had landed stays and is not run again, and the study ends in the summary of an undisturbed one."""

import os
import signal
from pathlib import Path

import pytest
from test_study_running import files, study

from benchmarks.studies import TWENTY, kills
from l2sim.study.running import Swept, sweep

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are killed as on POSIX")


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    many = study(replications=30)
    killed: list[int] = []

    def kill(now: Swept) -> None:
        from joblib.externals.loky import reusable_executor

        if now.runs in (10, 35):
            killed.append(next(iter(reusable_executor._executor._processes)))
            os.kill(killed[-1], signal.SIGKILL)

    found = sweep(many, jobs=2, out=tmp_path / "two", progress=kill)
    assert len(set(killed)) == 2
    assert found.failures.empty
    assert files(found.path) == files(sweep(many, out=tmp_path / "one").path)


def test_a_killed_study_goes_on_where_it_was() -> None:
    """Takes some seconds: the study runs in a process of its own, which is killed with its workers, and in another one after it."""
    assert kills({"parent": 1}, replications=30) == 1


@pytest.mark.validate
def test_twenty_kills() -> None:
    """Takes minutes: as above, twenty times."""
    pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    assert kills() == sum(TWENTY.values())
