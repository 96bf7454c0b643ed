"""Undoing and re-executing: rolling back and replaying any suffix of any scenario gives the same states, the same log and the same end."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import HERE, SCENARIOS, SMALL, differences, frames

from l2sim.log import Log
from l2sim.markets.constant_product import ConstantProduct, ConstantProductBook
from l2sim.markets.perpetual import Perpetual, PerpetualBook
from l2sim.markets.price_feed import PriceFeed, PriceFeedBook
from l2sim.scenario import Scenario
from l2sim.state import PriceSource
from l2sim.streams import Streams
from l2sim.world.chain import LiveChain
from l2sim.world.history import History
from l2sim.world.ledger import BooksDoNotClose
from l2sim.world.world import World

CRASH = ("agents.leveraged.size=300", "agents.traders.size=300")
ROLLUPS = ("op", "base", "arb", "uni", "zksync", "starknet", "scroll", "linea", "taiko", "validium")
SHORTENED: dict[Path, Sequence[str]] = {
    SMALL: ("duration=6min", "prices.eth.shocks.fall.at=1min", "attacks.outage.begins=3min", "attacks.outage.lasts=1min"),
    SCENARIOS / "sequencer_outage.yaml": (
        *("duration=4min", "prices.eth.shocks.crash.at=1min", "prices.eth.shocks.crash.over=2min", *CRASH),
        *("attacks.outage.begins=2min", "attacks.outage.lasts=30s", "chains.arb.batch_poster.max_delay=30s"),
    ),
    SCENARIOS / "fee_spike_in_a_crash.yaml": (
        *("duration=6min", "prices.eth.shocks.crash.at=1min", "prices.eth.shocks.crash.over=3min", *CRASH),
        *("attacks.spike.begins=1min", "attacks.spike.lasts=2min", "chains.op.batch_poster.policy.max_channel_duration=5"),
    ),
    SCENARIOS / "blob_saturation.yaml": (
        *("duration=5min", "prices.eth.shocks.crash.at=1min", "prices.eth.shocks.crash.over=2min"),
        *(f"agents.{side}_{crowd}.size=300" for side in ("prague", "today") for crowd in ("leveraged", "traders")),
        *(f"attacks.on_{side}.{what}" for side in ("prague", "today") for what in ("begins=1min", "lasts=2min")),
        *(f"chains.{side}.batch_poster.policy.max_channel_duration=5" for side in ("prague", "today")),
    ),
    SCENARIOS / "l1_finality_loss.yaml": (
        *("duration=12min", "chains.l1.slots_per_epoch=4", "attacks.bug.begins=2min", "attacks.bug.lasts=4min"),
        "agents.leavers.rate=600 /h",
        *("chains.op.proposer.interval=1min", "chains.op.settlement.window=2min", "chains.op.settlement.clock=2min"),
        *("chains.op.settlement.response=1s", "chains.op.batch_poster.policy.max_channel_duration=3", "markets.bridge.proof_maturity=1min"),
    ),
    SCENARIOS / "ordering_in_a_crash.yaml": ("duration=4min", "prices.eth.shocks.crash.at=1min", "prices.eth.shocks.crash.over=2min"),
    SCENARIOS / "loans_in_a_crash.yaml": (
        *("duration=4min", "agents.own_borrowers.size=300", "agents.flash_borrowers.size=300"),
        *(f"prices.{price}.shocks.crash.{what}" for price in ("eth", "eth_own", "eth_flash") for what in ("at=30s", "over=1min")),
    ),
    SCENARIOS / "invalid_assertion.yaml": (
        *("duration=12min", "chains.op.settlement.window=2min", "chains.op.settlement.clock=2min", "chains.op.settlement.response=1s"),
        *("chains.op.proposer.interval=1min", "chains.op.batch_poster.policy.max_channel_duration=3", "markets.bridge.proof_maturity=1min"),
        *("attacks.fraud.begins=5min", "attacks.fraud.lasts=4min", "attacks.fraud.again=1min", "agents.leavers.rate=600 /h"),
    ),
    SCENARIOS / "dispute_delay.yaml": (
        *("duration=4h", *(f"chains.{name}.settlement.challenge_period=20min" for name in ("bold", "bracket", "pairs"))),
        *("chains.bold.settlement.grace=5min", "chains.op.settlement.clock=20min", "chains.op.settlement.extension=1min"),
        *("chains.op.settlement.preimage_challenge=1min", "chains.op.settlement.airgap=10min", "chains.op.settlement.bond_delay=1min"),
        *(f"chains.{name}.proposer.{what}" for name in ("bold", "bracket", "pairs", "op") for what in ("interval=10min", "phase=5min")),
        *(f"chains.{name}.sequencer.block_time=4min" for name in ("bold", "bracket", "pairs", "op")),
        *(f"attacks.against_{name}.{what}" for name in ("bold", "bracket", "pairs", "op") for what in ("begins=12min", "lasts=3h")),
        *(f"attacks.against_{name}.{what}" for name in ("bold", "bracket", "pairs") for what in ("margin=1min", "wait=18min")),
    ),
    SCENARIOS / "grace_after_an_outage.yaml": (
        *("duration=10min", "agents.automatic.size=100", "agents.people.size=100", "prices.eth.shocks.fall.at=1min"),
        *("prices.eth.shocks.fall.over=3min", "attacks.outage.begins=2min", "attacks.outage.lasts=150s", "markets.loans.grace_period=2min"),
    ),
    SCENARIOS / "arbitrage_and_block_time.yaml": ("duration=20min",),
    SCENARIOS / "prover_outage.yaml": (
        *("duration=30min", "prices.eth.shocks.fall.at=5min", "prices.eth.shocks.fall.over=10min"),
        *(
            f"agents.{chain}_{what}"
            for chain in ("closed", "open")
            for what in ("traders.size=200", "leavers.until=20min", "leavers.rate=400 /h")
        ),
        *(f"chains.{chain}.{what}" for chain in ("closed", "open") for what in ("proposer.interval=4min", "proposer.phase=2min")),
        *(f"chains.{chain}.batch_poster.max_delay=1min" for chain in ("closed", "open")),
        *(f"agents.{prover}.proving_time=3min" for prover in ("closed_prover", "open_prover", "strangers")),
        *("chains.open.settlement.market.window=4min", "agents.strangers.notice=30s"),
        *(f"attacks.{chain}_outage.{what}" for chain in ("closed", "open") for what in ("begins=7min", "lasts=10min")),
    ),
    SCENARIOS / "censored_user.yaml": (
        *(
            "duration=14min",
            "prices.eth.shocks.fall.at=1min",
            "prices.eth.shocks.fall.over=8min",
            "chains.taiko.forced_inclusion.delay=1min",
        ),
        *(f"agents.{chain}_trader.patience=30s" for chain in ("op", "arb", "zk", "taiko")),
        *(f"attacks.on_{chain}.begins=30s" for chain in ("op", "arb", "zk", "taiko")),
        *(
            "chains.op.forced_inclusion.drift=1min",
            "chains.arb.forced_inclusion.delay=10",
            "chains.op.batch_poster.policy.max_channel_duration=10",
        ),
    ),
    SCENARIOS / "execution_environments.yaml": (
        *("duration=4min", "prices.eth.shocks.fall.at=1min", "prices.eth.shocks.fall.over=1min", "chains.hyper.sequencer.block_time=1s"),
        *(f"agents.{chain}_traders.size=30" for chain in (*ROLLUPS, "hyper", "dydx", "l1")),
    ),
    SCENARIOS / "ways_out.yaml": (
        *(
            "duration=12min",
            *(f"chains.{chain}.{what}" for chain in ROLLUPS for what in ("sequencer.block_time=30s", "proposer.interval=5min")),
        ),
        *(f"agents.{chain}_leavers.{what}" for chain in ROLLUPS for what in ("rate=200 /h", "until=9min")),
        *(f"agents.{chain}_person.steps.buy.at=2min" for chain in ROLLUPS),
        *(f"attacks.on_{chain}.{when}" for chain in ROLLUPS for when in ("begins=1min", "lasts=10min")),
    ),
    SCENARIOS / "withheld_data.yaml": (
        *("duration=14min", "prices.eth.shocks.fall.at=1min", "prices.eth.shocks.fall.over=5min"),
        *(f"agents.{chain}_traders.size=100" for chain in ("rollup", "validium")),
        *(f"agents.{chain}_leavers.{what}" for chain in ("rollup", "validium") for what in ("rate=600 /h", "until=8min")),
        *(f"attacks.{chain}_dark.{when}" for chain in ("rollup", "validium") for when in ("begins=4min", "lasts=4min")),
        *(
            f"chains.{chain}.{what}"
            for chain in ("rollup", "validium")
            for what in ("batch_poster.max_delay=1min", "proposer.interval=2min")
        ),
        *("chains.rollup.availability.takeover=1min", "chains.rollup.settlement.proving_time=30s"),
        "chains.validium.settlement.proving_time=30s",
    ),
    HERE / "scenarios" / "withholding.yaml": (
        *("duration=30min", "attacks.dark.begins=10min", "attacks.dark.lasts=8min", "agents.leavers.until=20min"),
        "agents.leavers.rate=300 /h",
    ),
    HERE / "scenarios" / "lending_two_steps.yaml": (),
    HERE / "scenarios" / "queue.yaml": ("duration=1min",),
    HERE / "scenarios" / "sandwich.yaml": (),
    HERE / "scenarios" / "steps.yaml": (),
    HERE / "scenarios" / "disputes.yaml": ("duration=90min",),
    HERE / "scenarios" / "waits_on_l1.yaml": ("duration=20min",),
}
"""Scenarios, and what makes them short while everything still happens in them."""

Plan = Sequence[tuple[int, int, float]]
"""At which fiftieth of the run, on which chain (counted through), how far back: 0 nothing, 1 to the start."""


@cache
def scenario(path: Path) -> Scenario:
    return Scenario.load(path, SHORTENED[path])


@cache
def straight(path: Path) -> Log:
    """What happens where nothing can be undone, at least not for our sake."""
    return World(scenario(path), Streams(3, 0)).run()


@pytest.fixture(autouse=True)
def _everything_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains forget how to undo what is in a batch, or final; here they do not."""
    monkeypatch.setattr(History, "settle", lambda history, height: None)


def reversible(path: Path) -> World:
    described = scenario(path)
    return World(described, Streams(3, 0), reversible=[name for name, chain in described.chains.items() if chain.kind != "outside"])


def held(chain: LiveChain) -> dict[str, list[Any]]:
    """All that is in the columns of a chain, mappings in their order."""
    return {name: list(raw.items() if isinstance(raw, dict) else raw) for name, raw in chain.state.save().items()}


def rolled_back(chain: LiveChain, share: float) -> None:
    """Undo a share of what a chain has done, and do it again."""
    history = chain.history
    assert history is not None
    made = [0, *(record.block.height for record in history.records)]
    height = made[round((len(made) - 1) * (1.0 - share))]
    digests, saved = {at: history.digest(at) for at in made if at >= height}, held(chain)
    undone = history.undo(height)
    assert chain.state.digest() == digests[height]
    assert chain.state.no_numbers() == []
    history.replay(undone)
    assert {at: history.digest(at) for at in digests} == digests
    assert held(chain) == saved


def re_executed(chain: LiveChain, share: float) -> None:
    """Execute a share of what a chain has done again, on a copy: block by block, and then row by row."""
    history = chain.history
    assert history is not None
    made = [0, *(record.block.height for record in history.records)]
    first = round((len(made) - 1) * (1.0 - share))
    replica = history.replica(made[first])
    assert replica.digest() == replica.state.digest() == history.digest(made[first])
    for height in made[first + 1 :]:
        replica.advance()
        assert replica.digest() == history.digest(height)
    assert replica.state.digest() == history.digest(made[-1])
    for height, after in list(pairwise(made))[first :: max(1, len(made) // 20)]:
        replica = history.replica(height)
        digests = list(replica.steps())
        block = history.block(height)
        assert len(digests) == 1 + block.stop - block.start
        assert digests[-1] == history.digest(after)


def goes_back_and_forth(path: Path, plan: Plan) -> Log:
    """Live through a scenario with everything undone and done again now and then: nothing of it shows in the end."""
    world = reversible(path)
    chains = [chain for chain in world.chains.values() if chain.history is not None]
    step = 0

    def look(now: int, events: int) -> None:
        nonlocal step
        step += 1
        for at, which, share in plan:
            if at == step:
                rolled_back(chains[which % len(chains)], share)

    log = world.run(look)
    for chain in chains:
        re_executed(chain, 0.6)
    assert differences(frames(log), frames(straight(path))) == []
    assert log.digest == straight(path).digest
    undone = sum(stop - start for table in log.tables.values() for start, stop in table.reverted)
    assert (log.digest_of_everything != log.digest) == (undone > 0)
    return log


def test_every_shipped_scenario_is_here() -> None:
    assert set(SCENARIOS.glob("*.yaml")) <= set(SHORTENED)


@pytest.mark.parametrize("path", SHORTENED, ids=lambda path: path.stem)
def test_going_back_and_forth_leaves_no_trace(path: Path) -> None:
    log = goes_back_and_forth(path, [(11, 0, 0.3), (25, 1, 1.0), (26, 0, 0.02), (26, 2, 0.5), (40, 1, 0.2), (41, 0, 1.0), (50, 0, 0.5)])
    assert log.digest_of_everything != log.digest


plans = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1), st.floats(0.0, 1.0)), min_size=1, max_size=6)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans)
def test_any_suffix_at_any_time(plan: Plan) -> None:
    goes_back_and_forth(SMALL, plan)


def test_what_was_undone_is_in_the_log_twice() -> None:
    log = goes_back_and_forth(SMALL, [(30, 0, 0.5)])
    everything, canonical = log.frame("TransactionIncluded", reverted=True), log.frame("TransactionIncluded")
    assert len(everything) > len(canonical) == everything["canonical"].sum()
    undone = everything[~everything["canonical"]]
    # Each undone row stands before the one that happened instead, which is the same.
    twins = everything.loc[undone.index + 1]
    assert twins["canonical"].all()
    assert undone.drop(columns="canonical").reset_index(drop=True).equals(twins.drop(columns="canonical").reset_index(drop=True))
    assert everything["time"].is_monotonic_increasing


def test_what_cannot_be_undone_is_refused() -> None:
    world = reversible(SMALL)
    world.run()
    history = world.chains["arb"].history
    assert history is not None
    history.settled = 500
    with pytest.raises(ValueError, match=r"^block 500 of 'arb' is settled: it cannot be undone$"):
        history.undo(499)
    with pytest.raises(ValueError, match=r"^'arb' has made no block 10000000; its last is \d+$"):
        history.digest(10_000_000)
    with pytest.raises(ValueError, match="has made no block -3"):
        history.replica(-3)
    assert world.chains["arb"].state.digest() == history.digest(world.chains["arb"].height)


def test_undoing_costs_what_was_done_and_nothing_is_undone_twice() -> None:
    world = reversible(SMALL)
    world.run()
    chain = world.chains["arb"]
    history = chain.history
    assert history is not None
    last, saved = chain.height, chain.state.save()
    records = history.undo(last)
    assert records == []
    assert chain.state.save() == saved
    undone = history.undo(last - 7)
    assert [record.block.height for record in undone] == list(range(last - 6, last + 1))
    assert history.undo(last - 7) == []
    history.replay(undone)
    assert chain.state.save() == saved


# ---- state in the wrong place is noticed

PLAN: Plan = [(20, 0, 0.3), (35, 1, 0.4)]


class ForgottenFees(ConstantProductBook):
    """A pool that counts its customers where no journal sees it, and gives the thousandth part less to each."""

    served = 0

    def apply(self, *row: Any) -> Any:
        status, x, y = super().apply(*row)
        self.served += not status
        if not status:
            asset, sender = (self.base if row[0] == 0 else self.usd), row[1]
            asset[sender] -= y * 1e-3 * (self.served % 2)
            asset[self.account] += y * 1e-3 * (self.served % 2)
            self.cells[1 if row[0] == 0 else 2] += y * 1e-3 * (self.served % 2)
        return status, x, y

    def run(self, rows: Any, start: int, stop: int) -> Any:
        return super(ConstantProductBook, self).run(rows, start, stop)


class OwnPrice(PriceFeedBook):
    """A feed whose price is in no column."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.source = PriceSource(self.source.price)


class Unwatched(PerpetualBook):
    """A perpetual that forgets the levels of quotes when something is undone."""

    def restored(self, touched: Any) -> None: ...


def opening(kind: type, market: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "open", lambda rules, given: kind(rules, given))


def unpaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """What L1 takes for batches is no input of a block."""

    def pay(chain: LiveChain, asset: str, account: int, change: float) -> None:
        chain.world.ledger.column(chain.name, asset)[account] += change

    monkeypatch.setattr(LiveChain, "pay", pay)


MISTAKES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a pool's own count": lambda patch: opening(ForgottenFees, ConstantProduct, patch),
    "a feed's own price": lambda patch: opening(OwnPrice, PriceFeed, patch),
    "quotes as they were": lambda patch: opening(Unwatched, Perpetual, patch),
    "funding apart": lambda patch: opening(type("FundingApart", (PerpetualBook,), {"funding": 0.0}), Perpetual, patch),
    "fees apart": lambda patch: opening(type("FeesApart", (PerpetualBook,), {"fees": 0.0}), Perpetual, patch),
    "no payments": unpaid,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_state_in_the_wrong_place_is_noticed(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MISTAKES[mistake](monkeypatch)
    straight.cache_clear()
    try:
        straight(SMALL)  # by itself it does no harm
        with pytest.raises((AssertionError, ValueError, BooksDoNotClose)):
            goes_back_and_forth(SMALL, PLAN)
    finally:
        straight.cache_clear()
