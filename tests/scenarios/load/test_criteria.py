"""Criteria: what is asked for, what came, and what will do."""

import pytest

from scenarios.load.criteria import (
    Most,
    duration,
    max_failed,
    max_growth,
    max_retransmissions,
    max_time,
    megabytes,
    milliseconds,
    min_rate,
)
from scenarios.load.result import Totals
from tests.scenarios.load.support import result


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("500ms", 0.5), ("30m", 1800), ("8h", 28_800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5 d", "-1", "0", "1e3", "nan", "inf", "٣"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not such as|must be more"):
        duration(text)


def test_units() -> None:
    assert (milliseconds("50"), milliseconds("50ms"), milliseconds("0.2s")) == (50, 50, 200)
    assert (megabytes("50"), megabytes("50MB"), megabytes("1GB")) == (50, 50, 1000)


@pytest.mark.parametrize(
    ("text", "good"), [("0", False), ("1", True), ("10%", True), ("9.9%", False), ("0.1%", False)]
)
def test_failed_calls_by_number_and_by_share(text: str, good: bool) -> None:
    check = max_failed(Most.parse(text))(result())
    assert (check.name, check.good) == ("max-failed", good)
    assert check.came == "1 of 10 calls (10.00%)"


def test_calls_that_are_not_over_have_failed() -> None:
    totals = Totals(2.0, 10.0, 10, 8, 0, unfinished=2)
    assert not max_failed(Most.parse("1"))(result(totals=totals)).good


def test_messages_sent_again_by_anybody_count() -> None:
    totals = Totals(2.0, 10.0, 10, 10, 0, again=1, came_again=2, behind=3)
    assert max_retransmissions(Most.parse("6"))(result(totals=totals)).good
    assert not max_retransmissions(Most.parse("5"))(result(totals=totals)).good


@pytest.mark.parametrize(("rate", "good"), [(4.5, True), (4.6, False)])
def test_calls_completed_a_second(rate: float, good: bool) -> None:
    assert min_rate(rate)(result()).good is good


@pytest.mark.parametrize(
    ("percent", "most", "good"), [(50, 3, True), (99, 8, True), (99, 7, False)]
)
def test_response_times(percent: int, most: float, good: bool) -> None:
    assert max_time("answer", percent, most)(result()).good is good


def test_a_time_that_was_not_seen_is_not_met() -> None:
    check = max_time("refer", 99, 1000)(result())
    assert not check.good
    assert "REFER to the last NOTIFY" in check.came


@pytest.mark.parametrize(("most", "good"), [(4.0, True), (3.9, False)])
def test_growth_of_memory(most: float, good: bool) -> None:
    assert max_growth(most)(result()).good is good


def test_growth_that_was_not_seen_is_not_met() -> None:
    assert not max_growth(1000)(result(seconds=[])).good
