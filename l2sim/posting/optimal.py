"""The policy that costs least, as a yardstick for the others.

The trade-off is that of Mamageishvili and Felten, "Efficient rollup batch posting strategy on Ethereum" (2022): a batch that waits costs
its users' time, one that goes costs fees, and what fees are tomorrow is uncertain. Here it is solved as a Markov decision process by
policy iteration (Howard 1960), over levels of fees by Rouwenhorst (1995, in Cooley, ed., Frontiers of Business Cycle Research, ch. 10),
whose chain has the variance and the autocorrelation of the autoregression at any step (Kopecky and Suen 2010, Review of Economic Dynamics
13, 701-714). Methods that integrate over the innovations, such as Tauchen's (1986), stand still where a step is short.
"""

from math import expm1, sqrt
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.posting import Look, Posting, Terms
from l2sim.units import ETH, GWEI, HOUR, SECOND, Bytes, Duration, Frequency, Positive, Usd, Wei

Floats = npt.NDArray[np.float64]


class Plan(NamedTuple):
    """From how many bytes on it posts."""

    levels: Floats
    """Fees relative to the usual ones, increasing."""
    least: tuple[int, ...]
    """Bytes from which it posts at each level."""
    cost: float
    """What waiting and posting cost together by its reckoning, US dollars a second."""


class Optimal(Posting):
    """Posts where that costs less, in the long run, than to wait: a best response to a known rate of arrivals and a known law of fees.

    What waits grows evenly, execution and blob fees move together, and their logarithm is a stationary autoregression of the first order.
    The state is how much waits and the level of fees; the cost is that of waiting and of posting. At a constant fee the solution is a
    size; where fees move it is a size for each level. A batch goes at ``max_delay`` at the latest.
    """

    rate: Annotated[Frequency, Positive]
    """Transactions that come."""
    size: Annotated[Bytes, Positive]
    """Bytes of each in a batch."""
    delay_cost: Annotated[Usd, Positive]
    """What it costs that a transaction waits for an hour, US dollars."""
    ether: Annotated[Usd, Positive] = 3000.0
    """What an ether is worth, US dollars, when it makes its plan."""
    base_fee: Wei = GWEI
    """The usual execution base fee, wei per gas."""
    blob_fee: Wei = 1
    """The usual blob base fee, wei per blob gas."""
    deviation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Standard deviation of the logarithm of fees; 0 where they never change."""
    reversion: Annotated[Duration, Positive] = HOUR
    """Time in which a departure from the usual fees falls to 1/e."""
    levels: Annotated[int, Field(ge=2, le=51)] = 9
    """Levels of fees that it tells apart."""
    steps: Annotated[int, Field(ge=10, le=5000)] = 1000
    """Sizes of a batch that it tells apart, up to a full one."""

    def prepare(self, terms: Terms) -> Plan:
        """Solve the decision process."""
        each = terms.full / self.steps
        wait = each / (self.rate * self.size)
        levels, moves = self._fees(wait)
        sizes = each * np.arange(1, self.steps + 1)
        at_once = [terms.cost(int(size), self.base_fee, self.blob_fee) for size in sizes]
        posting = (np.outer(np.array(at_once, np.float64), levels) + terms.tip * terms.gas) / ETH * self.ether
        # While the batch grows from one size to the next, the mean of both waits.
        waiting = self.delay_cost / 3600.0 * (sizes - 0.5 * each) / self.size * wait
        post, cost = policy_iteration(posting, waiting, moves, wait)
        least = tuple(int(np.ceil(sizes[np.argmax(post[:, level])])) for level in range(len(levels)))
        return Plan(levels, least, cost)

    def _fees(self, step: float) -> tuple[Floats, Floats]:
        """Levels of fees relative to the usual ones, and the probabilities to move between them in a step (seconds): Rouwenhorst (1995).

        Levels are evenly spaced in the logarithm, sqrt(n - 1) standard deviations to either side, and each is the sum of n - 1 equal
        coins, of which one turns over in a step with half of what the step forgets.
        """
        if not self.deviation:
            return np.ones(1), np.ones((1, 1))
        turns = -expm1(-step * SECOND / self.reversion) / 2.0
        moves: Floats = np.ones((1, 1))
        for coins in range(1, self.levels):
            wider = np.zeros((coins + 1, coins + 1))
            wider[:-1, :-1] += (1.0 - turns) * moves
            wider[:-1, 1:] += turns * moves
            wider[1:, :-1] += turns * moves
            wider[1:, 1:] += (1.0 - turns) * moves
            wider[1:-1] /= 2.0
            moves = wider
        reach = sqrt(self.levels - 1)
        return np.exp(self.deviation * np.linspace(-reach, reach, self.levels)), moves

    def ripe(self, terms: Terms, plan: Any) -> tuple[int, int]:
        return min(plan.least), terms.max_delay

    def posts(self, look: Look, terms: Terms, plan: Any) -> bool:
        usual = terms.cost(terms.full, self.base_fee, self.blob_fee)
        fees = terms.cost(terms.full, look.base_fee, look.blob_fee) / usual if usual else 1.0
        level = int(np.abs(np.log(plan.levels) - np.log(max(fees, 1e-12))).argmin())
        return look.unsent >= plan.least[level] or look.now - look.oldest >= terms.max_delay


def policy_iteration(posting: Floats, waiting: Floats, moves: Floats, step: float) -> tuple[npt.NDArray[np.bool_], float]:
    """Where to post, and the least mean cost by second.

    Args:
        posting: cost of a batch by its size (rows) and the level of fees (columns), at the last size of which it goes.
        waiting: cost of a step that ends at each size.
        moves: probabilities to go from a level to another in a step.
        step: seconds between two sizes.
    """
    sizes, levels = posting.shape
    post = np.zeros((sizes, levels), bool)
    post[-1] = True
    while True:
        # Values are affine in those of an empty queue, one for each level, and in the mean cost, which are found at the end.
        at_empty = np.zeros((levels, levels + 2))
        at_empty[:, 1 : levels + 1] = np.eye(levels)
        continued = np.zeros((sizes, levels, levels + 2))
        value = at_empty
        for k in range(sizes - 1, -1, -1):
            gone = at_empty.copy()
            gone[:, 0] += posting[k]
            value = np.where(post[k][:, None], gone, continued[k])
            before = moves @ value
            before[:, 0] += waiting[k]
            before[:, -1] -= step
            if k:
                continued[k - 1] = before
        # The value of an empty queue is what follows from it; the first level's is 0.
        system = np.zeros((levels + 1, levels + 1))
        system[:levels, :levels] = np.eye(levels) - before[:, 1 : levels + 1]
        system[:levels, -1] = -before[:, -1]
        system[-1, 0] = 1.0
        solved = np.linalg.solve(system, np.append(before[:, 0], 0.0))
        worth = np.append(1.0, solved)
        better = posting + solved[:levels] <= continued @ worth
        better[-1] = True
        if (better == post).all():
            return post, float(solved[-1])
        post = better
