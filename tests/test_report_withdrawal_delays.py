"""The figure of withdrawal delays by chain: a line for each way out, with the quantiles of the log."""

from pathlib import Path

import numpy as np
import pytest
from validation import SCENARIOS

from l2sim.events import TransactionIncluded
from l2sim.events.bridging import WithdrawalAdvanced
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.report.evidence import Evidence
from l2sim.report.withdrawal_delays import pictures
from l2sim.scenario import Scenario
from l2sim.simulation import experiment
from l2sim.units import SECOND

SHORT = ["duration=183h", *(f"agents.from_{chain}.until=10h" for chain in ("op", "arbitrum", "era", "starknet"))]


def test_every_way_out_has_a_line(tmp_path: Path) -> None:
    scenario = Scenario.load(SCENARIOS / "ways_out.yaml", SHORT)
    evidence = Evidence(experiment(scenario, replications=1, jobs=1, out=tmp_path))
    (picture,) = pictures(evidence)
    data = picture.data.set_index(["chain", "how"])
    assert set(data.index) == {
        ("op", "bridge"), ("arbitrum", "bridge"), ("era", "bridge"), ("starknet", "bridge"), ("op", "fast"), ("arbitrum", "fast"),
    }  # fmt: skip
    log = evidence.written.log(0)
    figures = WithdrawalDelay().measure(log)
    for chain in ("op", "arbitrum", "era", "starknet"):
        assert data.loc[(chain, "bridge"), "p50_s"] == pytest.approx(figures.loc[f"{chain}_bridge", "p50"] * 3600)
        assert data.loc[(chain, "bridge"), "n"] == figures.loc[f"{chain}_bridge", "paid"]
    submitted, numbers = log.select(TransactionIncluded, "submitted", "x", market="op_bridge")
    since = dict(zip(numbers.astype(int).tolist(), submitted.tolist(), strict=True))
    times, fast = log.select(WithdrawalAdvanced, "time", "number", market="op_bridge")
    waits = [(time - since[number]) / SECOND for number, time in zip(fast.tolist(), times.tolist(), strict=True)]
    assert data.loc[("op", "fast"), "p95_s"] == pytest.approx(np.percentile(waits, 95))
    # Slowest first: seven days on op, six and a third on arbitrum, a day on era, hours on starknet, minutes from a provider.
    assert picture.data["chain"].tolist()[:4] == ["op", "arbitrum", "era", "starknet"]
    for text in ("op", "starknet", "1 d", "through the bridge", "paid by a provider", "7.02 d"):
        assert text in picture.drawing.svg


def test_one_way_out_alone_has_no_such_figure(tmp_path: Path) -> None:
    settings = ["agents.leavers.urgency=0", "duration=12h"]
    scenario = Scenario.load(SCENARIOS / "fast_withdrawals.yaml", settings)
    assert not list(pictures(Evidence(experiment(scenario, replications=1, jobs=1, out=tmp_path))))
