"""Messages on a stream (RFC 3261 section 18.3): framing by Content-Length, any split.

Sans-IO: octets in, whole messages out. CRLF between messages is ignored, save for keeping
a connection alive: a double CRLF is a ping, a single one its pong (RFC 5626 section 4.4.1).
"""

import re
from typing import Final

from sip.errors import ParseError

MAX_HEAD: Final = 65_536
MAX_BODY: Final = 1_048_576
"""Octets of a header section and of a body; a peer that sends more is cut off."""

_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)", re.IGNORECASE
)


class StreamFramer:
    """Cuts one connection's octets into messages.

    `pings` counts the keep-alive pings that wait for an answer; whoever answers resets it.
    Whoever sends one sets `awaits_pong`: the next single CRLF resets that.
    After a FramingError the connection cannot be used any more: where the next message would
    begin is not known.
    """

    __slots__ = ("_buffer", "_halfway", "_searched", "_wanted", "awaits_pong", "pings")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0  # octets of the message under way, once its header is there
        self._searched = 0  # up to here no end of the header has been found
        self._halfway = False  # one CRLF came: with another it is a ping
        self.pings = 0
        self.awaits_pong = False

    @property
    def partial(self) -> bool:
        """Whether a part of a message has arrived."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets; the messages that are whole now.

        Raises FramingError for a header without or with a wrong Content-Length, and for
        more octets than the limits, after the messages before it have been taken.
        """
        self._buffer += data
        messages: list[bytes] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except FramingError:
            if not messages:
                raise
        return messages

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < self._wanted:
            return None
        self._skip_line_ends()
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MAX_HEAD:
                raise FramingError("the header is too long", b"", 513)
            return None
        if end > MAX_HEAD:
            raise FramingError("the header is too long", b"", 513)
        total = end + 4 + self._body_length(bytes(buffer[: end + 2]))
        if len(buffer) < total:
            self._searched = end
            self._wanted = total
            return None
        message = bytes(buffer[:total])
        del buffer[:total]
        self._searched = self._wanted = 0
        return message

    def _skip_line_ends(self) -> None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            if self.awaits_pong:
                self.awaits_pong = False
            elif self._halfway:
                self._halfway = False
                self.pings += 1
            else:
                self._halfway = True
            del buffer[:2]
            self._searched = 0
        if len(buffer) > 1:
            self._halfway = False

    def _body_length(self, head: bytes) -> int:
        lengths = {int(found) for found in _LENGTH.findall(head)}
        if len(lengths) != 1:
            raise FramingError("Content-Length is missing, malformed or repeated", head)
        length = lengths.pop()
        if length > MAX_BODY:
            raise FramingError("the body is too long", head, 513)
        return length


class FramingError(ParseError):
    """The stream cannot be cut any further; `head` is the header that is to blame."""

    def __init__(self, reason: str, head: bytes, status: int = 400) -> None:
        super().__init__(reason, status)
        self.head = head
