"""Transactions of several steps: all of them or none, over several markets; flash loans; what a step gives to the next."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import HERE, differences, frames

from l2sim.agents import Agent, Waiting
from l2sim.books import Opening
from l2sim.log import Log
from l2sim.markets.constant_product import ConstantProduct
from l2sim.markets.lending_pool import LendingPool
from l2sim.markets.perpetual import Perpetual
from l2sim.scenario import Scenario, ScenarioError
from l2sim.simulation import RunFailed
from l2sim.state import Journal, PriceSource, State
from l2sim.streams import Streams
from l2sim.transactions import Output, Rows, Status, Step
from l2sim.units import MS, SECOND
from l2sim.world.engine import Engine
from l2sim.world.execution import Execution
from l2sim.world.seat import Do, Seat
from l2sim.world.world import World

STEPS = HERE / "scenarios" / "steps.yaml"


def lived(engine: Engine = "lists", **changes: Any) -> tuple[World, Log]:
    world = World(Scenario.load(STEPS).vary(changes), Streams(1, 0), {}, engine)
    return world, world.run()


# ---- in a run


def test_what_can_be_done_with_borrowed_money() -> None:
    _, log = lived()
    rows = log.frame("TransactionIncluded").set_index("action")
    profit = log.frame("AccountClosed").set_index(["group", "asset"])["value"]
    bought = 1000 * 0.997 * 50_000 / (1.9e6 + 0.997 * 50_000)
    sold = 2.1e6 * 0.997 * bought / (1000 + 0.997 * bought)
    # The fee of the second loan, of all that the bank has by then, comes out of the profit.
    assert profit["borrower", "usd"] == pytest.approx(sold - 50_000 * 1.0005 - 1_000_025 * 0.0005, rel=1e-9)
    assert rows.loc["flash_loan+buy+sell+flash_repay", ["market", "status", "gas", "x", "y"]].tolist() == [
        *("bank", Status.SUCCEEDED, 85_000 + 120_000 + 120_000 + 85_000, 50_025.0, 25.0),
    ]
    assert rows.loc["flash_loan+buy", ["market", "status"]].tolist() == ["cheap", Status.UNPAID]
    assert rows.loc["flash_loan+flash_repay", ["status", "x"]].to_numpy().tolist() == [
        [Status.NO_LIQUIDITY, 0.0],
        [Status.SUCCEEDED, 1_000_025 * 1.0005],
    ]
    assert profit["bank", "usd"] == pytest.approx(25.0 + 1_000_025 * 0.0005)


def test_all_or_nothing_but_the_fee_is_paid() -> None:
    _, log = lived()
    rows = log.frame("TransactionIncluded").set_index("action")
    assert rows.loc["buy+open", "status"] == Status.SUCCEEDED
    assert rows.loc["open+open", "status"] == Status.NO_LIQUIDITY
    assert rows.loc["sell+buy", "status"] == Status.SLIPPAGE
    # Facts of what was undone are not in the log: the short of ten is the one position that was opened.
    assert log.frame("PositionOpened")[["size", "time"]].to_numpy().tolist() == [[-10.0, 9 * SECOND]]
    trader = log.frame("AccountClosed").query("group == 'trader'").set_index("asset")["closing"]
    assert trader["eth"] == pytest.approx(1000 * 0.997 * 20_000 / (1.95e6 + 0.997 * 20_000) * 950 / 974.4, rel=0.01)
    assert rows["execution_fee"].to_numpy() == pytest.approx(rows["gas"].to_numpy() * 1e7 / 1e18)
    assert 1.0 - trader["gas"] == pytest.approx(rows["execution_fee"].iloc[-3:].sum())


def test_without_its_last_step_a_world_is_that_without_the_transaction() -> None:
    """What reverts leaves no trace but its row and its fee."""
    _, with_it = lived()
    _, without = lived(**{f"agents.trader.steps.{name}.at": "30s" for name in ("overreaches", "too_dear")})
    apart = {one.split(",")[0].split(":")[0] for one in differences(frames(with_it), frames(without))}
    assert apart <= {"TransactionIncluded", "BlockSealed", "AccountClosed.closing", "AccountClosed.value"}
    closed = [log.frame("AccountClosed").query("asset != 'gas'") for log in (with_it, without)]
    assert closed[0].equals(closed[1])


def test_lists_and_arrays_agree_and_no_journal_is_left() -> None:
    (lists, one), (arrays, other) = lived("lists"), lived("arrays")
    assert (lists.engines["arb"], arrays.engines["arb"]) == ("lists", "arrays")
    assert one.digest == other.digest
    for world in (lists, arrays):
        journal = world.chains["arb"].state.journal
        assert journal is not None
        assert journal.entries == []


def test_a_journal_is_kept_only_where_somebody_needs_it() -> None:
    scenario = Scenario.load(HERE / "scenarios" / "swap.yaml")
    assert World(scenario, Streams(1, 0)).chains["arb"].state.journal is None


def test_blocks_of_other_rows_are_compiled_all_the_same() -> None:
    crowd = {"kind": "crowd_of_traders", "size": 20, "market": "cheap", "rate": "20 /s", "wealth": "1 MUSD"}
    changes: dict[str, Any] = {"agents.crowd": crowd, "markets.perp": None, "agents.maker": None, "agents.trader": None}
    plan = Scenario.load(STEPS).vary({name: value for name, value in changes.items() if value is not None}).resolved()
    for path in (name for name, value in changes.items() if value is None):
        section, name = path.split(".")
        del plan[section][name]
    logs = [World(Scenario.of(plan), Streams(1, 0), {}, engine).run() for engine in ("lists", "arrays")]
    assert logs[0].digest == logs[1].digest
    assert "flash_loan+buy+sell+flash_repay" in set(logs[0].frame("TransactionIncluded")["action"])


# ---- refusals

ABROAD = {"chains.op": {"preset": "minimal", "settles_on": None, "batch_poster": None}, "markets.dear.on": "op"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (ABROAD, "'dear' is on 'op', but 'cheap' on 'arb': a transaction is on one chain"),
        (
            {"agents.borrower.steps.runs_away.then": None},
            "'flash_loan' must be undone in the same transaction: write under 'then' what it does next",
        ),
        (
            {"agents.borrower.steps.arbitrage.then.then.takes": "base"},
            "action 'sell' has no field 'base'; did you mean 'base_in'?",
        ),
        (
            {"agents.borrower.steps.arbitrage.then.then.fields": {"base_in": 3}},
            "'base_in' takes what the act before gave: leave it out of 'fields'",
        ),
        ({"agents.borrower.steps.arbitrage.then.market": "cheep"}, "there is no market 'cheep'; did you mean 'cheap'?"),
        ({"agents.borrower.steps.arbitrage.then.action": "bye"}, "market 'cheap' has no action 'bye'; did you mean 'buy'?"),
        (
            {"agents.trader.steps.out": {"at": "1s", "action": "trade", "fields": {"eth": 1}, "then": {"market": "dear", "action": "buy"}}},
            "a step without a market trades outside, by itself",
        ),
    ],
)  # fmt: skip
def test_a_script_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        Scenario.load(STEPS).vary(changes)
    assert message in str(error.value)


class Bundler(Agent):
    """Sends what it is told to as soon as it can."""

    what: str
    """Which of the mistakes below."""

    @property
    def atomic(self) -> bool:
        return True

    def run(self, me: Seat) -> Waiting:
        yield me.sleep(SECOND)
        loan = Do("bank", "flash_loan", (1.0, 100.0))
        if self.what == "nothing":
            me.submit_steps()
        elif self.what == "abroad":
            me.submit_steps(loan, Do("dear", "buy", (1.0,)))
        elif self.what == "ahead":
            me.submit_steps(Do("cheap", "sell", (Output(1),)), Do("cheap", "buy", (1.0,)))
        elif self.what == "alone":
            me.submit("bank", "flash_loan", 1.0, 100.0)
        elif self.what == "in rows":
            me.submit_rows("bank", "flash_loan", submitted=np.array([me.now]), accounts=np.array([me.accounts[0]]), decisions=np.array([0]))
        elif self.what == "in rows of codes":
            accounts = np.array([me.accounts[0]])
            me.submit_rows("bank", np.array([5]), submitted=np.array([me.now]), accounts=accounts, decisions=np.array([0]))
        elif self.what == "unknown":
            me.submit_steps(Do("cheap", "by", (1.0,)))
        else:
            me.submit_steps(*[loan] * 400)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing", "the steps of a transaction must be on one chain, not on none"),
        ("abroad", "the steps of a transaction must be on one chain, not on arb, op"),
        ("ahead", "step 0, 'sell' on 'cheap', takes Output(step=1, which=1): there is no such step before it"),
        ("alone", "'flash_loan' on 'bank' must be undone in the same transaction: send it with me.submit_steps"),
        ("in rows", "'flash_loan' on 'bank' must be undone in the same transaction: send it with me.submit_steps"),
        ("in rows of codes", "'flash_loan' on 'bank' must be undone in the same transaction: send it with me.submit_steps"),
        ("unknown", "market 'cheap' has no action 'by'; it has buy, sell"),
        ("too much", "the steps use 34000000 gas together; a block of 'arb' has room for 32000000"),
    ],
)
def test_steps_that_cannot_work_are_refused(what: str, message: str) -> None:
    plan = Scenario.load(STEPS).resolved()
    plan["agents"] = {"bundler": {"kind": "bundler", "what": what}}
    with pytest.raises(RunFailed) as error:
        World(Scenario.of(plan).vary(ABROAD), Streams(1, 0)).run()
    assert str(error.value) == f"'bundler/0' failed at 1.000 s of simulated time: ValueError: {message}"


class Listener(Agent):
    """Sends two steps and waits for what became of them."""

    heard: float = 0.0
    """Units that it sells; the rest of what it does is fixed."""

    @property
    def atomic(self) -> bool:
        return True

    def arrive(self, me: Seat) -> None:
        me.endow("arb", "usd", 1_000.0)
        me.endow("arb", me.gas_token, 1.0)

    def run(self, me: Seat) -> Waiting:
        yield me.sleep(100 * MS)
        steps = Do("cheap", "buy", (1_000.0,)), Do("dear", "sell", (Output(0),)), Do("cheap", "buy", (Output(1),))
        receipt = yield me.receipt(me.submit_steps(*steps, wait=True))
        assert receipt.status == 0
        assert receipt.block == 1
        assert receipt.fee == 360_000 * 1e7 / 1e18
        assert me.balance("arb", "eth") == receipt.y > 0.0
        assert me.balance("arb", "usd") == pytest.approx(0.0)
        assert me.pending("arb") == []
        receipt = yield me.receipt(me.submit_steps(*steps, wait=True))
        assert receipt.status == Status.INSUFFICIENT_FUNDS
        assert me.failures() == []
        me.submit_steps(*steps)
        yield me.sleep(2 * SECOND)
        assert [(failure.status, failure.account) for failure in me.failures()] == [(Status.INSUFFICIENT_FUNDS, me.accounts[0])]


def test_a_sender_hears_of_the_last_step() -> None:
    plan = Scenario.load(STEPS).resolved()
    plan["agents"] = {"listener": {"kind": "listener"}}
    log = World(Scenario.of(plan), Streams(1, 0)).run()
    assert log.frame("TransactionIncluded")["status"].tolist() == [0, Status.INSUFFICIENT_FUNDS, Status.INSUFFICIENT_FUNDS]


# ---- random bundles, against a copy that is thrown away when a step fails

CHEAP, DEAR, PERP, BANK = range(4)
USERS = 4


class Deck:
    """Four markets over the state of one chain."""

    def __init__(self, journal: Journal | None, arrays: bool = False, reversible: bool = False) -> None:
        self.state = State(USERS + 4, arrays, journal, reversible)
        self.execution = Execution(self.state, lambda *paid: None)
        self.sources = {"usd": PriceSource(1.0, column=self.state.prices, slot=self.state.slot())}
        self.eth = self.sources["eth"] = PriceSource(2000.0, column=self.state.prices, slot=self.state.slot())
        self.execution.outside.append(self.eth)
        markets = (
            ConstantProduct.model_validate({"on": "arb", "base": "eth", "base_reserve": 100, "quote_reserve": "190 kUSD"}),
            ConstantProduct.model_validate(
                {"on": "arb", "base": "eth", "base_reserve": 100, "quote_reserve": "210 kUSD", "fees": "paid_out"}
            ),
            Perpetual.model_validate({"on": "arb", "index": "eth", "insurance_fund": "1 kUSD"}),
            LendingPool.model_validate({"on": "arb", "reserves": {"eth": {"liquidity": 20}, "usd": {"liquidity": "50 kUSD"}}}),
        )
        for account, market in enumerate(markets, USERS):
            for asset, amount in market.brings(self.sources.__getitem__).items():
                self.purse(asset)[account] += amount
            name = f"market{account}"
            self.execution.open(name, account, market.open(Opening(name, account, self.purse, self.sources.__getitem__, self.state)))
        for user in range(USERS):
            self.purse("usd")[user], self.purse("eth")[user] = 20_000.0, 5.0
        self.apply(3, [(PERP, 3, (10_000.0, 0.0, 0.0)), (PERP, 5, (0.001, 20.0, 0.0))])

    def purse(self, asset: str) -> Any:
        return self.state.purses[self.state.purse(asset)]

    def apply(self, sender: int, acts: Sequence[tuple[int, int, tuple[Any, Any, Any]]]) -> tuple[int, float, float]:
        """The model: on a copy, one act after the other, each with what the acts before gave."""
        books = self.execution.books
        saved, told, given = self.state.save(), [len(book.facts) for book in books], []
        status = 0
        for market, action, fields in acts:
            filled = [given[field.step][field.which] if isinstance(field, Output) else field for field in fields]
            status, x, y = books[market].apply(action, sender, *filled, inf, books[market].mid())
            if status:
                break
            given.append((x, y))
        if not status and books[BANK].owing(sender):
            status = int(Status.UNPAID)
        if not status:
            return 0, *given[-1]
        self.state.load(saved)
        for book, facts in zip(books, told, strict=True):
            del book.facts[facts:]
            book.restored(None)
        return status, 0.0, 0.0

    def together(self, sender: int, acts: Sequence[tuple[int, int, tuple[Any, Any, Any]]]) -> tuple[int, float, float]:
        rows = Rows.of(1, sender=sender, market=-1, a=float(len(self.execution.bundles)))
        self.execution.bundles[len(self.execution.bundles)] = tuple(Step(*act, inf, 0.0) for act in acts)
        (status,), (x,), (y,) = self.execution.run(rows, 0, 1)
        return status, x, y

    def shown(self) -> Any:
        books = self.execution.books
        saved = {name: list(raw.items()) if isinstance(raw, dict) else list(raw) for name, raw in self.state.save().items()}
        offered = [books[CHEAP].view(), books[DEAR].view(), books[PERP].view().quotes, books[PERP].view().liquidatable()]
        return saved, [book.facts for book in books], [book.mid() for book in books], [book.claims() for book in books], repr(offered)


amounts = st.sampled_from([0.0, 0.5, 1.0, 3.0, 40.0, 1_000.0, 15_000.0, 60_000.0, -1.0])
outputs = st.builds(Output, st.integers(0, 3), st.integers(0, 1))
fields = st.one_of(amounts, amounts, outputs)
acts = st.one_of(
    st.tuples(st.sampled_from([CHEAP, DEAR]), st.integers(0, 1), st.tuples(fields, st.just(0.0), st.just(0.0))),
    st.tuples(st.just(PERP), st.just(0), st.tuples(st.sampled_from([-3.0, 2.0, 30.0]), st.sampled_from([2.0, 20.0]), st.just(0.0))),
    st.tuples(st.just(PERP), st.sampled_from([1, 2, 3, 4]), st.tuples(fields, st.just(0.0), st.just(0.0))),
    st.tuples(st.just(BANK), st.integers(0, 6), st.tuples(st.sampled_from([0.0, 1.0]), fields, st.just(0.0))),
)


def possible(bundle: list[Any]) -> list[Any]:
    """The acts of which each takes only what has been given."""
    return [act for place, act in enumerate(bundle) if all(not isinstance(field, Output) or field.step < place for field in act[2])]


def renumbered(bundle: list[Any]) -> list[Any]:
    """The same, where an act that was left out shifts those behind it."""
    fitting = possible(bundle)
    return fitting if fitting == possible(fitting) else []


bundles = st.lists(acts, min_size=1, max_size=5).map(renumbered).filter(bool)
moves = st.lists(st.one_of(st.tuples(st.integers(0, USERS - 1), bundles), st.sampled_from([0.9, 0.97, 1.04])), max_size=12)


@settings(max_examples=150, deadline=None)
@given(moves, st.booleans(), st.booleans())
def test_random_bundles_do_all_or_nothing(doings: list[Any], arrays: bool, reversible: bool) -> None:
    model, deck = Deck(None), Deck(Journal(), arrays, reversible)
    assert deck.shown() == model.shown()
    journal, now = deck.state.journal, 0
    assert journal is not None
    journal.forget(journal.mark())
    start, digest, first = journal.mark(), deck.state.digest(), deck.shown()[0]
    for doing in doings:
        mark, kept = journal.mark(), len(journal.entries)
        if isinstance(doing, float):
            now += 3600 * SECOND
            for one in (model, deck):
                one.execution.begin(now, [one.eth.price * doing])
        else:
            outcome = deck.together(*doing)
            assert outcome == model.apply(*doing)
            if not reversible:
                assert len(journal.entries) == (kept if outcome[0] else 0)
        assert deck.shown() == model.shown()
        if reversible:
            digest = deck.state.digest_after(digest, mark)
            assert digest == deck.state.digest()
    if reversible:
        deck.execution.restored(journal.undo(start), 0)
        assert deck.shown()[0] == first


def test_a_step_that_is_not_undone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "undo", lambda journal, mark: [])
    deck, model = Deck(Journal()), Deck(None)
    bundle = [(CHEAP, 0, (1_000.0, 0.0, 0.0)), (CHEAP, 0, (1e9, 0.0, 0.0))]
    assert deck.together(0, bundle) == model.apply(0, bundle) == (Status.INSUFFICIENT_FUNDS, 0.0, 0.0)
    assert deck.shown() != model.shown()
