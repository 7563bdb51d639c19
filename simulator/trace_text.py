"""A traced call as a ladder in text: a column for each leg, a line for each message."""

from typing import Final

from simulator.ladder import WIDTH, Columns, label_of
from simulator.trace_views import TraceView

SERVER: Final = "call server"
_TIME: Final = 10
"""Characters of the time before each line."""


class TraceLadder:
    """Lines of a call as its messages come; the first leg stands at the left of the server."""

    def __init__(self) -> None:
        self._columns = Columns([], SERVER)
        self._names: dict[str, str] = {}  # columns by Call-ID
        self._peers: list[str] = []
        self._start = 0.0

    def add(self, call_id: str, leg: str, peer: str) -> bool:
        """Have a column for a leg; whether it is new. `peer` is the address to show below."""
        if call_id in self._names:
            return False
        names = self._columns.names
        shown = leg or "far end"
        same = sum(name.partition(" #")[0] == shown for name in names)
        name = f"{shown} #{same + 1}" if same else shown
        self._names[call_id] = name
        self._peers.append(peer)
        names.append(name)
        if len(names) == 1:
            self._peers.append("")
            names.append(SERVER)
        return True

    def header(self) -> str:
        """The names of the legs, and below them their addresses."""
        peers = "".join([peer[: WIDTH - 1].center(WIDTH) for peer in self._peers])
        blank = " " * _TIME
        return f"{blank}{self._columns.header()}\n{blank}{peers}".rstrip()

    def message(self, time: float, direction: str, label: str, call_id: str) -> str:
        """The line of one message, at so many seconds since 1970."""
        return f"{self._since(time)}{self._columns.arrow(label, direction, self._names[call_id])}"

    def note(self, time: float, text: str) -> str:
        """A line between messages."""
        return f"{self._since(time)}{self._columns.note(text)}"

    def _since(self, time: float) -> str:
        self._start = self._start or time
        return f"{time - self._start:8.3f}  "


def text_ladder(view: TraceView) -> str:
    """All that is kept of a call."""
    ladder = TraceLadder()
    sent = [one for one in view.messages if one.direction]
    for message in sent:
        ladder.add(message.call_id, message.leg, message.ends[1])
    lines = [ladder.header()] if sent else ["no messages"]
    for message in view.messages:
        if message.direction:
            label = label_of(message.data) or "malformed"
            lines.append(ladder.message(message.time, message.direction, label, message.call_id))
        else:
            lines.append(ladder.note(message.time, message.note))
    if view.omitted:
        lines.append(f"{view.omitted} messages are not kept any more")
    return "\n".join(lines) + "\n"
