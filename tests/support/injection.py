"""Texts that try to write into a message, and what shows that they have not."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from tests.support.network import Packet

CONTROLS: Final = [chr(c) for c in (*range(0x20), *range(0x7F, 0xA0))]
"""C0, DEL and C1, NEL among them."""

LINE_ENDS: Final = ["\u2028", "\u2029"]
"""Which some take for the end of a line."""

SURROGATES: Final = ["\ud800", "\udbff", "\udc00", "\udc0a", "\udc0d", "\udc8d", "\udfff"]
"""Lone ones; those from U+DC80 to U+DCFF are how octets that are no UTF-8 are kept."""

ESCAPES: Final = ["%0d%0aX-Injected:%201", "%0D%0A", "%0d", "%0A", "%00", "%7f", "%1B"]

INJECTIONS: Final = [
    "\r\nX-Injected: 1",
    "\nX-Injected: 1",
    "\rX-Injected: 1",
    "\r\n X-Injected: 1",
    "\r\n\r\nX-Injected",
    "\0X-Injected",
]


def placed(text: str, bad: str) -> Iterator[str]:
    """`text` with `bad` at its beginning, in its middle and at its end."""
    middle = len(text) // 2
    yield bad + text
    yield text[:middle] + bad + text[middle:]
    yield text + bad


Shape = tuple[str, str, tuple[str, ...]]
"""Of a message: to whom it went, what it is, the names of its header fields in order."""


def shapes(packets: Iterable[Packet], by: str = "server") -> list[Shape]:
    """The messages that one party sent, each looked at as it stands on the wire."""
    found = []
    for packet in packets:
        if packet.source != by:
            continue
        message = packet.message
        assert (message.defect, message.oddity) == (None, None), packet.data
        head, _, body = packet.data.partition(b"\r\n\r\n")
        names = tuple(line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:])
        assert b"\0" not in head, packet.data
        assert head.count(b"\r") == head.count(b"\n") == len(names), packet.data
        assert message.get("content-length") == str(len(body)), packet.data
        assert "X-Injected" not in names, packet.data
        target = packet.target if ":" not in packet.target else "elsewhere"
        found.append((target, packet.summary, names))
    return found


class Harmless:
    """What messages look like for harmless texts: `learn` from some, then `check` others."""

    def __init__(self) -> None:
        self._runs: dict[str, set[tuple[Shape, ...]]] = {}
        self._most: dict[tuple[str, str], Counter[str]] = {}

    def learn(self, deed: str, packets: Iterable[Packet]) -> None:
        """A deed with a harmless text."""
        run = tuple(shapes(packets))
        self._runs.setdefault(deed, set()).add(run)
        for target, summary, names in run:
            most = self._most.setdefault((target, summary), Counter())
            most |= Counter(names)
            self._most[target, summary] = most

    def check(self, deed: str, packets: Iterable[Packet]) -> None:
        """No message has a header field, or one more of a kind, that a harmless text has not.

        Where the same messages went out for the deed, they have the same fields in their order.
        """
        run = tuple(shapes(packets))
        ladder = [shape[:2] for shape in run]
        alike = [run for run in self._runs[deed] if [shape[:2] for shape in run] == ladder]
        assert not alike or run in alike, run
        for target, summary, names in run:
            most = self._most.get((target, summary))
            assert most is not None, f"{summary} to {target} is new"
            assert Counter(names) <= most, (target, summary, names)
