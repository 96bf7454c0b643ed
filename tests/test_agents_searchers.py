"""Searchers on a pool: what they compute, on lists and compiled, and what they do in a world."""

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from validation import SCENARIOS, run_file

from l2sim.agents.arbitrageur import ROUNDING, plan, react
from l2sim.agents.backrunner import follow, replay
from l2sim.agents.sandwich_searcher import attack, largest
from l2sim.compiled import compiled
from l2sim.events import OutsideTraded, TransactionIncluded
from l2sim.kernels import INTENT, INTENTS, MEMORY, Reflex
from l2sim.log import Log
from l2sim.markets.constant_product import BASE_RESERVE, BUY, QUOTE_RESERVE, SELL, swapped
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.transactions import Status
from l2sim.world.world import World

OWN, HERE = 2, 1
KEPT, OUT = 0, 1


def step(name: str, amount: float, slippage: str = "20 %", tip: str = "0 wei", action: str = "buy") -> str:
    """Another trade of the victim at the same time."""
    field = "quote_in" if action == "buy" else "base_in"
    fields = f"{{{field}: {amount!r}}}"
    return f'agents.victim.steps.{name}={{at: 1s, market: pool, action: {action}, fields: {fields}, slippage: "{slippage}", tip: {tip}}}'


# ---- what they compute


@pytest.mark.parametrize("fee", [0.0, 0.003, 0.05])
@pytest.mark.parametrize("price", [1500.0, 2600.0])
def test_no_other_size_earns_more_where_fees_are_paid_out(fee: float, price: float) -> None:
    def profit(action: int, paid: float) -> float:
        got = swapped([1.0 - fee, 1000.0, 2e6, 0.0], OUT, action, paid, inf, 0.0)
        return got * price - paid if action == BUY else got - paid * price

    best = plan(1000.0, 2e6, fee, price, 1e12, 1e12, paid_out=True)
    action = BUY if best.action == "buy" else SELL
    assert best.profit == pytest.approx(profit(action, best.paid), rel=1e-9)
    assert best.profit > max(profit(action, best.paid * factor) for factor in (0.999, 1.001))
    cells = [1.0 - fee, 1000.0, 2e6, 0.0]
    swapped(cells, OUT, action, best.paid, inf, 0.0)
    edge = price * (1.0 - fee) if action == BUY else price / (1.0 - fee)
    assert cells[QUOTE_RESERVE] / cells[BASE_RESERVE] == pytest.approx(edge, rel=1e-12)


shares = st.floats(1e-4, 0.5)


@given(st.sampled_from([KEPT, OUT]), st.sampled_from([BUY, SELL]), shares, st.floats(1e-4, 0.2), st.sampled_from([0.0, 0.003, 0.03]))
def test_the_largest_front_run_leaves_its_victim_just_executable(paid_out: int, action: int, share: float, room: float, fee: float) -> None:
    cells = [1.0 - fee, 1000.0, 2e6, 0.0]
    a = share * (2e6 if action == BUY else 1000.0)
    got = swapped(cells.copy(), paid_out, action, a, inf, 0.0)
    slippage = a / got / 2000.0 * (1.0 + room) - 1.0 if action == BUY else 1.0 - got / a / 2000.0 * (1.0 - room)

    def executes(size: float) -> bool:
        pool = cells.copy()
        swapped(pool, paid_out, action, size, inf, 0.0)
        return swapped(pool, paid_out, action, a, slippage, 2000.0) > 0.0

    size = largest(cells, paid_out, action, a, slippage, 2000.0)
    assert executes(size * (1.0 - 1e-8))
    assert not executes(size * (1.0 + 1e-8))
    tight = a / got / 2000.0 - 1.0 - 1e-6 if action == BUY else 1.0 - got / a / 2000.0 - 1e-6
    assert largest(cells, paid_out, action, a, tight, 2000.0) == 0.0
    assert largest(cells, paid_out, action, a, inf, 2000.0) == inf
    assert largest(cells, paid_out, action, a, 0.01, 0.0) == inf


def test_what_waits_is_replayed_as_it_will_be_ordered() -> None:
    market, action = [HERE, 0, HERE, HERE, HERE], [BUY, BUY, SELL, BUY, BUY]
    a, tip = [1e4, 1e6, 3.0, 2e4, 0.0], [5, 9, 7, 7, 8]
    limits, references = [inf, inf, inf, 0.0, inf], [2000.0, 2000.0, 2000.0, 1.0, 2000.0]
    pool, expected = [0.997, 1000.0, 2e6, 0.0], [0.997, 1000.0, 2e6, 0.0]
    assert replay(pool, KEPT, 0, HERE, 0, 5, market, action, a, limits, references, tip) == 3
    swapped(expected, KEPT, SELL, 3.0, inf, 2000.0)
    swapped(expected, KEPT, BUY, 1e4, inf, 2000.0)
    assert pool == expected
    pool = [0.997, 1000.0, 2e6, 0.0]
    assert replay(pool, KEPT, 6, HERE, 0, 5, market, action, a, limits, references, tip) == 2
    assert replay(pool, KEPT, 0, HERE, 1, 2, market, action, a, limits, references, tip) == 0


# ---- the same bits compiled

waiting = st.lists(
    st.tuples(
        st.sampled_from([HERE, HERE, HERE, 0]), st.sampled_from([BUY, SELL]), st.floats(0.0, 0.3),
        st.sampled_from([inf, 0.0, 0.002, 0.01, 0.05, 0.5]), st.floats(0.9, 1.1), st.sampled_from([0, 0, 1, 7, 10**9]),
    ),
    max_size=12,
)  # fmt: skip


def told(
    reflex: Reflex, numbers: list[float], rows: list[Any], paid_out: int, units: float, price: float, arrays: bool
) -> tuple[int, list[Any], list[Any]]:
    """What a reflex wants, on lists by Python or compiled on arrays."""
    market, action, size, slippage, near, tip = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [], [], [])
    a = [share * (2e6 if act == BUY else 1000.0) for share, act in zip(size, action, strict=True)]
    reference = [2000.0 * factor for factor in near]
    floats: list[list[float]] = [[*numbers, 0.0], [0.0] * MEMORY, [0.997, 1000.0, 2e6, 0.0]]
    codes, purses, prices = [0, 0, 1, paid_out], [[0.0, 0.0, units], [0.0, 0.0, 1e6]], [price, 1.0]
    facts, intents = [1e-8, 1e-12, 2000.0, 1.0, 7.0, 100.0, 1e-9], [[0.0] * INTENT for _ in range(INTENTS)]
    columns: list[Any] = [market, action, a, slippage, reference, tip]
    place: Any = (OWN, facts, HERE, 0, len(rows))
    if arrays:
        given: Any = [np.array(one) for one in floats]
        table, wanted = np.array(purses), np.array(intents)
        made = [np.array(column, np.int64 if k in (0, 1, 5) else np.float64) for k, column in enumerate(columns)]
        place = (OWN, np.array(facts), HERE, 0, len(rows))
        n = compiled(reflex)(*given, np.array(codes), table, np.array(prices), *place, *made, wanted)
        return int(n), wanted[:n].tolist(), given[1].tolist()
    n = reflex(*floats, codes, purses, prices, *place, *columns, intents)
    return n, intents[:n], floats[1]


@settings(max_examples=150, deadline=None)
@given(
    waiting, st.sampled_from([KEPT, OUT]), st.sampled_from([500.0, 500.0, 480.0, 520.0]), st.floats(1900.0, 2100.0), st.sampled_from([0, 5])
)
def test_reflexes_want_the_same_compiled(rows: list[Any], paid_out: int, units: float, price: float, tip: int) -> None:
    arbitrage = [0.0, 0.0, ROUNDING, tip, 1.0, 120_000.0, 120_000.0, 120.0, 120.0]
    sandwich = [1.0, 0.0, 500.0, 120_000.0, 120_000.0, 120.0, 120.0]
    for reflex, numbers in ((react, arbitrage), (follow, arbitrage), (attack, sandwich)):
        case = (reflex, numbers, rows, paid_out, units, price)
        assert told(*case, arrays=False) == told(*case, arrays=True)


# ---- what they do


def trades(log: Log) -> list[tuple[str, str, int, float, float]]:
    """Group, action, status, input and output of what was executed, in order."""
    frame = log.frame("TransactionIncluded")
    names = {account: name for name, group in log.about["groups"].items() for account in range(group["first"], group["last"])}
    return [(names[row.sender], row.action, row.status, row.x, row.y) for row in frame.itertuples()]


def gained(log: Log, group: str, asset: str) -> float:
    closed = log.frame("AccountClosed")
    mine = closed[(closed.group == group) & (closed.asset == asset)]
    return float((mine.closing - mine.opening).sum())


def test_nothing_is_attacked_that_nobody_sees() -> None:
    for ordering in ("first_come_first_served", "random"):
        log = run_file("sandwich", f"chains.arb.ordering={{kind: {ordering}}}")
        assert [who for who, *_ in trades(log)] == ["victim"]


def test_a_sale_is_attacked_the_other_way_round() -> None:
    log = run_file("sandwich", step("large", 50.0, "7 %", action="sell"), "agents.victim.steps.swap.at=9s")
    front, victim, back = trades(log)[:3]
    assert (front[:3], victim[:3], back[:3]) == (("searcher", "sell", 0), ("victim", "sell", 0), ("searcher", "buy", 0))
    assert victim[4] / victim[3] == pytest.approx(2000.0 * 0.93, rel=1e-9)  # as little as it accepts
    assert back[4] == pytest.approx(front[3], rel=1e-12)
    assert front[4] - back[3] > 100.0
    assert gained(log, "searcher", "eth") == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("paid_out", ["kept", "paid_out"])
def test_capital_limits_the_front_run(paid_out: str) -> None:
    log = run_file("sandwich", "agents.searcher.capital=3 kUSD", f"markets.pool.fees={paid_out}")
    front, victim, back = trades(log)
    assert front[3] == 3000.0
    assert victim[3] / victim[4] < 2000.0 * 1.0636 * 0.995
    assert gained(log, "searcher", "usd") == pytest.approx(back[4] - 3000.0, rel=1e-9)


def test_fees_of_the_chain_and_a_minimum_count() -> None:
    earned = gained(run_file("sandwich"), "searcher", "usd")
    fee = 2 * 120_000 * 100e-9 * 2000.0  # two swaps at 100 gwei
    for minimum, n in ((earned - fee - 0.1, 3), (earned - fee + 0.1, 1)):
        log = run_file("sandwich", "chains.arb.fee.fee=100 gwei", f"agents.searcher.minimum_profit={minimum!r} USD")
        assert len(trades(log)) == n
    assert len(trades(run_file("sandwich", "agents.searcher.outbid=4100 gwei"))) == 1  # 0.492 ETH for going first


def test_it_outbids_its_victim_and_comes_behind_it() -> None:
    log = run_file("sandwich", "agents.victim.steps.swap.tip=3 gwei", "agents.searcher.outbid=2 gwei")
    fees = log.select(TransactionIncluded, "execution_fee")[0] / 120_000 * 1e9
    assert fees == pytest.approx([5.0, 3.0, 3.0])


def test_what_waits_in_between_is_reckoned_with() -> None:
    others = [step("first", 9000.0, tip="1 gwei"), step("last", 4.0, tip="0 wei", action="sell")]
    others += [step(f"other_{k}", 500.0) for k in range(4)]
    log = run_file("sandwich", "agents.victim.steps.swap.slippage=8 %", *others)
    done = trades(log)
    assert [status for _, _, status, _, _ in done] == [0] * 9
    assert [who for who, *_ in done] == ["victim", "searcher", *["victim"] * 6, "searcher"]
    (worst,) = [paid / got for _, _, _, paid, got in done if paid == 100_000.0]
    assert 2160.0 * (1.0 - 0.005) < worst <= 2160.0
    # A hair more, and the victim would have been refused: what came in between was counted in, where it came before it.
    between = done[2 : done.index(next(trade for trade in done if trade[3] == 100_000.0))]
    assert (worst == pytest.approx(2160.0, rel=1e-9)) or any(action == "sell" for _, action, *_ in between)
    assert gained(log, "searcher", "usd") > 100.0


def test_the_victim_that_pays_most_is_attacked() -> None:
    # What goes first leaves the larger one behind it less room, or none at all.
    small = step("small", 20_000.0, "1.5 %", tip="1 gwei")
    for limit, order in (("8 %", ["victim", "searcher", "victim", "searcher"]), ("6.5 %", ["searcher", "victim", "searcher", "victim"])):
        done = trades(run_file("sandwich", f"agents.victim.steps.swap.slippage={limit}", small))
        assert [who for who, *_ in done] == order


def test_what_an_attack_leaves_is_traded_back() -> None:
    # The victim does not own what it wants to spend, which nobody can see: the back-run would lose, and reverts.
    log = run_file("sandwich", "agents.victim.holdings={arb: {usd: 1 USD}}")
    statuses = [(who, status) for who, _, status, _, _ in trades(log)]
    assert statuses == [("searcher", 0), ("victim", Status.INSUFFICIENT_FUNDS), ("searcher", Status.SLIPPAGE), ("searcher", 0)]
    assert gained(log, "searcher", "eth") == pytest.approx(0.0, abs=1e-9)
    assert -0.01 * 11_000 < gained(log, "searcher", "usd") < 0.0


def test_two_searchers_after_one_victim() -> None:
    log = run_file("sandwich", "agents.searcher.count=2")
    done = trades(log)
    assert [status for _, action, status, _, _ in done if action == "buy"][:2] == [0, Status.SLIPPAGE]
    (hurt,) = [paid / got for _, _, _, paid, got in done if paid == 100_000.0]
    assert hurt <= 2000.0 * 1.0636


def test_from_afar_only_what_a_full_block_leaves_can_be_attacked() -> None:
    crowd = [step(f"early_{k}", 1.0, tip="9 gwei") for k in range(6)]
    full = ("chains.arb.block_gas_limit=360 kgas", "agents.searcher.colocated=false", *crowd)
    log = run_file("sandwich", *full)
    assert log.select(TransactionIncluded, "block")[0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [who for who, *_ in trades(log)][6:] == ["searcher", "victim", "searcher"]  # as soon as there is room for the victim
    assert gained(log, "searcher", "usd") > 900.0
    late = trades(run_file("sandwich", *full, "agents.searcher.reaction=5s"))
    assert {status for who, _, status, *_ in late if who == "searcher"} == {Status.SLIPPAGE}  # the price that it insists on is gone
    roomy = run_file("sandwich", "agents.searcher.colocated=false")
    assert [who for who, *_ in trades(roomy)] == ["victim"]


AFTER = (
    "agents.searcher={kind: backrunner, market: pool, capital: 1 MUSD}",
    "chains.outside={kind: outside, impact: none}",
)


def test_a_backrunner_takes_what_a_trade_leaves() -> None:
    log = run_file("sandwich", *AFTER)
    victim, after = trades(log)
    assert (victim[:3], after[:3]) == (("victim", "buy", 0), ("searcher", "sell", 0))
    expected = plan(1000.0 - victim[4], 2.1e6, 0.003, 2000.0, 1e9, 1e9)
    assert after[3:] == pytest.approx((expected.paid, expected.got), rel=1e-12)
    assert gained(log, "searcher", "usd") == pytest.approx(expected.profit, rel=1e-9)
    assert log.select(OutsideTraded, "quantity")[0].tolist() == [after[3]]


def test_a_backrunner_leaves_alone_what_nobody_shows_or_does() -> None:
    assert len(trades(run_file("sandwich", *AFTER, "chains.arb.ordering={kind: random}"))) == 1
    quiet = run_file("sandwich", *AFTER, "duration=3s", "agents.victim.steps.swap.at=2.5s", "markets.pool.quote_reserve=1.8 MUSD")
    assert trades(quiet) == []
    shut = run_file("sandwich", *AFTER, "chains.arb.block_gas_limit=120 kgas")
    assert [who for who, *_ in trades(shut)] == ["victim"]  # no room behind the victim, and what waited a block is stale


def test_a_backrunner_from_afar() -> None:
    early = [step(f"early_{k}", 1.0, tip="9 gwei") for k in range(2)]
    log = run_file("sandwich", *AFTER, "agents.searcher.colocated=false", "chains.arb.block_gas_limit=240 kgas", *early)
    assert [who for who, *_ in trades(log)] == ["victim", "victim", "victim", "searcher"]
    assert gained(log, "searcher", "usd") > 1000.0


@pytest.mark.parametrize("fees", ["kept", "paid_out"])
def test_a_colocated_arbitrageur_counts_gas(fees: str) -> None:
    here = ("agents.arbitrageur.colocated=true", f"markets.pool.fees={fees}", "chains.arb.fee.fee=10 gwei")
    log = run_file("arbitrage", *here)
    expected = plan(1000.0, 2e6, 0.003, 2100.0, 1e6, 1e6, paid_out=fees == "paid_out")
    ((_, action, status, paid, got),) = trades(log)
    assert (action, status) == ("buy", 0)
    assert (paid, got) == pytest.approx((expected.paid, expected.got), rel=1e-12)
    assert gained(log, "arbitrageur", "usd") == pytest.approx(expected.profit, rel=1e-9)
    assert gained(log, "arbitrageur", "eth") == pytest.approx(0.0, abs=1e-12)
    cost = (120_000 * 10e-9) * 2100.0
    for minimum, n in ((expected.profit - cost - 0.01, 1), (expected.profit - cost + 0.01, 0)):
        assert len(trades(run_file("arbitrage", *here, f"agents.arbitrageur.minimum_profit={minimum!r} USD"))) == n
    first = run_file("arbitrage", *here, "prices.eth.points={0: 1900 USD}")
    assert trades(first)[0][1] == "sell"
    assert first.select(TransactionIncluded, "submitted", "time")[0].tolist() == first.select(TransactionIncluded, "time")[0].tolist()


CROWD = (
    "duration=60s",
    "agents.crowd={kind: crowd_of_traders, market: pool, rate: 10 /s, size: 50, slippage: 2 %}",
    "agents.crowd.notional={kind: lognormal, median: 5 kUSD, sigma: 1}",
    "agents.crowd.tip={kind: uniform, low: 0 gwei, high: 3 gwei}",
)


def test_a_searcher_alone_among_a_crowd_never_misses() -> None:
    log = run_file("sandwich", *CROWD)
    done = [status for who, _, status, *_ in trades(log) if who == "searcher"]
    assert len(done) > 40
    assert not any(done)
    assert gained(log, "searcher", "usd") > 100.0 * len(done) / 2
    assert gained(log, "searcher", "eth") == pytest.approx(0.0, abs=1e-9)


def test_engines_agree_on_searchers_among_a_crowd() -> None:
    others = (
        "chains.outside={kind: outside, impact: none}",
        "agents.backrunner={kind: backrunner, market: pool}",
        "agents.arbitrageur={kind: arbitrageur, market: pool, colocated: true, tip: 9 gwei}",
    )
    scenario = Scenario.load(SCENARIOS / "sandwich.yaml", [*CROWD, *others])
    logs = [World(scenario, Streams(1), engine=engine).run() for engine in ("lists", "arrays")]
    assert logs[0].digest == logs[1].digest
    done = [(who, status) for who, _, status, *_ in trades(logs[0])]
    for who in ("searcher", "backrunner", "arbitrageur"):
        assert done.count((who, 0)) > 10
    assert done.count(("searcher", Status.SLIPPAGE)) > 0  # whoever goes first spoils the price that it insists on
