"""Worlds that several tests run, and how two of them are compared."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.seat import Seat
from l2sim.world.world import World

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE.parent / "scenarios"
SMALL = HERE / "scenarios" / "small_market.yaml"

ACCOUNTS = ("account", "sender", "liquidator", "winner", "loser")
"""Columns that hold numbers of ledger accounts."""


def one_rollup(name: str, fee: str = "0 wei", block_time: str = "1s") -> dict[str, Any]:
    """The chains of a small scenario: a rollup that serves whoever comes first, and a venue outside whose price nobody moves."""
    rollup = {
        "kind": "rollup",
        "ordering": {"kind": "first_come_first_served"},
        "fee": {"kind": "constant", "fee": fee},
        "sequencer": {"kind": "sequencer", "block_time": block_time},
    }
    return {name: rollup, "outside": {"kind": "outside", "impact": "none"}}


def small(*changes: str) -> Scenario:
    """The small market with some values set, ``PATH=VALUE``."""
    return Scenario.load(SMALL, changes)


def lived(description: Any, seed: int = 1, replication: int = 0, look: Callable[[int, int], None] | None = None) -> Log:
    """What happens in one world."""
    return World(description, Streams(seed, replication)).run(look)


def offers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Time (ns) and tip of every transaction that posters send from now on."""
    sent: list[tuple[int, int]] = []
    post = Seat.post_blobs

    def noted(seat: Seat, blobs: int, gas: int, tip: int, *caps: int) -> Any:
        sent.append((seat.now, tip))
        return post(seat, blobs, gas, tip, *caps)

    monkeypatch.setattr(Seat, "post_blobs", noted)
    return sent


def frames(log: Log, *, before: int | None = None, reverted: bool = False) -> dict[str, pd.DataFrame]:
    """Every table, names spelt out and accounts as ``group/number``, so that logs with other members can be compared.

    ``before`` keeps what happened earlier than that (ns); with ``reverted`` what was undone later is there like everything else.
    """
    names = {}
    for name, group in log.about["groups"].items():
        names |= {account: f"{name}/{account - group['first']}" for account in range(group["first"], group["last"])}
    made = {}
    for name in log:
        frame = log.frame(name, reverted).drop(columns="canonical", errors="ignore")
        frame = frame if before is None else frame[frame["time"] < before]
        if len(frame):
            accounts = {column: frame[column].map(names) for column in ACCOUNTS if column in frame}
            words = {column: frame[column].astype(str) for column in frame if isinstance(frame[column].dtype, pd.CategoricalDtype)}
            made[name] = frame.assign(**accounts, **words).reset_index(drop=True)
    return made


def differences(one: Mapping[str, pd.DataFrame], other: Mapping[str, pd.DataFrame]) -> list[str]:
    """Tables and columns that are not equal to the last bit."""
    found = []
    for name in sorted({*one, *other}):
        if name not in one or name not in other or len(one[name]) != len(other[name]):
            lengths = [len(tables.get(name, ())) for tables in (one, other)]
            found.append(f"{name}: {lengths[0]} rows and {lengths[1]}")
            continue
        for column in one[name]:
            unequal = np.flatnonzero((one[name][column] != other[name][column]).to_numpy())
            if len(unequal):
                row = unequal[0]
                found.append(f"{name}.{column}, row {row}: {one[name][column][row]!r} and {other[name][column][row]!r}")
    return found


def remade(scenario: Scenario, change: Callable[[str, Any], Any]) -> Scenario:
    """The scenario with every value, presets' and defaults' too, replaced by what ``change`` makes of its path and itself."""

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {name: walk(inner, f"{path}.{name}" if path else str(name)) for name, inner in value.items()}
        return change(path, value)

    return Scenario.of(walk(scenario.resolved(), ""))


def multiplied(value: Any, factor: Decimal) -> Any:
    """A value of a resolved scenario, such as ``20 MUSD`` or ``1min30s``, times a factor, exactly."""
    if isinstance(value, str):
        return re.sub(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?", lambda number: format(Decimal(number[0]) * factor, "f"), value)
    return value * float(factor)


def interrupted(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Press Ctrl-C, as a terminal sends it to all processes of a command, and take what they still say; none is left behind."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise


def as_a_shell_sees(code: int) -> int:
    """The exit code of a process in a shell: 128 and the signal that ended it.

    Ctrl-C inside ``exec()``, with which dataclasses are made while modules load, ends Python by the signal, whoever catches it.
    """
    return code if code >= 0 else 128 - code


def without_workers(errors: str) -> str:
    """What was said on stderr but for the name of a worker that was just starting or ending when it was killed, which it says itself."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("Process LokyProcess-"))
