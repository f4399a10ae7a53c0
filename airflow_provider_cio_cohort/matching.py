"""When a match rate is low: for the log of a run, the page, and the alerts."""

from __future__ import annotations

#: Below this share of matched identifiers something is wrong with the mapping, or the people come to
#: Customer.io by no other way.
LOW_MATCH_RATE = 0.5
#: A cohort of up to so many identifiers says nothing, for a handful decides.
A_FEW = 20


def is_low(rate: float | None, identifiers: int | None) -> bool:
    """
    Say whether a match rate is low.

    :param rate: the share of the cohort's identifiers that exist in Customer.io, 0 to 1; ``None`` if that is
        not known.
    :param identifiers: how many there are; ``None`` if that is not known.
    """
    return rate is not None and rate < LOW_MATCH_RATE and (identifiers is None or identifiers > A_FEW)
