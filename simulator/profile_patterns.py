"""The pattern language of the API's profile, beside CVP's own (`simulator.patterns`).

``*`` stands for any digits or none, anywhere; every other character for itself. Of the
patterns that match, the one with the lowest priority is taken, of equal ones the first of
the list.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from simulator.patterns import MAX_LENGTH, Entry, Pattern

T = TypeVar("T")

_SYNTAX: Final = re.compile(r"[A-Za-z0-9+*#]+", re.ASCII)
_CACHE_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class ProfilePattern:
    """A parsed pattern; two that match the same numbers have the same `body`."""

    text: str
    body: str
    priority: int = 1

    @classmethod
    def parse(cls, text: str, priority: int = 1) -> "ProfilePattern":
        """Read `text`; ValueError names what is wrong with it and the fix."""
        if not text:
            raise ValueError("pattern '' is empty; '*' matches every number")
        if len(text) > MAX_LENGTH:
            raise ValueError(f"pattern {text!r} has {len(text)} characters; at most {MAX_LENGTH}")
        if not _SYNTAX.fullmatch(text):
            wrong = next(c for c in text if not _SYNTAX.fullmatch(c))
            raise ValueError(
                f"pattern {text!r} has {wrong!r}; letters, digits, '+' and '#' are allowed, "
                "and '*' for any digits"
            )
        return cls(text, re.sub(r"\*+", "*", text), priority)

    @property
    def reason(self) -> str:
        """Why it ranks where it does, for people."""
        return f"priority {self.priority}"

    def matches(self, number: str) -> bool:
        """Whether `number` is one that the pattern stands for."""
        first, *others = self.body.split("*")
        if not others:
            return number == first
        if not number.startswith(first):
            return False
        at = len(first)
        for part in others[:-1]:
            found = number.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return number.endswith(others[-1]) and len(number) - len(others[-1]) >= at

    def __str__(self) -> str:
        return self.text


class PriorityTable(Generic[T]):
    """Patterns of the profile, each with a value; the same use as `PatternTable`.

    ``*`` stands for what SIP users dial as digits, so letters and signs match it too.
    """

    def __init__(self) -> None:
        self._by_body: dict[str, tuple[ProfilePattern, Entry[T]]] = {}
        self._sorted: list[tuple[ProfilePattern, Entry[T]]] = []
        self._cache: dict[str, Entry[T] | None] = {}

    def add(self, pattern: str, value: T, priority: int = 1) -> Entry[T]:
        """Append a pattern; ValueError when it is malformed or stands there already."""
        parsed = ProfilePattern.parse(pattern, priority)
        present = self._by_body.get(parsed.body)
        if present is not None:
            raise ValueError(
                f"pattern {parsed.text!r} matches the same numbers as {present[0].text!r}, "
                "which is in the list already; remove one"
            )
        entry = Entry(parsed, value, len(self._by_body))
        self._by_body[parsed.body] = (parsed, entry)
        self._sorted = []
        self._cache.clear()
        return entry

    def lookup(self, number: str) -> Entry[T] | None:
        """The entry that `number` takes, or None."""
        if number not in self._cache:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[number] = next(self._matching(number), None)
        return self._cache[number]

    def _matching(self, number: str) -> Iterator[Entry[T]]:
        if not self._sorted:
            rows = self._by_body.values()
            self._sorted = sorted(rows, key=lambda row: (row[0].priority, row[1].order))
        return (entry for pattern, entry in self._sorted if pattern.matches(number))

    def explain(self, number: str) -> list[Entry[T]]:
        """Every entry that matches `number`, the one taken first, then the next best."""
        return list(self._matching(number))


def check_pattern(text: str) -> str:
    """`text`, if it is a pattern of either language: which one counts, the table says."""
    try:
        return Pattern.parse(text).text
    except ValueError:
        try:
            return ProfilePattern.parse(text).text
        except ValueError:
            pass
        raise
