"""Runs with hand-made logs, small enough to be known by heart, for the tests of the report."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l2sim.events import (
    AccountClosed,
    AttackBegan,
    AttackEnded,
    BlockSealed,
    ChainReorganized,
    HeadAdvanced,
    OracleUpdated,
    PositionLiquidated,
    PositionOpened,
    PriceMoved,
    TransactionDropped,
    TransactionIncluded,
)
from l2sim.log import Log
from l2sim.results import Run
from l2sim.results.results import figures_of
from l2sim.results.run import keep, record_of, run_id, seal, worlds_of
from l2sim.results.tables import pack
from l2sim.scenario import Scenario
from l2sim.units import MINUTE, SECOND

DURATION = 20 * MINUTE
STOPPED = range(5 * MINUTE, 8 * MINUTE)

METRICS = {
    "finality": {"kind": "time_to_finality"},
    "delay": {"kind": "inclusion_delay"},
    "cost": {"kind": "cost_per_transaction"},
    "cascade": {"kind": "liquidation_cascade"},
    "debt": {"kind": "bad_debt"},
    "profit": {"kind": "profit_and_loss"},
    "throughput": {"kind": "throughput"},
    "exposure": {"kind": "counterparty_exposure"},
}
SCENARIO: dict[str, Any] = {
    "title": "A <b>stop</b> & its price",
    "question": "Who pays for a stop of three minutes?",
    "duration": "20min",
    "assumptions": {"demand": "Nobody else trades."},
    "prices": {"eth": {"kind": "geometric_brownian", "start": "3000 USD", "volatility": "60 %"}},
    "chains": {"l1": {"preset": "ethereum"}, "arb": {"preset": "minimal"}, "outside": {"kind": "outside"}},
    "markets": {"feed": {"kind": "price_feed", "on": "arb", "of": "eth"}, "perp": {"kind": "perpetual", "on": "arb", "index": "feed"}},
    "agents": {"reporter": {"kind": "oracle_reporter", "feed": "feed", "region": "europe"}},
    "attacks": {"stop": {"kind": "sequencer_outage", "on": "arb", "begins": "5min", "lasts": "3min"}},
    "metrics": METRICS,
}
ABOUT: dict[str, Any] = {
    "duration": DURATION,
    "prices": {"eth": 2700.0},
    "groups": {
        "longs": {"kind": "crowd_of_leveraged_traders", "section": "agents", "first": 0, "last": 6},
        "makers": {"kind": "market_maker", "section": "agents", "first": 6, "last": 7},
        "stop": {"kind": "sequencer_outage", "section": "attacks", "first": 7, "last": 8},
    },
    "chains": {
        "arb": {"kind": "rollup", "settles_on": "l1", "block_time": 10 * SECOND, "blocks": 120},
        "l1": {"kind": "l1", "settles_on": None, "block_time": 12 * SECOND, "blocks": 100},
        "outside": {"kind": "outside", "settles_on": None, "block_time": None, "blocks": 0},
    },
    "markets": {"feed": {"kind": "price_feed", "on": "arb", "base": None}, "perp": {"kind": "perpetual", "on": "arb", "base": None}},
}


def log_of(world: str, luck: int, *, cost: float = 1.0) -> Log:
    """Twenty minutes of a rollup, in which an attack stops blocks for three; ``cost`` scales what it does to profits."""
    attacked = world != "without_attacks"
    log = Log()
    log.about = ABOUT
    number = 0
    for time in range(10 * SECOND, DURATION, 10 * SECOND):
        log.record(time, PriceMoved("eth", 3000.0 - time / DURATION * 300, (3000.0 - time / DURATION * 300) * (1 - 0.001 * luck)))
        log.record(time, OracleUpdated("feed", 3000.0 - time / DURATION * 300))
        if attacked and time in STOPPED:
            continue
        number += 1
        after_stop = attacked and time == STOPPED.stop
        since = STOPPED.start if after_stop else time - (3 + luck) * SECOND
        paid = (0.001 + 0.0001 * luck, 0.0005)
        log.record(time, TransactionIncluded("arb", number, since, 5, "perp", "open", 0, 400_000, *paid, 0.0, 0.0))
        log.record(time, BlockSealed("arb", number, 1, 400_000, 20_000_000, 0, 0, 0))
        log.record(time, PositionOpened("perp", 5, 1.0, 2990.0, 300.0, 2700.0, 2690.0))
        if after_stop or time == 12 * MINUTE:
            size = (3.0 if after_stop else 1.0) + 0.1 * luck
            log.record(time, PositionLiquidated("perp", 5, 6, size, 2800.0, 2790.0, 5.0, 10.0, 100.0, 0.0))
        if number % 6 == 0:
            log.record(time + SECOND, HeadAdvanced("arb", "safe", number))
            if number > 30:
                log.record(time + 2 * SECOND, HeadAdvanced("arb", "finalized", number - 30))
    log.record(6 * MINUTE, TransactionDropped("arb", 5 * MINUTE, 5, "perp", "open", 20))
    for slot in range(1, 100):
        log.record(slot * 12 * SECOND, BlockSealed("l1", slot, 0, 30_000_000, 10**9 + slot * 10**7, 10**6, 3, 0))
    if attacked:
        log.record(STOPPED.start, AttackBegan("stop"))
        log.record(STOPPED.stop, AttackEnded("stop"))
    loss = 5e6 * cost + 1e5 * luck if attacked else 1e5 * luck
    for group, kind, gain in (("longs", "crowd_of_leveraged_traders", -loss), ("makers", "market_maker", loss)):
        log.record(DURATION, AccountClosed(group, kind, "arb", "usd", 0.0, gain, 1.0, gain))
    if attacked:
        log.record(DURATION, AccountClosed("stop", "sequencer_outage", "arb", "usd", 0.0, 2.0 * luck, 1.0, 2.0 * luck))
    return log


def reorganized(world: str, luck: int) -> Log:
    """The same, and at the end one block of the rollup that was undone."""
    log = log_of(world, luck)
    before = log.lengths()
    log.record(DURATION - 20 * SECOND, BlockSealed("arb", 900, 1, 10**5, 1, 0, 0, 0))
    log.revert(before, log.lengths())
    log.record(DURATION - 5 * SECOND, ChainReorganized("arb", 900, 900, 4, 1))
    return log


def make_run(
    out: Path, replications: int = 3, changes: dict[str, Any] | None = None, *, cost: float = 1.0, empty: bool = False,
    logs: Callable[[str, int], Log] | None = None,
) -> Run:  # fmt: skip
    """A run kept in a folder, its logs made by hand, ``logs(world, luck)`` or those of an outage, and its figures measured."""
    scenario = Scenario.of({**SCENARIO, **(changes or {})}, "stop")
    folder = out / scenario.name / run_id(scenario, 7)
    (folder / "replications").mkdir(parents=True)
    for number in range(replications):
        files, records = {}, {}
        for name, variant in worlds_of(scenario).items():
            log = Log() if empty else logs(name, number) if logs is not None else log_of(name, number, cost=cost)
            log.about = log.about or ABOUT
            figures: dict[str, float] = {}
            for metric, part in variant.metrics.items():
                figures |= figures_of(metric, part, log)
            files[name], records[name] = pack(log), record_of(log.digest, figures)
        keep(folder, number, files, {"seed": 7, "worlds": records, "seconds": 1.0})
    return seal(folder, scenario, 7, range(replications))


def browse(path: Path) -> tuple[str, list[str]]:
    """What a browser makes of a page, and what it complains about."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium, which is not here")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-logging=stderr", "--v=0"]
    command = [chromium, *switches, "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]
