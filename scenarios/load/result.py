"""What a load run gave: second by second, and as a whole."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

PERCENTILES: Final = (50, 95, 99)


class Times:
    """Response times in milliseconds, as SIPp's clock gives them; exact, and small however many."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._counts: Counter[float] = Counter(values)

    def add(self, value: float) -> None:
        """One more."""
        self._counts[value] += 1

    def update(self, other: "Times") -> None:
        """All of another."""
        self._counts.update(other._counts)

    def __len__(self) -> int:
        """How many."""
        return self._counts.total()

    @property
    def mean(self) -> float:
        """Their average; raises ValueError without any."""
        if not self._counts:
            raise ValueError("no values")
        return sum(value * count for value, count in self._counts.items()) / len(self)

    def below(self, limit: float) -> int:
        """How many are less than this."""
        return sum(count for value, count in self._counts.items() if value < limit)

    def percentile(self, percent: float) -> float:
        """What so many percent of all do not exceed (nearest rank). Raises ValueError."""
        wanted = max(1, math.ceil(percent / 100 * len(self)))
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            if seen >= wanted:
                return value
        raise ValueError("no values")

    def summary(self) -> dict[str, float]:
        """Count, mean, percentiles and the longest, for the report; empty without any."""
        if not self._counts:
            return {}
        found = {f"p{one}": self.percentile(one) for one in PERCENTILES}
        return {"count": len(self), "mean": self.mean, **found, "max": max(self._counts)}


@dataclass(slots=True)
class Second:
    """One second of the run, from `at` seconds after its beginning.

    Calls: `planned` by the profile, `offered` by SIPp (calls begun), `completed` and `failed`
    (over), `active` at its end. `again` are messages that the callers sent again, `behind` those
    of the callee. Loads are shares of one core, of the busiest SIPp and of the server (None: not
    seen), `waits` what each was ready to run but had no core; `machine` is the share of all
    cores. Memory is in MB. `new_calls`, `refused` and `server_again` are the server's own counts
    of that second. `times` holds percentiles by timer, in milliseconds.
    """

    at: float
    planned: float = 0.0
    offered: float = 0.0
    completed: float = 0.0
    failed: float = 0.0
    again: float = 0.0
    behind: float = 0.0
    active: int = 0
    generator: float | None = None
    generator_waits: float | None = None
    generator_memory: float | None = None
    server: float | None = None
    server_waits: float | None = None
    server_memory: float | None = None
    machine: float | None = None
    new_calls: float | None = None
    refused: float | None = None
    server_again: float | None = None
    times: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole run, in calls; `seconds` is the length of its profile, `unfinished` what was not
    over when it ended, `again` the messages that the callers sent again, `came_again` those that
    came to them again (the server's), `behind` those that the callee sent again."""

    seconds: float
    planned: float
    offered: int
    completed: int
    failed: int
    unfinished: int = 0
    again: int = 0
    came_again: int = 0
    behind: int = 0

    @property
    def failed_share(self) -> float:
        """Of the calls offered, those that came to no good end."""
        return (self.failed + self.unfinished) / self.offered if self.offered else 0.0

    @property
    def again_share(self) -> float:
        """Messages sent again by anybody, for each call."""
        return self.sent_again / self.offered if self.offered else 0.0

    @property
    def sent_again(self) -> int:
        """By anybody: callers, server, callee."""
        return self.again + self.came_again + self.behind

    @property
    def rate(self) -> float:
        """Calls completed a second."""
        return self.completed / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who was `saturated` (generator, server, machine, none), and why we think so."""

    saturated: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A criterion: what was wanted, what came, and whether that will do."""

    name: str
    wanted: str
    came: str
    good: bool


@dataclass(slots=True)
class Result:
    """A run. `broken` says what ended it before its time; `settings` are its options, in words;
    `causes` of failures by count; `server` what the server counted meanwhile, by name;
    `tries` the rates that a search tried."""

    settings: Mapping[str, str]
    started: float
    totals: Totals
    seconds: list[Second]
    times: Mapping[str, Times]
    causes: Mapping[str, int]
    verdict: Verdict
    server: Mapping[str, float] = field(default_factory=dict)
    checks: list[Checked] = field(default_factory=list)
    broken: str = ""
    notes: list[str] = field(default_factory=list)
    tries: list[dict[str, Any]] = field(default_factory=list)
    limit: int = 0

    @property
    def good(self) -> bool:
        """Whether it went to its end and all criteria are met."""
        return not self.broken and all(check.good for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        totals = asdict(self.totals)
        totals |= {"rate": self.totals.rate, "failed_share": self.totals.failed_share}
        return {
            "settings": dict(self.settings),
            "started": self.started,
            "broken": self.broken,
            "verdict": asdict(self.verdict),
            "criteria": [asdict(check) for check in self.checks],
            "totals": totals,
            "times": {name: times.summary() for name, times in self.times.items()},
            "causes": dict(self.causes),
            "server": dict(self.server),
            "notes": self.notes,
            "tries": self.tries,
            "seconds": [asdict(second) for second in self.seconds],
        }
