"""Messages on a stream (RFC 3261 section 18.3): framing by Content-Length, any split.

Sans-IO: octets in, whole messages out. CRLF between messages is ignored, a double CRLF
is the keep-alive ping that RFC 5626 section 4.4.1 answers with a single one.
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
    After a FramingError the connection cannot be used any more: where the next message would
    begin is not known.
    """

    __slots__ = ("_buffer", "_searched", "pings")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # up to here no end of the header has been found
        self.pings = 0

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
            return None
        message = bytes(buffer[:total])
        del buffer[:total]
        self._searched = 0
        return message

    def _skip_line_ends(self) -> None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            double = buffer[:4] == b"\r\n\r\n"
            self.pings += double
            del buffer[: 4 if double else 2]
            self._searched = 0

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
