"""The search for the highest clean rate, on a server that is clean up to a rate."""

import pytest

from scenarios.load.find_max import Search, clean
from scenarios.load.result import Result, Totals, Verdict
from tests.scenarios.load.support import result


def server(most: float, who: str = "server", breaks: bool = False) -> Search:
    def attempt(rate: float) -> Result:
        failed = 0 if rate <= most else 5
        totals = Totals(1.0, 100.0, 100, 100 - failed, failed)
        verdict = Verdict(who if failed else "none", ())
        return result(totals=totals, verdict=verdict, broken="it ended" if breaks else "")

    return Search(attempt, 10.0, 1000.0)


@pytest.mark.parametrize("most", [1, 9, 37, 240, 870])
def test_it_finds_the_edge(most: float) -> None:
    search = server(most)
    assert most / 1.06 - 10 <= search.found.good <= most
    assert clean(search.best())
    assert search.limited_by == "server"


def test_it_says_who_was_saturated_above() -> None:
    assert server(100, "generator").limited_by == "generator"
    assert server(1000).limited_by == "limit"


def test_a_server_that_is_clean_at_no_rate() -> None:
    search = server(0)
    assert search.found.good == 0
    assert not clean(search.best())


def test_a_run_that_broke_off_ends_it() -> None:
    search = server(100, breaks=True)
    assert len(search.results) == 1
    assert search.broken == "it ended"


@pytest.mark.parametrize(
    "totals",
    [
        Totals(1.0, 100.0, 100, 99, 1),
        Totals(1.0, 100.0, 100, 99, 0, unfinished=1),
        Totals(1.0, 100.0, 100, 100, 0, came_again=1),
        Totals(1.0, 100.0, 96, 96, 0),
        Totals(1.0, 100.0, 0, 0, 0),
    ],
)
def test_what_is_not_clean(totals: Totals) -> None:
    assert not clean(result(totals=totals))
