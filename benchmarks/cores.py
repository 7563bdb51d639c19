"""Cores of their own for the server and for what makes the load, when the run asks for it.

The last core is the server's, the others are the generators' and the callee's behind it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Side(Enum):
    """Who is started."""

    SERVER = "server"
    GENERATOR = "generator"


_sides: dict[Side, set[int]] = {}


def pin() -> None:
    """From now on, keep the sides apart. Raises ValueError where there is one core only."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ValueError("--pin: there is one core only, and the sides need one each")
    _sides.update({Side.SERVER: {cores[-1]}, Side.GENERATOR: set(cores[:-1])})


def unpin() -> None:
    """From now on, everything may run anywhere."""
    _sides.clear()


@contextmanager
def placed(side: Side) -> Iterator[None]:
    """What is started within, with all its threads, runs on the cores of this side."""
    if not _sides:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _sides[side])  # a new process takes it over before its first thread
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def generator_cores() -> int:
    """How many cores the generators can have: one is the server's."""
    return max(1, len(os.sched_getaffinity(0)) - 1)
