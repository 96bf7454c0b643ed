"""How long a dispute game lasts, what it locks up, and when a withdrawal through it is paid, by the chess clocks."""

from collections.abc import Callable
from typing import Any

import pytest
from test_validation_withdrawals import SLOT, check_late, check_op
from validation import DisagreementError, equal, run_file

from l2sim.events.dispute_game import ClaimMade, ClaimResolved, GameResolved
from l2sim.log import Log
from l2sim.settlement.dispute_game import game as played
from l2sim.settlement.dispute_game.bonds import required_bond

SECOND = 10**9
CLOCK, EXTENSION = 302_400, 10_800
SLOTS = 12
"""L1's slot (s): who moves in the last slot before its clock runs out moves so much earlier."""

ALONE = ("agents.leavers=null", "chains.op.sequencer.block_time=10min")
CALM = (*ALONE, "attacks.delay=null", "duration=8d")
CHALLENGER_STALLS = (*ALONE, "attacks.delay.stalls=18s", "agents.validators=null", "duration=12d", "chains.op.settlement.response=0 s")
BOTH_STALL = (
    *ALONE, "chains.op.proposer=null", "attacks.delay.asserts=true", "attacks.delay.challenges=false", "attacks.delay.stalls=18s",
    "agents.validators.stalls=18s", "duration=17d",
)  # fmt: skip
QUICK = ("chains.op.settlement.clock=30240 s", "chains.op.settlement.extension=1080 s", "duration=50h")
"""A tenth of the clock and of its extension."""


def durations(log: Log) -> tuple[float, float]:
    """Seconds from the assertion to the last claim and to the end of the game."""
    (made,), (over,) = log.select(ClaimMade, "time"), log.select(GameResolved, "time")
    return (made[-1] - made[0]) / SECOND, (over[0] - made[0]) / SECOND


def check_nobody(slot: int = SLOTS) -> list[str]:
    last, over = durations(run_file("dispute_game", *CALM))
    assert last == 0
    return [equal("6.7 no challenge: resolvable (s)", over, CLOCK)]


def check_challenger(slot: int = SLOTS) -> list[str]:
    """37 of 73 claims are the challenger's, each a slot before its clock runs out; the 36 answers take a slot each."""
    last, over = durations(run_file("dispute_game", *CHALLENGER_STALLS, f"chains.l1.slot={slot}s", f"attacks.delay.stalls={slot * 1500}ms"))
    assert abs(702_000 - last) <= 73 * slot
    return [
        equal("6.7 challenger stalls: last move (s)", last, 702_000 - 37 * slot + 36 * slot),
        equal("6.7 challenger stalls: resolvable (s)", over, 1_004_400 - 37 * slot),
    ]


def check_both(slot: int = SLOTS) -> list[str]:
    stalls = f"{slot * 1500}ms"
    log = run_file(
        "dispute_game", *BOTH_STALL, f"chains.l1.slot={slot}s", f"attacks.delay.stalls={stalls}", f"agents.validators.stalls={stalls}"
    )
    last, over = durations(log)
    return [
        equal("6.7 both stall: last move (s)", last, 1_382_400 - 73 * slot),
        equal("6.7 both stall: resolvable (s)", over, 1_393_200 - 73 * slot),
    ]


def quick(stalls: bool = True) -> float:
    """Seconds to the last move of a game with a tenth of the clock, both sides stalling or neither."""
    fast = () if stalls else ("attacks.delay.stalls=null", "agents.validators.stalls=null", "chains.op.settlement.response=0 s")
    return durations(run_file("dispute_game", *BOTH_STALL, *QUICK, *fast))[0]


def check_bonds() -> list[str]:
    """The contract's own bonds: the specification's base of 1.09493 is rounded, so its sums are 361.380 and 330.049 ETH."""
    log = run_file("dispute_game", *BOTH_STALL, *QUICK)
    depth, bond, account = log.select(ClaimMade, "depth", "bond", "account")
    assert depth.tolist() == list(range(74))
    attacker, honest = (log.about["groups"][name]["first"] for name in ("delay", "validators"))
    assert set(account[1::2]) == {honest}
    assert set(account[::2]) == {attacker}
    recipients = log.select(ClaimResolved, "recipient")[0]
    assert set(recipients) == {honest}
    return [
        equal("6.10 honest team locks (ETH)", float(bond[1::2].sum()), 361.277932, 1e-8),
        equal("6.10 attacker locks (ETH)", float(bond[::2].sum()), 329.956762, 1e-8),
        equal("6.10 one claim at every depth (ETH)", float(bond.sum()), 691.234694, 1e-8),
        equal("6.10 bond at depth 0 (ETH)", float(bond[0]), 0.08),
        equal("6.10 bond at depth 1 (ETH)", float(bond[1]), 0.087594),
        equal("6.10 bond at depth 30 (ETH)", float(bond[30]), 1.2151278),
    ]


@pytest.mark.parametrize("check", [check_nobody, check_challenger, check_both, check_bonds])
def test_games(check: Callable[[], list[str]], record_property: Callable[..., None]) -> None:
    """Games of up to 16 days with a slot every 12 s; a second or two each."""
    for line in check():
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("check", [check_challenger, check_both])
def test_games_to_the_second(check: Callable[[int], list[str]], record_property: Callable[..., None]) -> None:
    """With a slot every second what is lost by moving in slots is within the tolerance of 73 s."""
    for line in check(1):
        record_property("validation", line)


# ---- withdrawals through the game


GAME = (
    "chains.op.settlement={kind: dispute_game}",
    "duration=188h",
)


@pytest.mark.parametrize("check", [check_op, check_late])
def test_withdrawals_through_the_game(check: Callable[[int], str], monkeypatch: pytest.MonkeyPatch, record_property: Any) -> None:
    """Three and a half days of clock, as many of airgap, and a proof that matures meanwhile or, made two days later, after them."""
    import test_validation_withdrawals as withdrawals

    monkeypatch.setattr(withdrawals, "OP", GAME[:1])
    record_property("validation", check(1_000))
    assert SLOT == 12 / 3600


# ---- listed mistakes, injected


def test_quick_games_agree_too() -> None:
    equal("both stall, a tenth of the clock", quick(), 138_240 - 73 * SLOTS)
    assert quick(stalls=False) == 73 * SLOTS


def test_no_extension_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a clock that is out is out: 7 days."""
    monkeypatch.setattr(played, "extended", lambda clock, most, extension: clock)
    with pytest.raises(DisagreementError):
        equal("both stall", quick(), 138_240 - 73 * SLOTS)
    assert 0.9 * 60_480 < quick() <= 60_480


def test_an_extension_at_every_move_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: each move gains an extension, however much is left: who has never been slow gains a time that nobody has."""
    monkeypatch.setattr(played, "extended", lambda clock, most, extension: clock - extension)
    with pytest.raises(DisagreementError):
        equal("both stall", quick(), 138_240 - 73 * SLOTS)


def test_one_clock_for_both_sides_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: time is counted from the assertion on, whoever used it."""
    begun: list[int] = []

    def used(inherited: int, since: int, now: int, most: int) -> int:
        begun.append(since)
        return min((now - begun[0]) // 2, most)

    def out(inherited: int, since: int, most: int) -> int:
        begun.append(since)
        return begun[0] + 2 * most

    monkeypatch.setattr(played, "used", used)
    monkeypatch.setattr(played, "out", out)
    monkeypatch.setattr(played, "extended", lambda clock, most, extension: clock)
    with pytest.raises(DisagreementError):
        equal("both stall", quick(), 138_240 - 73 * SLOTS)


def test_flat_bonds_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from l2sim.settlement.dispute_game import DisputeGame

    monkeypatch.setattr(DisputeGame, "bond", lambda rules, depth: required_bond(0, 73, 200 * SECOND, 400_000, 300_000_000))
    with pytest.raises(DisagreementError):
        check_bonds()
