"""One load run: the SIPps steered by the profile, both sides watched, the figures joined."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from scenarios.load.callers import PATIENCE, Callee, Callers, Timeline
from scenarios.load.meters import MachineMeter, Meter
from scenarios.load.profile import Profile
from scenarios.load.result import Result, Second, Totals, Verdict
from scenarios.load.target import Target, Watcher, sent_again
from scenarios.load.terminator import Terminator
from scenarios.load.timers import TERMINATE
from scenarios.load.verdict import judge

_TICK: Final = 0.1
_LAST: Final = 1.2  # seconds until SIPp has written its last second
_START: Final = 60.0

REFUSALS: Final = "of these with an unexpected 503"
NO_ANSWER: Final = "no answer, however often it was sent"
UNFINISHED: Final = "not over when the run ended"


class Progress(Protocol):
    """Who is told how it goes."""

    def begin(self, title: str, seconds: float) -> None:
        """A run of so many seconds."""

    def second(self, second: Second, timeline: Timeline) -> None:
        """One second is over."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def end(self) -> None:
        """It is over, however."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: a scenario's file at a profile, by so many SIPps; calls are held for `hold`
    seconds and go to `number`, or to the `numbers` of an injection file. Calls that are
    `terminate` seconds old are ended over REST."""

    profile: Profile
    scenario: Path
    generators: int = 1
    hold: float = 0.0
    number: str = "5000"
    numbers: Path | None = None
    terminate: float | None = None

    @property
    def lasting(self) -> float:
        """Seconds that a call may take beside `PATIENCE`."""
        return max(self.hold, self.terminate or 0.0)

    def callers(self, directory: Path, target: Target) -> Callers:
        """The SIPps, at no rate yet. Raises SippError."""
        return Callers(
            self.scenario,
            directory,
            target.sip,
            generators=self.generators,
            peak=self.profile.peak,
            hold=self.hold,
            lasting=self.lasting,
            number=self.number,
            numbers=self.numbers,
            seconds=self.profile.seconds + self.lasting + PATIENCE + _START,
        )


class Run:
    """A run under way. `broken` says what ended it before its time."""

    def __init__(
        self, plan: Plan, target: Target, callee: Callee | None, directory: Path, progress: Progress
    ) -> None:
        self.plan = plan
        self.broken = ""
        self._target, self._callee, self._progress = target, callee, progress
        self._callers = plan.callers(directory, target)
        self._timeline = Timeline(plan.profile, time.time())
        self._counts: tuple[float, Mapping[str, float]] | None = None
        self._watcher = Watcher(target.rest) if target.rest is not None else None
        self._terminator: Terminator | None = None
        if plan.terminate is not None and target.rest is not None:
            self._terminator = Terminator(target.rest, plan.terminate)
        self._told = self._shown = 0
        self._ended = 0.0
        self._unfinished = 0

    def go(self) -> None:
        """The whole of it. Ctrl-C ends it, and what there is counts."""
        profile = self.plan.profile
        self._machine = MachineMeter()
        self._generators = [Meter(sipp.pid) for sipp in self._callers.sipps]
        self._server = Meter(self._target.pid) if self._target.pid and self._target.alive else None
        self._timeline.began = time.time()
        if self._watcher is not None:
            self._watcher.start()
        if self._terminator is not None:
            self._terminator.start()
        self._progress.begin(str(profile), profile.seconds)
        try:
            self._steer()
            self._callers.finish()
            self._watch(profile.seconds + self.plan.lasting + PATIENCE, self._over)
        except KeyboardInterrupt:
            self.broken = self.broken or "interrupted"
        finally:
            self._end()

    def _steer(self) -> None:
        """Change the rate as the profile says, to its end."""
        began = time.monotonic()
        parts = list(self.plan.profile.parts(self.plan.generators))
        ends = [at for at, _ in parts[1:]] + [self.plan.profile.seconds]
        for (at, rate), end in zip(parts, ends, strict=True):
            self._callers.set_rate(rate, begin=at == 0)
            self._watch(end, lambda: False, began)
            if self.broken:
                return

    def _watch(self, until: float, over: Callable[[], bool], began: float | None = None) -> None:
        """Look at everything until so many seconds after the beginning, or until it is over."""
        start = began if began is not None else time.monotonic() - self._elapsed
        while (left := until - (time.monotonic() - start)) > 0 and not self.broken:
            time.sleep(min(_TICK, left))
            self._look()
            if over():
                return

    @property
    def _elapsed(self) -> float:
        return time.time() - self._timeline.began

    def _look(self) -> None:
        if self._elapsed < self._told + 1:
            return
        self._read()
        second = self._timeline.second(self._told)
        self._load(second)
        self._ask()
        self._check()
        # SIPp tells of a second when it is over: this is the one before.
        for earlier in self._timeline.seconds[self._shown : self._told]:
            self._progress.second(earlier, self._timeline)
        self._shown = self._told
        self._told = int(self._elapsed)

    def _read(self) -> None:
        self._callers.read(self._timeline)
        if self._callee is not None:
            self._callee.read(self._timeline)
        if self._terminator is not None:
            for sipp in self._callers.sipps:
                for call_id, at in sipp.byes():
                    took = self._terminator.took(call_id, at)
                    if took is not None:
                        self._timeline.timed(at, TERMINATE, took)

    def _load(self, second: Second) -> None:
        uses = [use for meter in self._generators if (use := meter.look()) is not None]
        second.machine = self._machine.look()
        second.active = self._callers.active
        if uses:
            second.generator = max(use.cpu for use in uses)
            second.generator_waits = max(use.waited for use in uses)
            second.generator_memory = sum(use.memory for use in uses) / 1e6
        server = self._server.look() if self._server is not None else None
        if server is not None:
            second.server, second.server_waits = server.cpu, server.waited
            second.server_memory = server.memory / 1e6

    def _ask(self) -> None:
        for at, counts in self._watcher.take() if self._watcher is not None else ():
            if self._counts is not None:
                before, old = self._counts
                for name in ("new_calls", "refused"):
                    self._add(name, before, at, counts[name] - old[name])
                again, former = sent_again(counts), sent_again(old)
                if again is not None and former is not None:
                    self._add("server_again", before, at, again - former)
            self._counts = at, counts

    def _add(self, name: str, begin: float, end: float, amount: float) -> None:
        first = max(0, int(begin - self._timeline.began))
        for index in range(first, max(first, int(end - self._timeline.began)) + 1):
            second = self._timeline.second(index)
            if getattr(second, name) is None:
                setattr(second, name, 0.0)
        self._timeline.spread(name, begin, end, amount)

    def _check(self) -> None:
        if not self._target.alive:
            self.broken = "the server ended while calls went on"
        elif complaint := self._callers.complaint():
            self.broken = f"SIPp ended while calls were to go on: {complaint}"
        elif self._callee is not None and not self._callee.sipp.run.running:
            self.broken = "the callee's SIPp ended while calls went on"

    def _over(self) -> bool:
        return not self._callers.running

    def _end(self) -> None:
        self._ended = min(self._elapsed, self.plan.profile.seconds)
        try:
            if self._callers.running:
                deadline = time.monotonic() + _LAST
                while time.monotonic() < deadline and not self.broken:
                    time.sleep(_TICK)
                self._read()
                self._unfinished = self._callers.active if self._callers.running else 0
            self._callers.stop()
            self._read()
            # SIPp's seconds come late: those of the profile that were not told yet.
            for second in self._timeline.seconds[self._shown : int(self._ended)]:
                self._progress.second(second, self._timeline)
        finally:
            self._callers.stop()
            if self._terminator is not None:
                self._terminator.stop()
            if self._watcher is not None:
                self._watcher.stop()
                self._ask()
            self._progress.end()

    def result(self, settings: Mapping[str, str]) -> Result:
        """What came of it."""
        callers, timeline = self._callers, self._timeline
        timeline.finish()
        _, came = callers.repeated()
        totals = Totals(
            seconds=self._ended,
            planned=self.plan.profile.calls(0, self._ended),
            offered=callers.total("OutgoingCall"),
            completed=callers.total("SuccessfulCall"),
            failed=callers.total("FailedCall"),
            unfinished=self._unfinished,
            again=callers.total("Retransmissions"),
            came_again=came,
            behind=self._callee.sipp.count("Retransmissions") if self._callee is not None else 0,
        )
        causes = dict(callers.causes())
        if self._unfinished:
            causes[UNFINISHED] = self._unfinished
        lost = causes.get(REFUSALS, 0) + causes.get(NO_ANSWER, 0)
        return Result(
            settings=settings,
            started=timeline.began,
            totals=totals,
            seconds=timeline.seconds,
            times=timeline.times,
            causes=causes,
            verdict=self._verdict(totals, lost),
            server=self._watcher.grown() if self._watcher is not None else {},
            broken=self.broken,
            limit=callers.limit,
        )

    def _verdict(self, totals: Totals, lost: int) -> Verdict:
        seconds = self._timeline.seconds
        if self.broken:  # how it ended is no sign of what went before
            seconds = seconds[: max(0, int(self._ended) - 1)]
            planned = sum(second.planned for second in seconds)
            offered = round(sum(second.offered for second in seconds))
            again = round(sum(second.again for second in seconds))
            behind = round(sum(second.behind for second in seconds))
            totals = Totals(len(seconds), planned, offered, 0, 0, again=again, behind=behind)
            lost = 0
        return judge(seconds, totals, limit=self._callers.limit, lost=lost)
