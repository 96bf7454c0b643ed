import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from l2sim.streams import Streams, mix, mix_many

WORDS = st.integers(0, 2**64 - 1)


@given(WORDS, st.lists(st.integers(0, 2**63 - 1), max_size=20))
def test_mix_many_is_mix(key, indices):
    assert mix_many(key, np.array(indices, np.int64)).tolist() == [mix(key, index) for index in indices]


def test_mix_is_the_published_generator():
    # SplitMix64 with seed 1234567: https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    first = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431]
    assert [mix(1_234_567, i) for i in range(4)] == first


def test_a_stream_depends_on_seed_replication_name_and_index_only():
    first = Streams(7, 2)
    Streams(7, 2).generator("agents/keepers/0").random(1000)
    again = Streams(7, 2)
    again.generator("anything").random(10)
    assert first.generator("agents/keepers/3", 5).random(4).tolist() == again.generator("agents/keepers/3", 5).random(4).tolist()
    assert first.key("x") == again.key("x")


@settings(max_examples=25)
@given(st.integers(0, 2**40), st.integers(0, 1000), st.text(max_size=8), st.integers(0, 2**40))
def test_any_other_seed_replication_name_or_index_is_another_stream(seed, replication, name, index):
    draws = {
        Streams(s, r).generator(n, i).integers(0, 2**63)
        for s, r, n, i in (
            (seed, replication, name, index),
            (seed + 1, replication, name, index),
            (seed, replication + 1, name, index),
            (seed, replication, name + "'", index),
            (seed, replication, name, index + 1),
        )
    }
    assert len(draws) == 5


def test_names_do_not_run_into_each_other():
    assert Streams(1, 23).key("x") != Streams(12, 3).key("x")
    assert Streams(1, 2).key("3/x") != Streams(1, 23).key("x")


def test_neighbouring_streams_are_independent_and_uniform():
    streams = Streams(0)
    draws = np.array([streams.generator("crowd", i).random() for i in range(2000)])
    assert stats.kstest(draws, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / np.sqrt(len(draws))


def test_tie_keys_are_seeded_and_fair():
    streams = Streams(3)
    ties = streams.ties("arb", np.arange(100_000))
    assert ties.dtype == np.uint64
    assert ties.tolist() == Streams(3).ties("arb", np.arange(100_000)).tolist()
    assert len(np.unique(ties)) == len(ties)
    assert streams.ties("arb", np.array([7, 3])).tolist() == [ties[7], ties[3]]
    first = np.mean(ties[::2] < ties[1::2])
    assert abs(first - 0.5) < 4 * 0.5 / np.sqrt(len(ties) / 2)
