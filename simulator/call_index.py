"""Which calls there are, by state and by called number, oldest first.

A call changes its place with its state, for a few dictionary operations, so that a list
costs what it returns, however many calls there are.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, get_args

from simulator.views import CallState

if TYPE_CHECKING:
    from simulator.call import Call

CALL_STATES: Final[tuple[str, ...]] = get_args(CallState)

_serial: Final = attrgetter("serial")


class Line:
    """The calls of one state, in the order of their start.

    A dictionary keeps that order for nothing as long as calls come in the order in which
    they started; those that do not are in a sorted list beside it.
    """

    __slots__ = ("_calls", "_late", "_newest")

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._newest = 0  # the last one of the dictionary
        self._late: list[Call] | None = None

    def __len__(self) -> int:
        return len(self._calls) + (len(self._late) if self._late is not None else 0)

    def add(self, call: "Call") -> None:
        """Put a call where it belongs."""
        serial = call.serial
        if serial >= self._newest:
            self._newest = serial
            self._calls[call.guid] = call
            return
        if self._late is None:
            self._late = []
        insort(self._late, call, key=_serial)

    def remove(self, call: "Call") -> None:
        """Take out a call that is here."""
        if self._calls.pop(call.guid, None) is None:
            late = self._late
            assert late is not None
            del late[late.index(call, bisect_left(late, call.serial, key=_serial))]

    def oldest(self, limit: int) -> "list[Call]":
        """The first `limit` calls."""
        found = list(islice(self._calls.values(), limit))
        if self._late:
            found += self._late[:limit]
            found.sort(key=_serial)
            del found[limit:]
        return found


Lines = Mapping[str, Line]
"""Of each state."""


class CallIndex:
    """The calls of a server, told of each that comes, changes its state, or goes.

    The calls to one number are put in lines by state only once somebody asks for both:
    few numbers are asked for, and that would cost every call as much again.
    """

    __slots__ = ("_asked", "_numbers", "_states")

    def __init__(self) -> None:
        self._states = _lines()
        self._numbers: dict[str, dict[str, Call]] = {}
        self._asked: dict[str, Lines] = {}

    def add(self, call: "Call") -> None:
        """A call has come."""
        called = call.called
        self._states[call.state].add(call)
        same = self._numbers.get(called)
        if same is None:
            self._numbers[called] = {call.guid: call}
        else:
            same[call.guid] = call
        if called in self._asked:
            self._asked[called][call.state].add(call)

    def move(self, call: "Call", state: str) -> None:
        """A call is about to leave its state for `state`; the last one is ``ended``."""
        if state == call.state:
            return
        if state == "ended":
            self._remove(call)
            return
        lines = self._states
        lines[call.state].remove(call)
        lines[state].add(call)
        if self._asked and call.called in self._asked:
            lines = self._asked[call.called]
            lines[call.state].remove(call)
            lines[state].add(call)

    def _remove(self, call: "Call") -> None:
        called = call.called
        self._states[call.state].remove(call)
        same = self._numbers[called]
        del same[call.guid]
        if not same:
            del self._numbers[called]
            self._asked.pop(called, None)
        elif called in self._asked:
            self._asked[called][call.state].remove(call)

    def oldest(self, state: str | None, called: str | None, limit: int) -> "tuple[int, list[Call]]":
        """How many calls are in `state` and to `called`, and the first `limit` of them.

        One of the two may be None: any.
        """
        if called is None:
            line = self._states[state or ""]
        elif called not in self._numbers:
            return 0, []
        elif state is None:
            same = self._numbers[called]
            return len(same), list(islice(same.values(), limit))
        else:
            line = self._lines_of(called)[state]
        return len(line), line.oldest(limit)

    def _lines_of(self, called: str) -> Lines:
        """The calls to a number that has some, by state from now on."""
        lines = self._asked.get(called)
        if lines is None:
            lines = self._asked[called] = _lines()
            for call in self._numbers[called].values():
                lines[call.state].add(call)
        return lines


def _lines() -> Lines:
    return {state: Line() for state in CALL_STATES}
