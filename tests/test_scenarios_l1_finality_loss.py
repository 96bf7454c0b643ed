"""The scenario about a loss of finality on L1: what happened on mainnet, and what a rollup's people wait for."""

import pytest
from test_scenarios_shipped import figures, shortened

from l2sim import Scenario, simulate

INCIDENTS = {
    # Epochs without finality and blocks missed; post-mortem of Offchain Labs, which made one of the clients.
    "2023-05-11": (0.37, 4, 47),
    "2023-05-12": (0.52, 9, 149),
}


@pytest.mark.parametrize("day", INCIDENTS)
def test_it_is_of_the_size_of_what_happened(day: str) -> None:
    """The stake that is away is chosen so that the share of missed slots fits; that epochs are lost too, and how many, is not."""
    share, epochs, missed = INCIDENTS[day]
    scenario = shortened(
        "l1_finality_loss",
        chains__l1__consensus__groups__affected__stake=f"{round(share * 1_000_000) * 32} ETH",
        chains__l1__consensus__groups__others__stake=f"{1_000_000 * 32 - round(share * 1_000_000) * 32} ETH",
        chains__l1__missed=0,
        duration="7h",
        attacks__bug__begins="3h",
        attacks__bug__lasts=f"{384 * epochs - 30} s",
    )
    alone = scenario.resolved() | {"agents": {}, "markets": {}, "metrics": {"loss": {"kind": "loss_of_finality"}}, "answer": []}
    plan = Scenario.of(alone | {"chains": {"l1": alone["chains"]["l1"]}})
    found = simulate(plan, replications=6).summary["loss.l1.missed_slots"]
    # Missed slots are a draw by stake: 4 standard deviations of one run.
    assert abs(found.mean() - missed) < 4 * (share * (1 - share) * 32 * epochs) ** 0.5
    assert abs(figures(simulate(plan))["loss.l1.epochs_not_justified"] - epochs) <= 1


def test_finality_and_withdrawals_wait_and_blocks_do_not() -> None:
    scenario = shortened("l1_finality_loss", duration="9h30min", agents__traders__rate="0.05 /s", agents__leavers__rate="60 /h")
    scenario = scenario.vary({"metrics.finality.cool_down": "5h30min", "metrics.withdrawals.cool_down": "5h30min"})
    hit, calm = (figures(simulate(one)) for one in (scenario, scenario.without_attacks()))
    assert hit["loss.l1.epochs_not_justified"] == pytest.approx(9, abs=1)
    assert calm["loss.l1.epochs_not_justified"] == calm["loss.l1.epochs_in_leak"] == 0
    assert hit["loss.l1.epochs_in_leak"] >= 5
    # In the mean half of the hour, at most the hour and what an epoch adds.
    later = hit["finality.op.finalized_mean"] - calm["finality.op.finalized_mean"]
    assert 15 * 60 < later < 35 * 60
    assert 40 * 60 < hit["finality.op.finalized_p95"] - calm["finality.op.finalized_p95"] < 70 * 60
    assert 15 * 60 < 3600 * (hit["withdrawals.bridge.mean"] - calm["withdrawals.bridge.mean"]) < 40 * 60
    assert hit["delay.op.mean"] == pytest.approx(calm["delay.op.mean"])
    assert hit["finality.op.safe_mean"] < calm["finality.op.safe_mean"] + 60
