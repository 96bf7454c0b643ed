"""Chance, found by name: a stream depends only on (seed, replication, name), never on who asked first."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix(key: int, index: int) -> int:
    """A well-scrambled 64-bit integer from a key and an index (the finalizer of SplitMix64).

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """
    z = (key + (index + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def mix_many(key: int, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """``mix`` for an array of indices, element by element the same numbers."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Streams:
    """The source of all chance in one replication."""

    def __init__(self, seed: int, replication: int = 0) -> None:
        self.seed = seed
        self.replication = replication
        self._root = f"{seed}/{replication}/".encode()

    def key(self, name: str) -> int:
        """A 64-bit key for a name such as ``agents/keepers/3``."""
        return int.from_bytes(blake2b(self._root + name.encode(), digest_size=8).digest(), "little")

    def generator(self, name: str, index: int = 0) -> np.random.Generator:
        """A generator for a name and an index (a chunk, a decision, an instant): the same for the same pair, whenever asked."""
        return np.random.Generator(np.random.Philox(key=self.key(name) + (index << 64)))

    def ties(self, name: str, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
        """Seeded tie keys, one for each index: who goes first among simultaneous arrivals."""
        return mix_many(self.key(f"ties/{name}"), indices)


def arrivals(rng: np.random.Generator, rate: float, start: int, span: int) -> npt.NDArray[np.int64]:
    """Instants of a Poisson process of ``rate`` a second in the ``span`` ns from ``start``, increasing, in ns.

    Given their number, they are the order statistics of uniform ones: partial sums of exponentials over their total (Rényi).
    """
    n = int(rng.poisson(rate * span / 1e9))
    sums = np.cumsum(rng.standard_exponential(n + 1))
    instants: npt.NDArray[np.int64] = start + (sums[:-1] / sums[-1] * span).astype(np.int64)
    return instants
