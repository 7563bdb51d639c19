"""Dialed-number patterns of CVP, and a table that finds the most specific one.

Syntax [CG-CS, CG-PRE]: at most 24 characters, letters and digits; ``.`` and upper-case
``X`` stand for one character each, anywhere (lower-case ``x`` is a letter like others);
a last character ``>``, ``*`` or ``!`` stands for zero or more. One Cisco page says that
``91919191>`` does not match ``91919191`` itself [CG-FLOW]; the others say that it does,
and so it is here.

Order of choice [CG-CS]: an exact match first, then the most specific pattern, then the
order of the list. "Most specific" is read as: more literal characters; of equally many,
a fixed length before a trailing wildcard.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from simulator.profile_patterns import ProfilePattern

T = TypeVar("T")

MAX_LENGTH: Final = 24
_SYNTAX: Final = re.compile(r"(?=.)[A-Za-z0-9.]*[>*!]?", re.ASCII)
_MISSING: Final = object()
_CACHE_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: `body` with every wildcard of one character as ``.``.

    `open_ended` says that ``>``, ``*`` or ``!`` stood at the end. Two patterns that match
    the same numbers (``12X>`` and ``12.!``) have the same `body` and `open_ended`.
    """

    text: str
    body: str
    open_ended: bool

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Read `text`; ValueError names what is wrong with it and the fix."""
        if not text:
            raise ValueError("pattern '' is empty; '>' matches every number")
        if len(text) > MAX_LENGTH:
            raise ValueError(f"pattern {text!r} has {len(text)} characters; at most {MAX_LENGTH}")
        if not _SYNTAX.fullmatch(text):
            raise ValueError(f"pattern {text!r} {_fault(text)}")
        open_ended = text[-1] in ">*!"
        body = text[:-1] if open_ended else text
        return cls(text, body.replace("X", "."), open_ended)

    @property
    def exact(self) -> bool:
        """Whether the pattern matches one number only."""
        return not self.open_ended and "." not in self.body

    @property
    def literals(self) -> int:
        """How many characters are not wildcards: the measure of how specific it is."""
        return len(self.body) - self.body.count(".")

    @property
    def reason(self) -> str:
        """Why it ranks where it does, for people."""
        if self.exact:
            return "exact"
        many = self.literals
        literals = f"{many} literal character{'' if many == 1 else 's'}"
        return f"{literals}, {'any' if self.open_ended else 'fixed'} length"

    def matches(self, number: str) -> bool:
        """Whether `number` is one that the pattern stands for."""
        body = self.body
        if len(number) < len(body) or (len(number) > len(body) and not self.open_ended):
            return False
        return all(want in (".", got) for want, got in zip(body, number, strict=False))

    def __str__(self) -> str:
        return self.text


def _fault(text: str) -> str:
    if any(wildcard in text[:-1] for wildcard in ">*!"):
        return "has '>', '*' or '!' before its end; they stand for the rest of the number"
    wrong = next(c for c in text if not re.fullmatch(r"[A-Za-z0-9.>*!]", c, re.ASCII))
    return (
        f"has {wrong!r}; letters, digits, '.' or 'X' for one character, "
        "and a last '>', '*' or '!' for any rest are allowed"
    )


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One line of a table: lower `order` means further up in the list."""

    pattern: "Pattern | ProfilePattern"
    value: T
    order: int

    @property
    def reason(self) -> str:
        """Why it ranks where it does, for people."""
        return self.pattern.reason


class _Shape(Generic[T]):
    """Patterns with literals at the same places: one dictionary answers for all of them."""

    __slots__ = ("entries", "length", "open_ended", "positions", "prefix", "rank")

    def __init__(self, pattern: Pattern) -> None:
        self.positions = tuple(i for i, c in enumerate(pattern.body) if c != ".")
        self.length = len(pattern.body)
        self.open_ended = pattern.open_ended
        literals = len(self.positions)
        self.prefix = literals if self.positions == tuple(range(literals)) else -1
        self.rank = (-literals, pattern.open_ended)
        self.entries: dict[str, Entry[T]] = {}

    def key(self, number: str) -> str:
        """The characters of `number` (long enough) that decide."""
        if self.prefix >= 0:
            return number[: self.prefix]
        return "".join([number[i] for i in self.positions])

    def find(self, number: str) -> Entry[T] | None:
        """The entry that matches `number`: there is at most one of a shape."""
        surplus = len(number) - self.length
        if surplus < 0 or (surplus and not self.open_ended):
            return None
        return self.entries.get(self.key(number))


class PatternTable(Generic[T]):
    """Patterns in order, each with a value.

    A lookup costs one dictionary access for an exact pattern or a number seen lately, and
    one for each combination of length and wildcard places otherwise, however many patterns
    there are.
    """

    __slots__ = ("_cache", "_exact", "_next", "_shapes", "_sorted")

    def __init__(self) -> None:
        self._exact: dict[str, Entry[T]] = {}
        self._shapes: dict[tuple[tuple[int, ...], int, bool], _Shape[T]] = {}
        self._sorted: list[_Shape[T]] = []
        self._cache: dict[str, Entry[T] | None] = {}
        self._next = 0

    def add(self, pattern: Pattern | str, value: T) -> Entry[T]:
        """Append a pattern; ValueError when it is malformed or matches as one present does."""
        parsed = Pattern.parse(pattern) if isinstance(pattern, str) else pattern
        present = self._find_same(parsed)
        if present is not None:
            raise ValueError(
                f"pattern {parsed.text!r} matches the same numbers as {present.pattern.text!r}, "
                "which is in the list already; remove one"
            )
        entry = Entry(parsed, value, self._next)
        self._next += 1
        if parsed.exact:
            self._exact[parsed.body] = entry
        else:
            self._insert(parsed, entry)
        self._cache.clear()
        return entry

    def _insert(self, pattern: Pattern, entry: Entry[T]) -> None:
        shape = _Shape[T](pattern)
        known = self._shapes.setdefault((shape.positions, shape.length, shape.open_ended), shape)
        known.entries[known.key(pattern.body)] = entry
        if known is shape:
            self._sorted = []

    def remove(self, pattern: Pattern | str) -> Entry[T]:
        """Take out the pattern written so, or one equal to it; KeyError when there is none."""
        parsed = Pattern.parse(pattern) if isinstance(pattern, str) else pattern
        entry = self._find_same(parsed)
        if entry is None:
            raise KeyError(parsed.text)
        if parsed.exact:
            del self._exact[parsed.body]
        else:
            shape = _Shape[T](parsed)
            place = (shape.positions, shape.length, shape.open_ended)
            known = self._shapes[place]
            del known.entries[known.key(parsed.body)]
            if not known.entries:
                del self._shapes[place]
                self._sorted = []
        self._cache.clear()
        return entry

    def _find_same(self, pattern: Pattern) -> Entry[T] | None:
        if pattern.exact:
            return self._exact.get(pattern.body)
        shape = _Shape[T](pattern)
        known = self._shapes.get((shape.positions, shape.length, shape.open_ended))
        return known.entries.get(known.key(pattern.body)) if known else None

    def lookup(self, number: str) -> Entry[T] | None:
        """The entry that `number` takes, or None."""
        entry = self._exact.get(number)
        if entry is not None:
            return entry
        cached = self._cache.get(number, _MISSING)
        if cached is not _MISSING:
            return cached  # type: ignore[return-value]
        entry = self._search(number)
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        self._cache[number] = entry
        return entry

    def _search(self, number: str) -> Entry[T] | None:
        best: Entry[T] | None = None
        rank: tuple[int, bool] | None = None
        for shape in self._by_rank():
            if best is not None and shape.rank != rank:
                break
            entry = shape.find(number)
            if entry is not None and (best is None or entry.order < best.order):
                best, rank = entry, shape.rank
        return best

    def _by_rank(self) -> list[_Shape[T]]:
        if not self._sorted:
            self._sorted = sorted(self._shapes.values(), key=lambda shape: shape.rank)
        return self._sorted

    def explain(self, number: str) -> list[Entry[T]]:
        """Every entry that matches `number`, the one taken first, then the next best."""
        exact = self._exact.get(number)
        found = [(s.rank, e) for s in self._by_rank() if (e := s.find(number)) is not None]
        found.sort(key=lambda pair: (pair[0], pair[1].order))
        return [*([exact] if exact is not None else []), *(entry for _, entry in found)]

    def __iter__(self) -> Iterator[Entry[T]]:
        """The entries in the order of the list."""
        entries = [*self._exact.values()]
        for shape in self._shapes.values():
            entries += shape.entries.values()
        return iter(sorted(entries, key=lambda entry: entry.order))

    def __len__(self) -> int:
        return len(self._exact) + sum(len(shape.entries) for shape in self._shapes.values())
