"""Recordings from the user's own files: what is read, and what is refused with its row."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2sim.prices import Recording
from l2sim.scenario import Scenario, ScenarioError
from l2sim.units import MINUTE, SECOND

ROWS = ["2025-11-11 00:00:00,3566.88", "2025-11-11 00:01:00,3564.5", "2025-11-11 00:02:00,3566", "2025-11-11 00:03:00,3560"]
CSV = "\n".join(["timestamp,indexPrice", *ROWS]) + "\n"


def recorded(folder: Path, content: str | bytes, name: str = "day.csv", duration: str = "3min", **more: Any) -> Recording:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    page = {"file": (folder / name).as_posix(), "time": "timestamp", "columns": {"price": "indexPrice"}, **more}
    return Scenario.of({"duration": duration, "data": {"day": page}}).recordings()["day"]


def refused(folder: Path, content: str | bytes, name: str = "day.csv", **more: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        recorded(folder, content, name, **more)
    (mistake,) = caught.value.mistakes
    assert mistake.path.startswith("data.day")
    return mistake.message


def test_a_csv_becomes_nanoseconds_since_its_first_row(tmp_path: Path) -> None:
    recording = recorded(tmp_path, CSV)
    assert recording.times.tolist() == [0, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert recording.times.dtype == np.int64
    assert recording.columns["price"].tolist() == [3566.88, 3564.5, 3566.0, 3560.0]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    assert recorded(tmp_path, CSV.replace(",", separator)).columns["price"][1] == 3564.5


def test_gzip_parquet_and_byte_order_marks(tmp_path: Path) -> None:
    plain = recorded(tmp_path, CSV)
    marked = recorded(tmp_path, b"\xef\xbb\xbf" + CSV.encode())
    zipped = recorded(tmp_path, gzip.compress(CSV.encode()), "day.csv.gz")
    frame = pd.read_csv(tmp_path / "day.csv")
    frame.to_parquet(tmp_path / "t.parquet")
    text = recorded(tmp_path, (tmp_path / "t.parquet").read_bytes(), "text.parquet")
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame.to_parquet(tmp_path / "t.parquet")
    typed = recorded(tmp_path, (tmp_path / "t.parquet").read_bytes(), "typed.parquet")
    for other in (marked, zipped, text, typed):
        assert other.times.tolist() == plain.times.tolist()
        assert other.columns["price"].tolist() == plain.columns["price"].tolist()


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_instants_may_be_numbers_since_1970(tmp_path: Path, scale: int) -> None:
    rows = [f"{(1_762_819_200 + 60 * i) * scale},{3000 + i}" for i in range(4)]
    assert recorded(tmp_path, "\n".join(["timestamp,indexPrice", *rows])).times.tolist() == [i * MINUTE for i in range(4)]


def test_instants_may_have_fractions_of_a_second(tmp_path: Path) -> None:
    rows = "timestamp,indexPrice\n1762819200.5,1\n1762819201,2\n1762819201.5,3\n"
    assert recorded(tmp_path, rows, duration="1s").times.tolist() == [0, SECOND // 2, SECOND]


def test_stated_offsets_beat_the_time_zone(tmp_path: Path) -> None:
    text = "timestamp,indexPrice\n2025-11-11T00:00:00Z,1\n2025-11-11T01:01:00+01:00,2\n2025-11-11T00:02:00Z,3\n"
    assert recorded(tmp_path, text, duration="2min", timezone="Asia/Tokyo").times.tolist() == [0, MINUTE, 2 * MINUTE]


def test_a_time_zone_knows_summer_time(tmp_path: Path) -> None:
    text = "timestamp,indexPrice\n2025-03-30 01:00,1\n2025-03-30 03:00,2\n2025-03-30 04:00,3\n"
    assert recorded(tmp_path, text, duration="2h", timezone="Europe/Berlin").times.tolist() == [0, 60 * MINUTE, 120 * MINUTE]
    message = refused(tmp_path, text.replace("03:00,2", "02:30,2"), duration="2h", timezone="Europe/Berlin")
    assert "day.csv, line 3: '2025-03-30 02:30' is not an instant" in message
    assert "state its offset" in message


def test_units_and_lists_of_columns(tmp_path: Path) -> None:
    text = "timestamp,answer,round\n0,300000000000,1\n60,300100000000,2\n120,300200000000,3\n"
    recording = recorded(tmp_path, text, duration="2min", columns=["answer"], unit="0.00000001 USD")
    assert recording.columns["answer"].tolist() == pytest.approx([3000.0, 3001.0, 3002.0])


def test_from_a_later_row_on(tmp_path: Path) -> None:
    recording = recorded(tmp_path, CSV, duration="1min", **{"from": "2025-11-11 00:02:00"})
    assert recording.times.tolist() == [0, MINUTE]
    assert recording.columns["price"].tolist() == [3566.0, 3560.0]


def test_from_between_two_rows_the_earlier_one_holds(tmp_path: Path) -> None:
    recording = recorded(tmp_path, CSV, duration="1min", **{"from": "2025-11-11T00:01:30Z"})
    assert recording.times.tolist() == [0, MINUTE // 2, 3 * MINUTE // 2]
    assert recording.columns["price"].tolist() == [3564.5, 3566.0, 3560.0]


def test_from_outside_the_recording(tmp_path: Path) -> None:
    message = refused(tmp_path, CSV, **{"from": "2025-11-12"})
    assert "'from: 2025-11-12' is outside the recording, which goes from 2025-11-11T00:00:00+00:00 to 2025-11-11T00:03:00+00:00" in message


def test_gaps(tmp_path: Path) -> None:
    rows = [f"{60 * i},{100 + i}" for i in range(10) if i not in (4, 5, 6)]
    text = "\n".join(["timestamp,indexPrice", *rows])
    message = refused(tmp_path, text, duration="9min")
    assert "day.csv, line 6: a gap of 4 min before this row; longest allowed is 3 min" in message
    assert recorded(tmp_path, text, duration="9min", gap="4min").times[4] == 7 * MINUTE
    held = recorded(tmp_path, text, duration="9min", gaps="hold")
    assert held.times[4] == 7 * MINUTE
    filled = recorded(tmp_path, text, duration="9min", gaps="interpolate")
    assert filled.times.tolist() == [i * MINUTE for i in range(10)]
    assert filled.columns["price"].tolist() == pytest.approx([100.0 + i for i in range(10)])


def test_missing_values_are_gaps(tmp_path: Path) -> None:
    text = CSV.replace("3564.5", "")
    message = refused(tmp_path, text)
    assert "day.csv, line 3: column 'indexPrice' has no value; fill it in, or write 'gaps: hold' or 'gaps: interpolate'" in message
    assert refused(tmp_path, CSV.replace("3564.5", "NaN")) == message
    assert recorded(tmp_path, text, gaps="hold").times.tolist() == [0, 2 * MINUTE, 3 * MINUTE]
    assert recorded(tmp_path, text, gaps="interpolate").columns["price"][:2].tolist() == pytest.approx([3566.88, 3566.0])


def test_a_recording_covers_the_run(tmp_path: Path) -> None:
    message = refused(tmp_path, CSV, duration="1h")
    assert "ends 3 min after the run starts, but the run lasts 1 h: shorten 'duration'" in message
    held = recorded(tmp_path, CSV, duration="1h", gaps="hold")
    assert (held.times[-1], held.columns["price"][-1]) == (60 * MINUTE, 3560.0)
    assert recorded(tmp_path, CSV, duration="5min").times[-1] == 5 * MINUTE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CSV.replace("3566\n", "abc\n"), "day.csv, line 4: 'abc' in column 'indexPrice' is not a number"),
        (CSV.replace("3566\n", "inf\n"), "day.csv, line 4: 'inf' in column 'indexPrice' is not a number"),
        (CSV.replace("00:02:00", "25:02:00"), "day.csv, line 4: '2025-11-11 25:02:00' is not an instant; write ISO 8601"),
        (CSV.replace("00:02:00", "00:01:00"), "day.csv, line 4: 'timestamp' is the same instant as in the row before; sort"),
        (CSV.replace("00:02:00", "00:00:30"), "day.csv, line 4: 'timestamp' is earlier than in the row before; sort"),
        (CSV.replace("indexPrice", "indexprice"), "day.csv has no column 'indexPrice'; did you mean 'indexprice'?"),
        (CSV.replace("timestamp", "time"), "day.csv has no column 'timestamp'"),
        ("timestamp,indexPrice\n", "day.csv has a header but no rows"),
        ("", "day.csv has no column"),
        (CSV.encode("utf-16"), "day.csv is not text in UTF-8; save it as CSV in UTF-8"),
        (b"\x1f\x8b\x08\x00\x00\x00", "day.csv is not text in UTF-8"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message in refused(tmp_path, content)


def test_files_that_are_not_what_their_name_says(tmp_path: Path) -> None:
    assert "day.parquet cannot be read as parquet" in refused(tmp_path, CSV, "day.parquet")
    assert "day.csv.gz cannot be read as CSV" in refused(tmp_path, CSV, "day.csv.gz")
    assert "there is no time zone 'Mars/Base'" in refused(tmp_path, CSV, timezone="Mars/Base")


def test_blank_lines_do_not_count_but_are_counted(tmp_path: Path) -> None:
    text = CSV.replace("2025-11-11 00:02:00,3566", "\n2025-11-11 00:02:00,x") + "\n\n"
    assert "line 5: 'x' in column 'indexPrice' is not a number" in refused(tmp_path, text)


def test_a_file_is_looked_for_beside_the_scenario_and_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "day.csv").write_text(CSV)
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "s.yaml"
    path.write_text("duration: 3min\ndata:\n  day: {file: ../day.csv, time: timestamp, columns: [indexPrice]}\n")
    assert len(Scenario.load(path).recordings()["day"].times) == 4
    monkeypatch.chdir(tmp_path)
    for text in ("day.csv", "inner/../day.csv"):
        assert len(Scenario.load(path, set=[f"data.day.file={text}"]).recordings()["day"].times) == 4
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path, set=["data.day.file=dya.csv"])
    assert "there is no file 'dya.csv'; looked in" in str(caught.value)


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(CSV)
    page = {"file": (tmp_path / "day.csv").as_posix(), "time": "timestamp", "columns": ["indexPrice"]}
    scenario = Scenario.of({"duration": "3min", "data": {"day": page}})
    kept = scenario.resolved()
    (tmp_path / "day.csv").write_text(CSV.replace("3566.88", "1"))
    with pytest.raises(ScenarioError, match="is not what it was"):
        scenario.recordings()
    with pytest.raises(ScenarioError, match="is not what it was"):
        Scenario.of(kept).recordings()
    assert Scenario.of({"duration": "3min", "data": {"day": page}}).digest != scenario.digest


def test_the_digest_knows_the_content_and_not_the_folder(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "day.csv").write_text(CSV)
        page = {"file": (tmp_path / name / "day.csv").as_posix(), "time": "timestamp", "columns": ["indexPrice"]}
        digests.add(Scenario.of({"duration": "3min", "data": {"day": page}}).digest)
    assert len(digests) == 1


def test_a_kept_scenario_is_readable_where_its_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(CSV)
    page = {"file": (tmp_path / "day.csv").as_posix(), "time": "timestamp", "columns": ["indexPrice"]}
    scenario = Scenario.of({"duration": "3min", "data": {"day": page}})
    (tmp_path / "day.csv").unlink()
    again = Scenario.of(scenario.resolved())
    assert again.digest == scenario.digest
    with pytest.raises(ScenarioError, match=r"day.csv cannot be read: No such file"):
        again.recordings()


def test_a_replayed_price_is_positive_and_its_column_exists(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(CSV.replace("3564.5", "-1"))
    page = {"file": (tmp_path / "day.csv").as_posix(), "time": "timestamp", "columns": {"price": "indexPrice"}}
    eth = {"kind": "replay", "data": "day", "column": "price", "impact": "clean"}
    scenario = Scenario.of({"duration": "3min", "data": {"day": page}, "prices": {"eth": eth}})
    with pytest.raises(ScenarioError, match="column 'price' of data 'day' falls to -1, which is no price"):
        scenario.recordings()
    with pytest.raises(ScenarioError, match="data 'day' has no column 'prize'; did you mean 'price'"):
        scenario.vary(prices__eth__column="prize")
    with pytest.raises(ScenarioError, match="there is no data 'night'"):
        scenario.vary(prices__eth__data="night")


def test_recorded_days(shared_data: Path) -> None:
    gmx = {
        "file": (shared_data / "gmxv2_arbitrum_eth_usd_2025-11-11_minute.csv").as_posix(),
        "time": "timestamp",
        "columns": ["indexPrice"],
    }
    bars = {"file": (shared_data / "coinbase_ethusd_5min_2020-21.csv.gz").as_posix(), "time": "time", "columns": {"price": "close"}}
    day = Scenario.of({"duration": "23h59min", "data": {"day": gmx}}).recordings()["day"]
    assert (len(day.times), day.columns["indexPrice"][0]) == (1440, 3566.88)
    pages = {"day": bars | {"from": "2021-02-22T00:00:00Z", "gaps": "interpolate"}}
    worst = Scenario.of({"duration": "24h", "data": pages}).recordings()["day"]
    assert worst.times[0] == 0
    assert worst.times[-1] >= 24 * 60 * MINUTE
    assert 1000 < worst.columns["price"].min() < worst.columns["price"].max() < 2100
