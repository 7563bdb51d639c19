"""How many calls a second are offered, and when."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["fixed", "ramp", "step", "soak"]

MOST: Final = 20_000.0
"""Calls a second: more than a machine's SIPps can place."""

_CALLS_EACH: Final = 20.0  # that a part of a ramp places at least
_PARTS: Final = 10  # of a ramp, at least


@dataclass(frozen=True, slots=True)
class Profile:
    """A rate in calls a second over `seconds`: from `first` to `last`, by steps of `by` (``step``)
    that last `every` seconds."""

    kind: Kind
    first: float
    last: float
    seconds: float
    by: float = 0.0
    every: float = 0.0

    @classmethod
    def fixed(cls, rate: float, seconds: float, kind: Kind = "fixed") -> "Profile":
        """The same rate all the time; a ``soak`` is that for long."""
        return cls(kind, rate, rate, seconds)

    @classmethod
    def ramp(cls, first: float, last: float, seconds: float) -> "Profile":
        """From one rate to the other, evenly, up or down."""
        return cls("ramp", first, last, seconds)

    @classmethod
    def steps(cls, first: float, last: float, by: float, every: float) -> "Profile":
        """Rates `by` apart from the first to the last, each for `every` seconds."""
        by = math.copysign(by, last - first)
        count = math.floor((last - first) / by + 1e-9) + 1
        return cls("step", first, first + (count - 1) * by, count * every, by, every)

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(self.first, self.last)

    def rate(self, at: float) -> float:
        """The rate so many seconds after the beginning; 0 before and after it all."""
        if not 0 <= at < self.seconds:
            return 0.0
        if self.kind == "step":
            return self.first + math.floor(at / self.every + 1e-9) * self.by
        return self.first + (self.last - self.first) * at / self.seconds

    def calls(self, begin: float, end: float) -> float:
        """How many calls are to begin between two moments."""
        begin, end = max(begin, 0.0), min(end, self.seconds)
        if end <= begin:
            return 0.0
        if self.kind != "step":
            return self.rate((begin + end) / 2) * (end - begin)
        total, at = 0.0, begin
        while at < end:
            until = min(end, (math.floor(at / self.every + 1e-9) + 1) * self.every)
            total += self.rate(at) * (until - at)
            at = until
        return total

    def parts(self, generators: int = 1) -> Iterator[tuple[float, float]]:
        """When a generator gets another rate, and which: the one for all `generators`.

        SIPp begins to count anew with each change, and loses what there was of a call: half a
        call on average. A part of a ramp asks for that much more, and is never so short that it
        matters.
        """
        if self.kind == "step":
            for number in range(round(self.seconds / self.every)):
                yield number * self.every, self.first + number * self.by
            return
        if self.first == self.last:
            yield 0.0, self.first
            return
        at = 0.0
        while at < self.seconds - 1e-9:
            length = max(1.0, _CALLS_EACH * generators / max(self.rate(at), 0.1))
            length = min(length, max(1.0, self.seconds / _PARTS), self.seconds - at)
            lost = 0.5 * generators / length
            yield at, self.calls(at, at + length) / length + lost
            at += length

    def __str__(self) -> str:
        """In words."""
        if self.kind == "ramp":
            return f"{self.first:g} to {self.last:g} calls/s over {self.seconds:g} s"
        if self.kind == "step":
            return (
                f"{self.first:g} to {self.last:g} calls/s by {abs(self.by):g}, "
                f"{self.every:g} s each"
            )
        return f"{self.first:g} calls/s for {self.seconds:g} s"
