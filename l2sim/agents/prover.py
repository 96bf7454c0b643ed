"""Prover: makes validity proofs for those who need them, at a price."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.part import Refers
from l2sim.streams import mix
from l2sim.units import ETH, HOUR, SECOND, Duration, Fraction, NotNegative, Quantity, Share, Usd, Wei

if TYPE_CHECKING:
    from l2sim.world.seat import Seat

GIGA = 1e9


class Prover(Agent):
    """Owns machines, each of which makes one proof at a time, for a rollup whose ``validity_proof`` has a ``market``.

    A machine that is free takes the oldest job that it may. What it costs is paid at the beginning, what it earns on delivery; where
    an attempt fails, the machine begins anew.
    """

    needs: ClassVar[str] = "market"

    on: Annotated[str, Refers("chains", kind="rollup", has="settlement")]
    """The rollup whose proofs it makes."""
    machines: Annotated[int, Field(ge=1)] = 1
    """Proofs that it makes at the same time."""
    proving_time: Annotated[Distribution, In("duration")] = Constant(value=Quantity(float(HOUR), "duration"))
    """Time that a proof takes whatever is in it (assumed; about an hour for a batch of ZKsync). A proof has the same luck with
    whichever machine."""
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Cycles that a machine proves a second (28 million, if 100 bn take an hour, as Kailua's documentation says); without it, what is in
    a proof makes no difference. Takes ``cycles_per_gas`` or ``cycles_per_block`` of the market."""
    cost: Annotated[Usd, NotNegative] = 0.0
    """What an attempt costs it in machines and power, US dollars."""
    cost_per_gigacycle: Annotated[Usd, NotNegative] = 0.0
    """The same for each 10^9 cycles (1 USD, if 100 bn cost 100 USD, as Kailua's documentation says)."""
    markup: Annotated[Fraction, NotNegative] = 0.2
    """What it asks above its cost, as a share of it (assumed)."""
    price: Annotated[Usd, NotNegative] | None = None
    """What it asks for a proof; without it, its cost and the ``markup``."""
    failure: Annotated[Fraction, Share] = 0.0
    """Probability that an attempt comes to nothing, which shows at its end (assumed)."""
    notice: Duration = 0
    """Time from a job to the beginning of work on it (assumed)."""
    funds: Wei = 100 * ETH
    """Ether that it brings to L1 for its stakes and its costs."""

    @model_validator(mode="after")
    def _delivers(self) -> Self:
        if self.failure >= 1.0:
            raise PydanticCustomError("failure", "'failure' is below 1: a prover that always fails never comes to an end")
        return self

    def arrive(self, me: "Seat") -> None:
        me.endow(me.settlement(self.on).l1, me.gas_token, self.funds / ETH)

    def run(self, me: "Seat") -> Waiting:
        docket = me.settlement(self.on)
        market = docket.contract
        if market is None or not hasattr(market, "desk"):
            raise ValueError(f"nobody buys proofs for '{self.on}': give its settlement, of kind 'validity_proof', a 'market'")
        desk = market.desk(docket.side(), self.machines, int(me.luck("desk", 0) * 2.0**63))
        asked = 1.0 + self.markup
        desk.ask(self.cost * asked if self.price is None else self.price, self.cost_per_gigacycle * asked if self.price is None else 0.0)
        for _ in range(1, self.machines):
            me.start(self._machine(me, desk))
        yield from self._machine(me, desk)

    def _machine(self, me: "Seat", desk: Any) -> Waiting:
        docket = me.settlement(self.on)
        while True:
            work = yield desk.hire()
            while not work.over.triggered:
                took = self.notice + self._time(me, work)
                wei = int((self.cost + self.cost_per_gigacycle * work.job.cycles / GIGA) / work.ether * ETH)
                work.attempts += 1
                work.spent += wei / ETH
                if wei:
                    docket.spend(wei)
                yield me.any(me.sleep(took), work.over)
                if work.over.triggered:
                    break
                if not self.failure or me.luck("failure", mix(work.job.key, work.attempts)) >= self.failure:
                    desk.deliver(work)
                    break

    def _time(self, me: "Seat", work: Any) -> int:
        """How long an attempt takes (ns)."""
        luck = max(mix(int(work.job.key), work.attempts) / 2.0**64, 2.0**-54)
        base = float(self.proving_time.quantile(np.array([luck]))[0])
        return round(base + (work.job.cycles / self.speed * SECOND if self.speed else 0.0))
