"""The verdict names who was at its end first, and nobody who kept up."""

from typing import Any

import pytest

from scenarios.load.result import Second, Totals
from scenarios.load.verdict import judge

CALM: dict[str, Any] = {
    "planned": 100, "offered": 100, "generator": 0.3, "server": 0.5, "machine": 0.4,
    "generator_waits": 0.0, "server_waits": 0.0,
}  # fmt: skip


def verdict(*trouble: dict[str, Any], limit: int = 0, lost: int = 0, **totals: Any) -> str:
    """After three calm seconds."""
    seconds = [Second(float(n), **CALM | more) for n, more in enumerate([{}, {}, {}, *trouble])]
    offered = int(sum(second.offered for second in seconds))
    planned = sum(second.planned for second in seconds)
    again = int(sum(second.again for second in seconds))
    whole = Totals(len(seconds), planned, offered, offered, 0, again=again, **totals)
    return judge(seconds, whole, limit=limit, lost=lost).saturated


def test_nobody_who_keeps_up_is_saturated() -> None:
    assert verdict({"server": 0.99, "generator": 0.95, "machine": 1.0}) == "none"


def test_a_call_that_is_missing_of_few_is_chance() -> None:
    few = [Second(float(n), **CALM | {"planned": 5, "offered": 4.8}) for n in range(5)]
    assert judge(few, Totals(5, 25, 24, 24, 0)).saturated == "none"


def test_the_server_has_no_more_to_give() -> None:
    assert verdict({"server": 0.97, "again": 30}) == "server"


def test_the_generator_cannot_place_what_is_planned() -> None:
    assert verdict({"generator": 0.98, "offered": 60}) == "generator"


def test_both_busy_it_is_the_server_as_long_as_all_calls_are_placed() -> None:
    assert verdict({"generator": 0.95, "server": 0.95, "again": 30}) == "server"


def test_both_busy_it_is_the_generator_where_calls_are_not_placed() -> None:
    assert verdict({"generator": 0.95, "server": 0.95, "offered": 60}) == "generator"


def test_the_first_trouble_counts() -> None:
    later = {"generator": 0.99, "server": 0.97, "offered": 50, "again": 90}
    first = {"server": 0.97, "again": 30}
    assert verdict(first, first, first, later, later) == "server"


def test_all_cores_are_busy() -> None:
    late = {"machine": 1.0, "again": 30, "server_waits": 0.5}
    assert verdict(late) == "machine"
    assert verdict(late | {"server_waits": 0.0}) == "machine"


def test_a_generator_without_a_core_to_run_on() -> None:
    assert verdict({"generator": 0.4, "generator_waits": 0.58, "offered": 40}) == "generator"


def test_a_server_without_a_core_to_run_on() -> None:
    assert verdict({"server": 0.3, "server_waits": 0.68, "again": 30}) == "server"


def test_who_never_rests_is_at_its_end_on_a_core_that_is_shared() -> None:
    busy = {"machine": 1.0, "again": 30}
    assert verdict(busy | {"generator": 0.78, "generator_waits": 0.21}) == "generator"
    assert verdict(busy | {"server": 0.78, "server_waits": 0.21}) == "server"
    assert verdict(busy | {"server": 0.5, "server_waits": 0.48}) == "machine"


def test_a_generator_that_is_held_back_by_something_else() -> None:
    assert verdict({"generator": 0.2, "offered": 40}) == "generator"


def test_calls_are_held_back_by_a_server_that_does_not_end_them() -> None:
    assert verdict({"offered": 40, "active": 500}, limit=500) == "server"


@pytest.mark.parametrize("more", [{"lost": 50}, {"unfinished": 9}])
def test_a_server_that_turns_calls_away_or_leaves_them(more: dict[str, int]) -> None:
    assert verdict({"server": 0.2}, **more) == "server"


def test_what_is_not_seen_is_not_blamed() -> None:
    """A server elsewhere: by what the callers see."""
    assert verdict({"server": None, "machine": 0.3, "again": 30}) == "server"


def test_without_calls_there_is_none() -> None:
    nothing = judge([], Totals(1, 0, 0, 0, 0))
    assert (nothing.saturated, nothing.reasons) == ("none", ("no call was placed",))


def test_the_reasons_give_the_figures() -> None:
    seconds = [Second(0.0, **CALM | {"server": 0.97, "again": 30})]
    found = judge(seconds, Totals(1, 100, 100, 100, 0, again=30))
    assert found.reasons == (
        "from second 0 on 100 of 100 planned calls were placed",
        "the server had no more of its core to give",
        "at most: the busiest SIPp 30% of a core, the server 97% of a core, "
        "the machine 40% of all cores",
    )
