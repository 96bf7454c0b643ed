"""The notional that a unit of collateral supports at a probability of bad debt, from runs known by heart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_runs import ABOUT, DURATION, make_run
from test_report_panels import ABOUT_THESE

from l2sim.events import AccountClosed, BadDebtIncurred, PriceMoved
from l2sim.log import Log
from l2sim.report import efficiency
from l2sim.report.evidence import Evidence
from l2sim.report.page import document

REPLICATIONS = 40
CHANGES: dict[str, Any] = {
    "chains": {"l1": {"preset": "ethereum"}, "op": {"preset": "op_mainnet"}},
    "markets": {"loans": {"kind": "lending_pool", "on": "op", "reserves": {"eth": {}, "usd": {"liquidity": "1 MUSD"}}}},
    "agents": {},
    "attacks": {},
}


def owed(world: str, luck: int) -> Log:
    """500 USD are owed against 800; the first eight replications leave 0, 10, ... 70 USD unpaid, the others nothing."""
    log = Log()
    log.about = ABOUT | ABOUT_THESE
    log.record(0, PriceMoved("eth", 1.0, 1.0))
    if 0 < luck < 8:
        log.record(1, BadDebtIncurred("loans", 4, 10.0 * luck))
    for dollars in (-500.0, 800.0):
        log.record(DURATION, AccountClosed("longs", "borrower", "loans", "usd", dollars, dollars, 1.0, 0.0))
    return log


def evidence(folder: Path, replications: int = REPLICATIONS, **asked: Any) -> Evidence:
    metrics = {"capital": {"kind": "capital_efficiency", **asked}}
    return Evidence(make_run(folder, replications, CHANGES | {"metrics": metrics}, logs=owed))


def test_collateral_that_would_have_sufficed_in_nine_of_ten_runs(tmp_path: Path) -> None:
    of = evidence(tmp_path, probability=0.1)
    (table,) = efficiency.tables(of)
    ((market, debt, mean, supported),) = table.rows
    found = efficiency.supported(of.written.summary["capital.loans.sufficient"].to_numpy(), 0.1)
    # Of 40, ranks 4 and 5 from below are those of 40 and 30 USD; the quantile is at nine tenths of the way between them.
    assert found.mean == pytest.approx(500 / 840 + 0.9 * (500 / 830 - 500 / 840))
    # Ranks 1 and 9: at most 2.5 % of samples have fewer than 1, or more than 8, below the true one.
    assert (found.low, found.high) == pytest.approx((500 / 870, 500 / 800))
    assert market == "loans"
    assert debt.startswith("18\u202f% [9, ")  # 7 of 40, Wilson
    assert mean == "0.625 [0.625, 0.625]"
    assert supported == "0.602 [0.575, 0.625]"
    assert table.head[-1] == "that suffices in 90\u202f% of runs"
    assert "Capital efficiency" in [section.title for section in document(of.run).sections]


def test_too_few_runs_say_nothing_of_a_rare_event(tmp_path: Path) -> None:
    assert not list(efficiency.tables(evidence(tmp_path / "few", 19)))
    (table,) = efficiency.tables(evidence(tmp_path / "enough", 20))
    assert "[" not in table.rows[0][-1]
    assert np.isnan(efficiency.supported(np.arange(20.0), 0.05).low)


def test_collateral_that_always_sufficed_is_only_a_lower_bound(tmp_path: Path) -> None:
    def solvent(world: str, luck: int) -> Log:
        log = owed(world, 0)
        log.record(DURATION, AccountClosed("longs", "borrower", "loans", "usd", 10.0 * luck, 10.0 * luck, 1.0, 0.0))
        return log

    metrics = {"capital": {"kind": "capital_efficiency"}}
    (table,) = efficiency.tables(Evidence(make_run(tmp_path / "none", REPLICATIONS, CHANGES | {"metrics": metrics}, logs=solvent)))
    ((_, debt, _, supported),) = table.rows
    assert debt.startswith("0\u202f%")
    assert supported.startswith("at least 0.")
    assert supported.endswith("(no bad debt seen)")
    assert "[" not in supported  # a spread of samples that says nothing of the bound
    # Seven runs of 40 are fewer than 20 %, and more than 10 %.
    (table,) = efficiency.tables(evidence(tmp_path / "rare", probability=0.2))
    assert table.rows[0][-1].startswith("at least 0.")
    assert "seen" not in table.rows[0][-1]
