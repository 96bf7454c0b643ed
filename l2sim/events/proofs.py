"""What happens to validity proofs: who asks for them, who makes them, what becomes of them; money in ETH, times in ns."""

from typing import NamedTuple


class ProverOpened(NamedTuple):
    """A prover offers so many machines."""

    chain: str
    prover: int
    machines: int


class ProofRequested(NamedTuple):
    """Somebody asks the provers for a proof, of an assertion or (-1) of something of their own; ``cycles`` is how much work it is."""

    chain: str
    job: int
    assertion: int
    account: int
    cycles: float


class ProofMade(NamedTuple):
    """A prover delivered a proof and got its price. ``spent`` is what all its attempts cost it, of which there were ``attempts``."""

    chain: str
    job: int
    assertion: int
    account: int
    prover: int
    requested: int
    begun: int
    attempts: int
    price: float
    spent: float


class ProofLost(NamedTuple):
    """A prover's work since ``begun`` was in vain: ``why`` is ``stopped`` (its machines went down) or ``late`` (another was faster)."""

    chain: str
    job: int
    prover: int
    begun: int
    spent: float
    why: str


class ProverFined(NamedTuple):
    """A prover that did not deliver what it took on lost its stake to whoever had asked."""

    chain: str
    job: int
    prover: int
    account: int
    amount: float


class ProofPaid(NamedTuple):
    """Whoever made an assertion paid for making its proof itself: machines and power, which nobody in the model sells."""

    chain: str
    assertion: int
    account: int
    cost: float


class ProofsVerified(NamedTuple):
    """L1 verified the proofs of so many assertions at once; ``last`` is the newest of them, ``cost`` the gas, which ``account`` paid."""

    chain: str
    last: int
    number: int
    gas: int
    cost: float
    account: int
