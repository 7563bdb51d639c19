"""RFC 3261 timer values, and the wheel that every timer of the process turns on."""

import heapq
from typing import Final, Protocol

_TICKS_PER_SECOND: Final = 200
_ROUNDING: Final = 1e-6  # the same for start and advance: no timer is due when it starts


class Timers:
    """Base values in seconds (RFC 3261 table 4): round trip, longest interval, lifetime.

    `timeout` is 64*T1: timers B, F, H, J, L, M, and D over an unreliable transport.
    """

    __slots__ = ("t1", "t2", "t4", "timeout")

    def __init__(self, t1: float = 0.5, t2: float = 4.0, t4: float = 5.0) -> None:
        self.t1 = t1
        self.t2 = t2
        self.t4 = t4
        self.timeout = 64 * t1


class Timed(Protocol):
    """What can wait on the wheel."""

    def timer_fired(self, what: int, now: float) -> None:
        """Called once, `what` being the number given to `TimerWheel.start`."""


class Timer:
    """A running timer; `stop` is cheap and may be called at any time, also twice.

    `TimerWheel.start` fills it in: CPython 3.11 makes an object without ``__init__`` in half the
    time, and each message starts a timer or two.
    """

    __slots__ = ("target", "what")

    target: Timed | None
    what: int

    def stop(self) -> None:
        """Forget the target: the timer will not fire."""
        self.target = None


class TimerWheel:
    """Timers in buckets of 5 ms: starting and stopping cost the same at any number.

    A timer fires at the first tick after its time, never before it.
    """

    __slots__ = ("_buckets", "_ticks", "fired")

    def __init__(self) -> None:
        self._buckets: dict[int, list[Timer]] = {}
        self._ticks: list[int] = []  # a heap of the keys of _buckets
        self.fired = 0

    def start(self, now: float, delay: float, target: Timed, what: int, ticks: int = 1) -> Timer:
        """Call ``target.timer_fired(what, ...)`` once, `delay` seconds after `now`.

        At a tick whose number `ticks` divides: timers that wake the process together.
        """
        tick = int((now + delay) * _TICKS_PER_SECOND + _ROUNDING) + 1
        if ticks > 1:
            tick += -tick % ticks
        timer = Timer()
        timer.target = target
        timer.what = what
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [timer]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(timer)
        return timer

    def next_time(self) -> float | None:
        """When `advance` should be called next, or None when nothing waits."""
        ticks = self._ticks
        return ticks[0] / _TICKS_PER_SECOND if ticks else None

    def advance(self, now: float) -> None:
        """Fire every timer whose time has come, in order of time."""
        ticks = self._ticks
        due = int(now * _TICKS_PER_SECOND + _ROUNDING)
        while ticks and ticks[0] <= due:
            tick = heapq.heappop(ticks)
            bucket = self._buckets.pop(tick)
            try:
                for timer in bucket:
                    target = timer.target
                    if target is not None:
                        timer.target = None
                        self.fired += 1
                        target.timer_fired(timer.what, now)
            except BaseException:
                # What failed must not take its neighbours along: they fire next time.
                self._buckets[tick] = bucket + self._buckets.get(tick, [])
                if tick not in ticks:
                    heapq.heappush(ticks, tick)
                raise

    @property
    def running(self) -> int:
        """How many timers wait that were not stopped (walks them all: for tests)."""
        return sum(t.target is not None for bucket in self._buckets.values() for t in bucket)
