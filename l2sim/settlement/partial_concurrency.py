"""Partial concurrency: rival stakers argue in pairs, each with one other at a time, as before BoLD."""

from l2sim.settlement.bold.duels import DuelContract, _Duelling


class Crowded(DuelContract):
    """Several may stake on the same claim."""

    crowded = True


class PartialConcurrency(_Duelling):
    """An assertion is final when a challenge period has passed and no staker on a rival one is left.

    The first Arbitrum protocol, as the BoLD paper (arXiv 2404.10491) describes it. A staker is in one challenge at a time, one against
    one, and each has a clock of its own for it. So one honest staker meets malicious ones one after the other, and every one of
    these delays by what is on its clock, and on the honest one's where that is kept from L1. Only the staker itself may move.
    """

    contract = Crowded
