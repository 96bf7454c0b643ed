"""Numbers in words: units, digits, signs, and what an interval allows to say."""

from math import inf, nan

import pytest

from l2sim.report.glossary import inline, paragraphs
from l2sim.statistics.intervals import Interval
from l2sim.wording import amount, decimals, estimate, is_clear, label, listed, number, phrase, scale, span, unit_of, verdict


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u2212", "-")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (768.0, "s", "12.8 min"),
        (0.0042, "s", "4.20 ms"),
        (0.0, "s", "0 s"),
        (95.0, "s", "95 s"),
        (954.0, "s", "15.9 min"),
        (60.0, "s", "1 min"),
        (3600.0, "s", "1 h"),
        (-3600.0, "s", "-1 h"),
        (5400.0, "s", "90 min"),
        (7200.0, "s", "2 h"),
        (86_400.0, "s", "1 d"),
        (129_600.0, "s", "36 h"),
        (6.4 * 86400, "s", "6.40 d"),
        (12_345.678, "USD", "12 300 USD"),
        (1_234.0, "USD", "1 234 USD"),
        (-1_250_000.0, "USD", "-1.25 MUSD"),
        (3.2e9, "USD", "3.20 bnUSD"),
        (0.0000012345, "USD", "1.23 µUSD"),
        (0.0, "USD", "0 USD"),
        (2.5e-9, "ETH", "2.50 gwei"),
        (0.0321, "%", "3.21 %"),
        (9.87654, "1/s", "9.88 /s"),
        (1_200_000.0, "gas/s", "1.20 Mgas/s"),
        (17.0, "", "17"),
        (nan, "USD", "–"),
        (inf, "", "∞"),
    ],
)
def test_a_quantity_in_words(value: float, unit: str, text: str) -> None:
    assert plain(amount(value, unit)) == text


def test_a_quantity_in_the_unit_of_another() -> None:
    assert plain(amount(33_000.0, "USD", like=1.2e6)) == "0.0330 MUSD"
    assert plain(amount(330.0, "USD", like=1.2e6)) == "330 USD"  # in MUSD it would be lost
    assert plain(amount(3600.0, "s", like=4500.0)) == "60 min"
    assert scale("s", 3600.0) == (60.0, "min"), "an axis up to an hour has ticks in minutes"


@pytest.mark.parametrize(
    ("value", "spread", "places"),
    # The Particle Data Group's examples, Review of Particle Physics 2024, introduction, section 5.3:
    # 0.827 ± 0.119 becomes 0.83 ± 0.12, 0.827 ± 0.367 becomes 0.8 ± 0.4.
    [(0.827, 0.119, 2), (0.827, 0.367, 1), (135_537.0, 12_571.0, -3), (1.0, 0.0, 0), (0.5, nan, 3), (1234.5, nan, -1)],
)
def test_digits_follow_the_uncertainty(value: float, spread: float, places: int) -> None:
    assert decimals(value, spread) == places


def test_a_given_duration_has_no_idle_digits() -> None:
    assert [plain(span(ns)) for ns in (130 * 60 * 10**9, 3600 * 10**9, 90 * 60 * 10**9, 60 * 10**9, 2 * 10**6, 3_280_000, 30 * 10**9)] == [
        "2 h 10 min",
        "1 h",
        "1 h 30 min",
        "1 min",
        "2 ms",
        "3.28 ms",
        "30 s",
    ]


def test_an_interval_has_the_unit_and_the_digits_of_its_mean() -> None:
    assert plain(phrase(Interval(768.0, 672.0, 864.0, 8), "s")) == "12.8 min [11.2, 14.4]"
    assert plain(phrase(Interval(-135_537.0, -148_109.0, -122_966.0, 6), "USD", signed=True)) == "-136 000 USD [-148 000, -123 000]"
    assert plain(phrase(Interval(3.0, nan, nan, 1), "s", signed=True)) == "+3 s"
    assert estimate(Interval(nan, nan, nan, 0)) == ("–", "")
    assert plain(number(0.0, 2, signed=True)) == "0.00"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Interval(1.0, 0.5, 1.5, 8), ""),
        (Interval(-1.0, -1.5, -0.5, 8), ""),
        (Interval(1.0, -0.5, 2.5, 8), "indistinguishable from zero"),
        (Interval(0.0, 0.0, 0.0, 8), "the same in every replication"),
        (Interval(1.0, nan, nan, 1), "one replication, so no interval"),
        (Interval(nan, nan, nan, 0), "nothing to compare"),
    ],
)
def test_what_an_interval_says(found: Interval, said: str) -> None:
    assert verdict(found) == said
    assert is_clear(found) == (said == "")


def test_a_ratio_is_compared_with_one() -> None:
    assert verdict(Interval(1.1, 0.9, 1.3, 8), "one") == "indistinguishable from one"
    assert verdict(Interval(1.2, 1.1, 1.3, 8), "one") == ""


def test_figures_have_names() -> None:
    assert label("finality.arb.finalized_mean", "time_to_finality") == "arb: final after, mean"
    assert label("profit.groups.longs.profit", "profit_and_loss") == "longs: profit"
    assert label("mine.some_p50", "of_another_package") == "some median"
    assert unit_of("throughput.arb.dropped_share", "") == "%"
    assert unit_of("cascade.price_drop", "") == "%"
    assert unit_of("cascade.positions", "") == ""
    assert scale("furlong", 5.0) == (1.0, "furlong")
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_docstrings_become_text() -> None:
    assert inline("a < b, ``x*y`` and **bold** & *soft*") == "a &lt; b, <code>x*y</code> and <strong>bold</strong> &amp; <em>soft</em>"
    assert paragraphs("One\ntwo.\n\n- a\n- b\n  c") == "<p>One two.</p><ul><li>a</li><li>b c</li></ul>"


def test_rounding_is_no_money() -> None:
    assert amount(3e-13, "USD") == amount(0.0, "USD")
    assert phrase(Interval(1e-14, -2e-14, 4e-14, 5), "USD") == phrase(Interval(0.0, 0.0, 0.0, 5), "USD")
    assert amount(5e-8, "USD") != amount(0.0, "USD")
