"""The highest rate that is still good, found in few tries."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """The highest rate that was good, zero if none was, and the lowest above it that was not;
    None where `most` was good."""

    good: float
    bad: float | None


def search(
    is_good: Callable[[float], bool],
    start: float,
    *,
    step: float = 2.0,
    precision: float = 1.05,
    least: float = 10.0,
    most: float = 40_000.0,
) -> Found:
    """Go up or down from `start` by the factor `step` until the edge is between two rates,
    and halve that in logarithms until they are within the factor `precision`.

    Rates are whole tens, or whole numbers below 100.
    """
    good, bad = 0.0, math.inf
    rate = _whole(min(max(start, least), most))
    while True:
        if is_good(rate):
            good = rate
            if rate >= most:
                return Found(good, None)
        else:
            bad = rate
            if rate <= least:
                return Found(0.0, bad)
        if bad <= good * precision:
            return Found(good, bad)
        if bad == math.inf:
            rate = min(_whole(good * step), most)
        elif not good:
            rate = max(_whole(bad / step), least)
        else:
            rate = _whole(math.sqrt(good * bad))
        if rate in (good, bad):  # nothing whole is left between them
            return Found(good, bad)


def _whole(rate: float) -> float:
    return float(round(rate, -1) if rate >= 100 else round(rate))


def two_of_three(attempt: Callable[[], bool]) -> bool:
    """Whether two of at most three attempts succeed."""
    outcomes = [attempt(), attempt()]
    if outcomes[0] != outcomes[1]:
        return attempt()
    return outcomes[0]
