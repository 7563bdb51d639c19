"""What the call server counts: the SIP and ICM statistics of a Call Server [OPS, MIB].

Counting adds to plain numbers. An interval ends when the first call after its end comes, or
when somebody looks; then it is added to what has been counted since the start.
"""

from typing import Final, get_args

from simulator.cdr_records import CallResult

_RATE_OVER: Final = 10
"""Seconds over which the rate of new calls is measured."""


class Counts:
    """What is counted; `latency` is the sum, in seconds, over `answers` connects answered.

    `new_calls` includes those that were refused. `connects` are labels received from ICM,
    REFER included. A failed transfer is before the dialog while the caller is unanswered.
    `legs` are all that there were, `vru_legs` those to the VXML gateway, `lookups` the
    decisions that were asked of ICM. `whispers` and `greetings` are those played to agents,
    `failed_` ones those that could not be; `surveys` the callers led on after the agent.
    """

    __slots__ = (
        "answers",
        "connects",
        "failed_greetings",
        "failed_in_dialog",
        "failed_pre_dialog",
        "failed_whispers",
        "greetings",
        "latency",
        "legs",
        "lookups",
        "new_calls",
        "rejected",
        "surveys",
        "vru_legs",
        "whispers",
    )

    def __init__(self) -> None:
        self.new_calls = 0
        self.rejected = 0
        self.connects = 0
        self.answers = 0
        self.latency = 0.0
        self.failed_pre_dialog = 0
        self.failed_in_dialog = 0
        self.legs = 0
        self.vru_legs = 0
        self.lookups = 0
        self.whispers = 0
        self.failed_whispers = 0
        self.greetings = 0
        self.failed_greetings = 0
        self.surveys = 0

    def add(self, other: "Counts") -> None:
        """Add what `other` has counted."""
        self.new_calls += other.new_calls
        self.rejected += other.rejected
        self.connects += other.connects
        self.answers += other.answers
        self.latency += other.latency
        self.failed_pre_dialog += other.failed_pre_dialog
        self.failed_in_dialog += other.failed_in_dialog
        self.legs += other.legs
        self.vru_legs += other.vru_legs
        self.lookups += other.lookups
        self.whispers += other.whispers
        self.failed_whispers += other.failed_whispers
        self.greetings += other.greetings
        self.failed_greetings += other.failed_greetings
        self.surveys += other.surveys

    @property
    def average_latency(self) -> float:
        """Seconds from CONNECT to the answer, on average; 0.0 without one."""
        return self.latency / self.answers if self.answers else 0.0


class Statistics:
    """The present interval, the one before it, and all since the start.

    `interval` is in seconds. `peak` is the most calls at a time since the start, `results` is
    how many calls have ended with which result.
    """

    __slots__ = (
        "_before",
        "_rates",
        "_second",
        "_this_second",
        "current",
        "interval",
        "last",
        "last_end",
        "next_end",
        "peak",
        "results",
        "started",
    )

    def __init__(self, now: float, interval: float) -> None:
        self.interval = interval
        self.started = now
        self.peak = 0
        self.results: dict[str, int] = dict.fromkeys(get_args(CallResult), 0)
        self.current = Counts()
        self.last = Counts()
        self.last_end = now  # when the interval before ended: then this one began
        self.next_end = now + interval
        self._before = Counts()
        self._second = int(now)
        self._this_second = 0
        self._rates: list[tuple[int, int]] = []

    def new_call(self, now: float) -> None:
        """A call has come, whatever becomes of it."""
        if now >= self.next_end:
            self.roll(now)
        second = int(now)
        if second != self._second:
            self._next_second(second)
        self._this_second += 1
        self.current.new_calls += 1

    def rejected(self, now: float) -> None:
        """A new call was refused."""
        self.new_call(now)
        self.current.rejected += 1

    def begun(self, now: float, active: int, *, by_icm: bool) -> None:
        """A call was let in: now so many are active; `by_icm`: ICM is asked what to do."""
        self.new_call(now)
        if active > self.peak:
            self.peak = active
        self.current.legs += 1
        if by_icm:
            self.current.lookups += 1

    def placed(self, *, vru: bool) -> None:
        """An outbound leg; `vru`: to the VXML gateway."""
        self.current.legs += 1
        if vru:
            self.current.vru_legs += 1

    def answered(self, latency: float) -> None:
        """The target of a connect has answered, so many seconds after it."""
        counts = self.current
        counts.answers += 1
        counts.latency += latency

    def announced(self, *, whisper: bool, played: bool) -> None:
        """A whisper or a greeting: whether it is played, or could not be."""
        counts = self.current
        if whisper and played:
            counts.whispers += 1
        elif whisper:
            counts.failed_whispers += 1
        elif played:
            counts.greetings += 1
        else:
            counts.failed_greetings += 1

    def failed(self, *, in_dialog: bool) -> None:
        """A target could not be reached; `in_dialog`: the caller was answered before."""
        if in_dialog:
            self.current.failed_in_dialog += 1
        else:
            self.current.failed_pre_dialog += 1

    def _next_second(self, second: int) -> None:
        if self._this_second:
            self._rates.append((self._second, self._this_second))
            if len(self._rates) > _RATE_OVER:
                del self._rates[0]
        self._second = second
        self._this_second = 0

    def roll(self, now: float) -> None:
        """The interval is over, if it is; the next one begins where it ended."""
        over = int((now - self.last_end) / self.interval)
        if over <= 0:
            return
        self._before.add(self.current)
        # Without a call in it the interval before this one was empty.
        self.last = self.current if over == 1 else Counts()
        self.current = Counts()
        self.last_end += over * self.interval
        self.next_end = self.last_end + self.interval

    def change_interval(self, now: float, interval: float) -> None:
        """Intervals have another length from now on."""
        if interval != self.interval:
            self.roll(now)
            self._before.add(self.current)
            self.last, self.current = self.current, Counts()
            self.interval = interval
            self.last_end = now
            self.next_end = now + interval

    def total(self) -> Counts:
        """All since the start."""
        total = Counts()
        total.add(self._before)
        total.add(self.current)
        return total

    def calls_per_second(self, now: float) -> float:
        """New calls a second, over the last ten whole ones."""
        second = int(now)
        if second != self._second:
            self._next_second(second)
        first = second - _RATE_OVER
        calls = sum(count for at, count in self._rates if first <= at < second)
        return calls / max(1, min(_RATE_OVER, second - int(self.started)))
