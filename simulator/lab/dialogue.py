"""A VXML application at work for one caller: prompts, digits, branches, and its result.

It has no sockets and no clock: keys and timers are its inputs, `Stage` hears what it does.
Keys that come early wait for the next input, as in VoiceXML: they end a prompt with barge-in
and are discarded by one without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from simulator.applications import REFERENCE, Application, Branch, Collect, Prompt
from sip.timers import Timer, TimerWheel

# States.
IDLE: Final = 0
PLAYING: Final = 1
LISTENING: Final = 2  # for the first digit
TYPING: Final = 3  # between two digits
OVER: Final = 4

# Inputs.
KEY: Final = 0
TIME: Final = 1

NO_ERROR: Final = "0"
NO_INPUT: Final = "noinput"
NO_MATCH: Final = "nomatch"
ENDLESS: Final = "error.semantic"  # steps without end between which nobody is waited for

_MOST_STEPS: Final = 1000
_MOST_KEYS: Final = 64  # that wait


@dataclass(slots=True)
class Outcome:
    """What an application brings back: `values` by name, among them caller_input, error_code.

    `failed`: it did not come to an exit of its own. `timeouts` counts no input, `errors`
    input that did not match.
    """

    values: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    timeouts: int = 0
    errors: int = 0


class Stage(Protocol):
    """Where a dialogue is played."""

    def spoken(self, text: str, now: float) -> None:
        """The caller hears a prompt from now on."""

    def finished(self, dialogue: "Dialogue", now: float) -> None:
        """The application has exited; `dialogue.outcome` has the result."""


class Dialogue:
    """An application for one caller; `values` are its variables.

    Names that begin with ``X-`` are header names: their case does not matter.
    """

    def __init__(
        self, steps: Application, values: Mapping[str, str], wheel: TimerWheel, stage: Stage
    ) -> None:
        self.values = {_key(name): value for name, value in values.items()}
        self.outcome = Outcome()
        self.state = IDLE
        self._steps = steps
        self._places = {step.name: place for place, step in enumerate(steps)}
        self._wheel = wheel
        self._stage = stage
        self._timer: Timer | None = None
        self._at = 0
        self._passed = 0
        self._prompt: Prompt | None = None
        self._collect: Collect | None = None  # the input that is asked for
        self._tries = 0
        self._digits = ""
        self._waiting = ""  # keys that came before they were asked for
        self._surplus = ""  # the terminator after input that its length has ended
        self._error = NO_ERROR

    def start(self, now: float) -> None:
        """Begin at the first step."""
        self._go(0, now)

    def key(self, digit: str, now: float) -> None:
        """The caller pressed a key."""
        surplus, self._surplus = self._surplus, ""
        if digit != surplus:
            self._apply(KEY, digit, now)

    def timer_fired(self, _what: int, now: float) -> None:
        """The prompt is over, or no key came."""
        self._timer = None
        self._apply(TIME, "", now)

    def stop(self) -> None:
        """The caller is gone."""
        self._stop_timer()
        self.state = OVER

    def fill(self, text: str) -> str:
        """`text` with the values of its variables; one that is not set is empty."""
        return REFERENCE.sub(lambda found: self.values.get(_key(found[1]), ""), text)

    def _apply(self, what: int, digit: str, now: float) -> None:
        self._passed = 0
        effect = _TABLE[self.state].get(what)
        if effect is not None:
            effect(self, digit, now)

    # From step to step.

    def _go(self, place: int, now: float) -> None:
        """Do the steps from `place` on, up to one that takes time."""
        while self.state != OVER:
            self._passed += 1
            if self._passed > _MOST_STEPS:
                self._error = ENDLESS
                self._exit({}, now, failed=True)
                return
            step = self._steps[place] if place < len(self._steps) else None
            if step is None or step.exit is not None:
                self._exit(step.exit or {} if step is not None else {}, now)
                return
            self._at = place
            action = step.action
            if isinstance(action, Collect):
                self._collect = action
                self._tries = 0
                self._ask(action.prompt, now)
                return
            if isinstance(action, Prompt):
                if self._say(action, now):
                    return
            elif isinstance(action, Branch):
                target = action.cases.get(self.values.get(_key(action.on), ""), action.otherwise)
                if target is not None:
                    place = self._places[target]
                    continue
            else:
                for name, text in action.items():
                    self.values[_key(name)] = self.fill(text)
            place = self._below()

    def _below(self) -> int:
        """The step after the present one."""
        following = self._steps[self._at].next
        return self._at + 1 if following is None else self._places[following]

    def _exit(self, wanted: Mapping[str, str], now: float, *, failed: bool = False) -> None:
        outcome = self.outcome
        outcome.failed = failed
        outcome.values["error_code"] = self._error
        if "caller_input" in self.values:
            outcome.values["caller_input"] = self.values["caller_input"]
        outcome.values |= {name: self.fill(text) for name, text in wanted.items()}
        self.stop()
        self._stage.finished(self, now)

    # Prompts.

    def _say(self, prompt: Prompt, now: float) -> bool:
        """Play a prompt; False when it takes no time."""
        if not prompt.barge_in:
            self._waiting = ""
        elif self._waiting:
            return False
        text = self.fill(prompt.text)
        self._stage.spoken(text, now)
        length = prompt.length(text)
        if length <= 0:
            return False
        self._prompt = prompt
        self.state = PLAYING
        self._start_timer(now, length)
        return True

    def _key_in_prompt(self, digit: str, now: float) -> None:
        assert self._prompt is not None
        if self._prompt.barge_in:
            self._waiting = (self._waiting + digit)[:_MOST_KEYS]
            self._played("", now)

    def _played(self, _digit: str, now: float) -> None:
        self._stop_timer()
        if self._collect is not None:
            self._listen(now)
        else:
            self._go(self._below(), now)

    # Input.

    def _ask(self, prompt: Prompt | None, now: float) -> None:
        self._digits = ""
        if prompt is None or not self._say(prompt, now):
            self._listen(now)

    def _listen(self, now: float) -> None:
        """Wait for keys; those that came before are taken first."""
        collect = self._collect
        assert collect is not None
        self.state = LISTENING
        keys, self._waiting = self._waiting, ""
        if keys:
            self._waiting = keys[1:]
            self._take(keys[0], now)
        else:
            self._start_timer(now, collect.first_digit_timeout)

    def _take(self, digit: str, now: float) -> None:
        """A key is part of the input, or ends it; so may those that wait behind it."""
        collect = self._collect
        assert collect is not None
        self._stop_timer()
        self.state = TYPING
        if digit == collect.terminator:
            self._judge("", now)
            return
        self._digits += digit
        if len(self._digits) == collect.max:
            if self._waiting[:1] == collect.terminator:
                self._waiting = self._waiting[1:]
            elif not self._waiting:
                self._surplus = collect.terminator
            self._judge("", now)
        elif self._waiting:
            digit, self._waiting = self._waiting[0], self._waiting[1:]
            self._take(digit, now)
        else:
            self._start_timer(now, collect.inter_digit_timeout)

    def _judge(self, _digit: str, now: float) -> None:
        """The input is complete."""
        collect = self._collect
        assert collect is not None
        if collect.accepts(self._digits):
            self._collect = None
            self._error = NO_ERROR
            self.values[_key(collect.into)] = self.values["caller_input"] = self._digits
            self._go(self._below(), now)
        else:
            self._waiting = ""
            self.outcome.errors += 1
            self._again(collect, collect.no_match, NO_MATCH, now)

    def _silent(self, _digit: str, now: float) -> None:
        """No input."""
        collect = self._collect
        assert collect is not None
        self.outcome.timeouts += 1
        self._again(collect, collect.no_input, NO_INPUT, now)

    def _again(self, collect: Collect, prompt: Prompt | None, error: str, now: float) -> None:
        """One more try, if there is one."""
        if self._tries < collect.retries:
            self._tries += 1
            self._ask(prompt or collect.prompt, now)
            return
        self._collect = None
        self._error = self.values["error_code"] = error
        if collect.on_failure is None:
            self._exit({}, now, failed=True)
        else:
            self._go(self._places[collect.on_failure], now)

    # Timers.

    def _start_timer(self, now: float, delay: float) -> None:
        self._timer = self._wheel.start(now, delay, self, 0)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


def _key(name: str) -> str:
    return name.lower() if name[:2] in ("X-", "x-") else name


Effect = Callable[[Dialogue, str, float], None]

_TABLE: Final[Mapping[int, Mapping[int, Effect]]] = {
    IDLE: {},
    PLAYING: {KEY: Dialogue._key_in_prompt, TIME: Dialogue._played},
    LISTENING: {KEY: Dialogue._take, TIME: Dialogue._silent},
    TYPING: {KEY: Dialogue._take, TIME: Dialogue._judge},
    OVER: {},
}
