"""How cost grows with length, measured so that a busy machine cannot spoil it."""

from collections.abc import Callable

_ATTEMPTS = 10


def least_growth(long: Callable[[], float], short: Callable[[], float], limit: float) -> float:
    """How many times the cost of `short` that of `long` is: the least of several attempts.

    Both give CPU seconds. The first attempt below `limit` is the last: what disturbs one
    (another process on the same core) does not disturb all, what is quadratic fails in each.
    """
    least = float("inf")
    for _ in range(_ATTEMPTS):
        cost = long()
        least = min(least, cost / max(min(short() for _ in range(3)), 1e-9))
        if least < limit:
            break
    return least
