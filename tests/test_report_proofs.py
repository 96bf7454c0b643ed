"""The picture of proofs that wait: what it draws is what happened."""

from pathlib import Path

import numpy as np
from test_settlement_proof_market import OUTAGE, PLAN

from l2sim.events.proofs import ProofMade, ProofRequested
from l2sim.report import proofs
from l2sim.report.evidence import Evidence
from l2sim.scenario import Scenario
from l2sim.simulation import experiment
from l2sim.units import HOUR, SECOND


def test_waiting_and_being_made_are_counted_from_the_facts(tmp_path: Path) -> None:
    scenario = Scenario.load(PLAN, (OUTAGE, "agents.dear=null"))
    run = experiment(scenario, out=tmp_path)
    evidence = Evidence(run)
    (picture,) = proofs.pictures(evidence)
    data, log = picture.data, evidence.written.log(0)
    asked, made, begun = (log.select(*of)[0] for of in ((ProofRequested, "time"), (ProofMade, "time"), (ProofMade, "begun")))
    for second in range(0, 36_000, 977):
        now = second * SECOND
        at = {line: part[part["seconds"] <= second]["value"].iloc[-1] for line, part in data[data["panel"] == "zk"].groupby("line")}
        working = int(((begun <= now) & (made > now)).sum())
        lost_or_unfinished = 3600 < second < 70 * 60 or second > 36_000 - 2400
        assert lost_or_unfinished or at["made by cheap"] == working
        assert sum(at.values()) == (asked <= now).sum() - (made <= now).sum()
    lag = data[(data["panel"] == "final state") & (data["world"] == "written")]
    assert lag["value"].max() > 4 * HOUR / SECOND
    assert np.diff(lag["seconds"]).min() >= 0
    assert len(list(proofs.tables(evidence))) == 1
