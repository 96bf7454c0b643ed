"""A log goes through its files and comes back the same."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from l2sim.events import BatchPosted, BlockSealed, HeadAdvanced, PositionLiquidated, TransactionIncluded
from l2sim.log import Log
from l2sim.results.tables import pack, read_log


class BridgeEmptied(NamedTuple):
    """A fact of another package."""

    bridge: str
    amount: float
    count: int


def written(log: Log, folder: Path) -> Path:
    folder.mkdir()
    for name, content in pack(log).items():
        (folder / name).write_bytes(content)
    return folder


def some(order: tuple[str, ...] = ("zeta", "arb")) -> Log:
    log = Log()
    log.about = {"duration": 10, "prices": {"eth": np.float64(3000.5)}, "blocks": np.int64(3), "chains": {"arb": {"block_time": None}}}
    for name in order:
        log.names.code(name)
    for i in range(5):
        log.record(i, BlockSealed("arb" if i % 2 else "zeta", i, 1, 21_000 * i, 10**18, 1, 0, 0))
        log.record(i, TransactionIncluded("arb", i, i - 1, 7, "pool", "swap", 1, 21_000, 0.1, float("nan"), -0.0, 1e-300))
    log.record(9, PositionLiquidated("perp", 1, 2, -1.5, 100.0, 99.0, 1.0, 2.0, 3.0, 0.0))
    log.record(9, BridgeEmptied("canonical", 12.5, 3))
    log.table(HeadAdvanced)
    return log


def test_the_digest_and_the_facts_survive(tmp_path: Path) -> None:
    log = some()
    again = read_log(written(log, tmp_path / "log"))
    assert list(again) == list(log) == ["BlockSealed", "BridgeEmptied", "HeadAdvanced", "PositionLiquidated", "TransactionIncluded"]
    assert again.digest == log.digest
    assert again.about == log.about
    assert again.frame("BlockSealed")["chain"].tolist() == ["zeta", "arb", "zeta", "arb", "zeta"]
    assert again.frame("BridgeEmptied").to_dict("records") == [{"time": 9, "bridge": "canonical", "amount": 12.5, "count": 3}]
    for name in log:
        assert again.tables[name].dtypes == log.tables[name].dtypes
    assert again.select(BlockSealed, "number", chain="arb")[0].tolist() == [1, 3]
    assert len(again.select(BatchPosted, "cost")[0]) == 0


def test_the_same_log_gives_the_same_bytes_whatever_its_codes() -> None:
    assert pack(some(("zeta", "arb"))) == pack(some(("arb", "pool", "zeta")))


def test_the_digest_sees_a_changed_cell_and_not_the_codes() -> None:
    assert some(("zeta", "arb")).digest == some(("arb", "zeta")).digest
    other = some()
    other.record(9, BridgeEmptied("canonical", 12.5, 3))
    assert other.digest != some().digest


def test_a_log_that_was_read_is_read_table_by_table(tmp_path: Path) -> None:
    folder = written(some(), tmp_path / "log")
    (folder / "TransactionIncluded.parquet").write_bytes(b"not parquet")
    again = read_log(folder)
    assert len(again.frame("BlockSealed")) == 5
    assert "TransactionIncluded" in again.tables
    assert "BatchPosted" not in again.tables
    with pytest.raises(Exception, match=r"[Pp]arquet"):
        again.frame("TransactionIncluded")


def test_what_cannot_be_written_about_a_run_is_refused() -> None:
    log = Log()
    log.about = {"clock": object()}
    with pytest.raises(TypeError, match=r"log\.about holds a object"):
        pack(log)
