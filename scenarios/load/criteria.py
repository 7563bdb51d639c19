"""Pass and fail: what a run must keep to, each a test case of the JUnit XML."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from scenarios.load.result import PERCENTILES, Checked, Result
from scenarios.load.timers import ANSWER, NAMES, REFER, RINGING, TERMINATE

TIMERS: Final = (RINGING, ANSWER, REFER, TERMINATE)

Check = Callable[[Result], Checked]

_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%]*)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES: Final = {"": 1.0, "mb": 1.0, "gb": 1000.0, "kb": 0.001}


def _parts(text: str, units: Mapping[str, float], example: str) -> float:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        raise ValueError(f"{text!r} is not such as {example}")
    return float(found[1]) * units[found[2].lower()]


def duration(text: str) -> float:
    """Seconds: ``90``, ``90s``, ``30m``, ``8h``. Raises ValueError."""
    seconds = _parts(text, _SECONDS, "60, 90s, 30m or 8h")
    if seconds <= 0:
        raise ValueError(f"{text!r} must be more than 0")
    return seconds


def milliseconds(text: str) -> float:
    """Milliseconds: ``50ms``, ``0.2s``; without a unit they are milliseconds. Raises ValueError."""
    return _parts(text, {"": 1.0, "ms": 1.0, "s": 1000.0}, "50ms or 0.2s")


def megabytes(text: str) -> float:
    """MB: ``50MB``, ``1GB``; without a unit they are MB. Raises ValueError."""
    return _parts(text, _BYTES, "50MB")


@dataclass(frozen=True, slots=True)
class Most:
    """A count, or a share of all calls: ``10``, ``0.1%``."""

    value: float
    share: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> "Most":
        """Raises ValueError."""
        value = _parts(text, {"": 1.0, "%": 0.01}, "10 or 0.1%")
        return cls(value, text.strip().endswith("%"), text.strip())

    def allows(self, count: int, calls: int) -> bool:
        """Whether so many of so many calls will do."""
        return count <= (self.value * calls if self.share else self.value)


def max_failed(most: Most) -> Check:
    """Calls that failed, or were not over."""

    def check(result: Result) -> Checked:
        totals = result.totals
        count = totals.failed + totals.unfinished
        came = f"{count} of {totals.offered} calls ({totals.failed_share:.2%})"
        return Checked(
            "max-failed", f"at most {most.text}", came, most.allows(count, totals.offered)
        )

    return check


def max_retransmissions(most: Most) -> Check:
    """Messages sent again by callers, server or callee, as SIPp sees it."""

    def check(result: Result) -> Checked:
        totals = result.totals
        came = f"{totals.sent_again} in {totals.offered} calls ({totals.again_share:.2%})"
        good = most.allows(totals.sent_again, totals.offered)
        return Checked("max-retransmissions", f"at most {most.text}", came, good)

    return check


def min_rate(rate: float) -> Check:
    """Calls completed a second, over the length of the profile."""

    def check(result: Result) -> Checked:
        came = result.totals.rate
        return Checked(
            "min-rate", f"at least {rate:g} calls/s", f"{came:.1f} calls/s", came >= rate
        )

    return check


def max_time(timer: str, percent: int, most: float) -> Check:
    """A percentile of a response time, in milliseconds."""

    def check(result: Result) -> Checked:
        name, wanted = f"p{percent}-{timer}", f"at most {most:g} ms"
        times = result.times.get(timer)
        if not times:
            return Checked(name, wanted, f"no {NAMES[timer]} was seen", good=False)
        came = times.percentile(percent)
        return Checked(name, wanted, f"{came:g} ms", came <= most)

    return check


def max_growth(most: float) -> Check:
    """MB by which the server's memory grew from the first tenth of the run to its last."""

    def check(result: Result) -> Checked:
        name, wanted = "max-growth", f"at most {most:g} MB"
        seen = [one.server_memory for one in result.seconds if one.server_memory is not None]
        if not seen:
            return Checked(name, wanted, "the server's memory was not seen", good=False)
        part = max(1, len(seen) // 10)
        grown = min(seen[-part:]) - min(seen[:part])
        return Checked(name, wanted, f"{grown:.1f} MB", grown <= most)

    return check


def percentile_options() -> dict[str, tuple[str, int]]:
    """The options for response times, such as ``p99-answer``: timer and percent of each."""
    return {f"p{percent}-{timer}": (timer, percent) for timer in TIMERS for percent in PERCENTILES}
