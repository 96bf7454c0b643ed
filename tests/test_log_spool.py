"""What a log has put on disk is the same as what it holds in memory."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from worlds import lived, small

import l2sim.log
from l2sim.events import OutsideTraded
from l2sim.log import Log
from l2sim.results.tables import pack, read_log
from l2sim.spool import Spool


def test_columns_come_back_as_they_went_in() -> None:
    spool = Spool([np.dtype(np.int8), np.dtype(np.float64)])
    for start in (0, 3, 7):
        spool.add([np.arange(start, start + 3, dtype=np.int8), np.arange(start, start + 3) / 3.0])
    whole, parts = spool.columns()
    assert whole.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert parts.tolist() == [n / 3.0 for n in whole.tolist()]


def test_a_log_on_disk_is_the_log_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scenario = small("duration=4min", "attacks={}")
    memory = lived(scenario)
    monkeypatch.setattr(l2sim.log, "_IN_MEMORY", 0)
    monkeypatch.setattr(l2sim.log, "_CHUNK", 100)
    monkeypatch.setattr(l2sim.log, "_PIECE", 37)
    disk = lived(scenario)
    assert disk.tables["TransactionIncluded"]._spool is not None
    assert disk.digest == memory.digest
    assert disk.frame("TransactionIncluded").equals(memory.frame("TransactionIncluded"))
    assert pickle.loads(pickle.dumps(disk)).digest == memory.digest
    for name, content in pack(disk).items():
        (tmp_path / name).write_bytes(content)
    assert read_log(tmp_path).digest == memory.digest


def test_rows_can_be_added_after_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l2sim.log, "_IN_MEMORY", 0)
    monkeypatch.setattr(l2sim.log, "_CHUNK", 4)
    log = Log()
    for n in range(10):
        log.record(n, OutsideTraded("outside", "eth", n, 1.0, 2.0, 0.0))
        assert log.arrays("OutsideTraded")["sender"].tolist() == list(range(n + 1))
    log.revert({"OutsideTraded": 2}, {"OutsideTraded": 5})
    assert log.arrays("OutsideTraded")["sender"].tolist() == [0, 1, 5, 6, 7, 8, 9]
    assert log.arrays("OutsideTraded", reverted=True)["canonical"].sum() == 7
    assert log.digest != log.digest_of_everything
