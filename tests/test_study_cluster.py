"""A Dask cluster gives the same answers, survives the death of a worker, and says what is wrong with it before anything runs."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_study_engine import deadly
from test_study_running import files, study

from l2sim.engine import WorkerLost, each
from l2sim.study.cluster import ClusterError, connected
from l2sim.study.running import Swept, sweep

distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
dask = pytest.importorskip("dask")

# Dask closes its own sockets and processes late.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def dask_cluster(workers: int, **options: Any) -> Any:
    """So many workers, each a process with one thread."""
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=60, **options
    )


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    with dask.config.set({"distributed.comm.timeouts.connect": "3s"}), dask_cluster(2) as started:
        yield started


def test_a_cluster_gives_the_same_answers(local: Any, tmp_path: Path) -> None:
    one, two = sweep(study(), out=tmp_path / "one"), sweep(study(), cluster=local.scheduler_address, out=tmp_path / "two")
    assert files(two.path) == files(one.path)


def test_a_killed_worker_loses_nothing(local: Any, tmp_path: Path) -> None:
    def kill(now: Swept) -> None:
        if now.runs in (5, 20):
            os.kill(next(iter(local.workers.values())).pid, signal.SIGKILL)

    many = study(replications=20)
    found = sweep(many, cluster=local.scheduler_address, out=tmp_path / "two", progress=kill)
    assert found.failures.empty
    assert files(found.path) == files(sweep(many, out=tmp_path / "one").path)


def test_what_kills_every_worker_is_given_up(local: Any, tmp_path: Path) -> None:
    with connected(local.scheduler_address) as backend:
        found = dict(each(partial(deadly, tmp_path), range(10), backend=backend))
    lost = found.pop(5)
    assert isinstance(lost, WorkerLost)
    assert "KilledWorker" in str(lost)
    assert found == {task: task for task in range(10) if task != 5}


def test_one_worker_does_not_mean_this_process() -> None:
    """Joblib makes a plain loop here of a cluster with one core."""
    with dask_cluster(1) as one, connected(one.scheduler_address) as backend:
        assert os.getpid() not in dict(each(_process, range(4), backend=backend)).values()


def _process(_: int) -> int:
    return os.getpid()


# ---- what is wrong with a cluster


def refused(address: str, timeout: float = 0.5) -> str:
    """What is said of the cluster there."""
    with pytest.raises(ClusterError) as told, connected(address, timeout):
        pass
    return str(told.value)


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"  # bound, but nobody listens
        said = refused(address)
    assert f"no Dask scheduler answers at '{address}' within 0.5 s" in said
    assert "start one with 'dask scheduler'" in said
    for nonsense in ("no address", "carrier://pigeon:1"):
        with pytest.raises(ClusterError, match="no Dask scheduler answers"):
            sweep(study(), cluster=nonsense, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_somebody_else_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no Dask scheduler answers" in refused(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_a_scheduler_without_workers() -> None:
    with dask_cluster(0) as empty:
        said = refused(empty.scheduler_address)
    assert "has no workers, and none came within 0.5 s; start some with 'dask worker tcp:" in said


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("import sys; sys.modules['l2sim'] = None", r"the worker tcp://\S+ has no l2sim .*; install l2sim \S+ there"),
        ("import l2sim; l2sim.__version__ = '0.0.1'", r"has l2sim 0\.0\.1, but here it is \S+; install the same"),
        ("import numpy; numpy.__version__ = '1.0'", r"has numpy 1\.0, but here it is"),
        ("import platform; platform.python_version = lambda: '2.7'", r"has python 2\.7, but here it is 3"),
    ],
)
def test_a_worker_that_is_not_as_it_is_here(tmp_path: Path, odd: str, said: str) -> None:
    with dask_cluster(1, preload=[odd]) as other, pytest.raises(ClusterError, match=said):
        sweep(study(), cluster=other.scheduler_address, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = refused("tcp://127.0.0.1:8786")
    assert "needs the package 'distributed', which is not installed here: pip install 'l2sim[cluster]'" in said
