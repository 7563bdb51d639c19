"""Identifiers come from the source that is given, and from nothing else."""

from random import Random

from sip.ids import IdSource
from sip.message import MAGIC_COOKIE


def test_a_seed_decides() -> None:
    one, other = (IdSource(Random(5).randbytes) for _ in range(2))
    assert [one.tag() for _ in range(900)] == [other.tag() for _ in range(900)]


def test_shapes() -> None:
    ids = IdSource(Random(5).randbytes)
    assert len(ids.tag()) == 10
    assert ids.tag().startswith("ds")
    assert ids.branch().startswith(MAGIC_COOKIE)
    assert len(ids.branch()) == len(MAGIC_COOKIE) + 16
    assert len(ids.hex(32)) == 32


def test_nothing_repeats_where_the_pool_is_filled_again() -> None:
    ids = IdSource(Random(5).randbytes)
    branches = {ids.branch() for _ in range(5000)}
    assert len(branches) == 5000


def test_below() -> None:
    ids = IdSource(Random(5).randbytes)
    drawn = {ids.below(11) for _ in range(500)}
    assert drawn == set(range(11))
