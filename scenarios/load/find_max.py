"""The highest clean rate: by bisection, each rate tried for some seconds, two of three count."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from scenarios.load.bisection import Found, search, two_of_three
from scenarios.load.result import Result
from scenarios.load.verdict import MOST_REPEATED, short

LEAST: Final = 1.0

Try = Callable[[float], Result]


def clean(result: Result) -> bool:
    """Whether all calls were placed and went well, with next to nothing sent again."""
    totals = result.totals
    return (
        not result.broken
        and totals.offered > 0
        and not totals.failed
        and not totals.unfinished
        and totals.again_share <= MOST_REPEATED
        and not short(totals)
    )


class Search:
    """Tries rates by `attempt`, beginning with `start`, at most `most`. A run that broke off ends
    the search."""

    def __init__(self, attempt: Try, start: float, most: float) -> None:
        self._attempt = attempt
        self.results: list[Result] = []
        self.tries: list[dict[str, Any]] = []
        self.found = self._search(start, most)

    def _search(self, start: float, most: float) -> Found:
        return search(
            lambda rate: two_of_three(lambda: self._try(rate)), start, least=LEAST, most=most
        )

    def _try(self, rate: float) -> bool:
        if self.broken:
            return False
        result = self._attempt(rate)
        self.results.append(result)
        good = clean(result)
        self.tries.append(
            {
                "rate": rate,
                "clean": good,
                "failed": result.totals.failed + result.totals.unfinished,
                "again": result.totals.sent_again,
                "saturated": result.verdict.saturated,
            }
        )
        return good

    @property
    def broken(self) -> str:
        """What ended the last run before its time."""
        return self.results[-1].broken if self.results else ""

    @property
    def limited_by(self) -> str:
        """Who was saturated at the lowest rate that was not clean, in most of its tries."""
        if self.found.bad is None:
            return "limit"
        at = [one for one in self.tries if one["rate"] == self.found.bad and not one["clean"]]
        counts = Counter(one["saturated"] for one in at if one["saturated"] != "none")
        return counts.most_common(1)[0][0] if counts else "none"

    def best(self) -> Result:
        """The last clean run at the rate that was found; the last of all, where none was clean."""
        pairs = zip(self.results, self.tries, strict=True)
        good = [one for one, tried in pairs if tried["rate"] == self.found.good and tried["clean"]]
        return good[-1] if good else self.results[-1]
