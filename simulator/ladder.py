"""Ladders of SIP messages as text: a column for each party, an arrow for each message."""

from collections.abc import Mapping
from typing import Final

from simulator.log_lines import escaped
from sip.errors import ParseError
from sip.message import Request, parse
from sip.transport import Address, Listener

WIDTH: Final = 22
"""Characters from one column to the next."""


def label_of(data: bytes) -> str | None:
    """What a message is, in a few words of one line: ``re-INVITE (SDP)``; None for no SIP."""
    try:
        message = parse(data)
    except ParseError:
        return None
    if isinstance(message, Request):
        label = message.method
        if label == "INVITE" and message.to_tag is not None:
            label = "re-INVITE"
    else:
        label = f"{message.status} {message.reason}"
    if message.content_type == "application/sdp":
        label += " (SDP)"
    elif message.content_type == "message/sipfrag":
        status = message.body.decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
        label += f" ({status.removeprefix('SIP/2.0 ')})"
    return escaped(label)


class Columns:
    """The columns of a ladder; the one called `centre` is an end of every arrow."""

    def __init__(self, names: list[str], centre: str) -> None:
        self.names = names
        self._centre = centre

    def header(self) -> str:
        """The names above their columns."""
        return "".join([name.center(WIDTH) for name in self.names]).rstrip()

    def arrow(self, label: str, direction: str, peer: str) -> str:
        """One line: an arrow between the centre and `peer`, ``in`` or ``out``."""
        here, there = self.names.index(self._centre), self.names.index(peer)
        first, last = min(here, there), max(here, there)
        rightward = (direction == "out") == (there > here)
        line = list("".join(["|".center(WIDTH) for _ in self.names]))
        bar = "|".center(WIDTH).index("|")
        start, end = bar + first * WIDTH + 1, bar + last * WIDTH
        room = end - start - 2
        shaft = f" {label[: room - 2]} ".center(room, "-")
        line[start:end] = list(f"-{shaft}>" if rightward else f"<{shaft}-")
        return "".join(line).rstrip()

    @staticmethod
    def note(text: str) -> str:
        """A line that no message stands on."""
        return f"  * {escaped(text)}"


class Ladder(Columns):
    """Turns the messages of one endpoint into lines.

    `centre` is the name of the endpoint itself, `parties` the names of its peers by
    address; columns stand in the order given. A peer that nobody named gets a column of
    its own at the right, called by its address.
    """

    def __init__(self, centre: str, parties: Mapping[Address, str], left: str) -> None:
        self._names = dict(parties)
        names = dict.fromkeys(parties.values())
        super().__init__([left, centre, *[name for name in names if name != left]], centre)

    def message(
        self, direction: str, data: bytes, _listener: Listener, address: Address, _now: float
    ) -> str | None:
        """The line of one message; None for what is not SIP. Fits `SipStack.add_tap`."""
        label = label_of(data)
        return None if label is None else self.arrow(label, direction, self._name(address))

    def _name(self, address: Address) -> str:
        name = self._names.get(address)
        if name is None:
            name = self._names[address] = f"{address[0]}:{address[1]}"
            self.names.append(name)
        return name
