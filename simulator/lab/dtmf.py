"""Keys on the wire: telephone events in RTP (RFC 4733), and INFO bodies of gateways.

Sans-IO: `EventReceiver` takes datagrams, `EventSender` makes them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from sip.errors import InvalidValue
from sip.sdp import SessionDescription

KEYS: Final = "0123456789*#ABCD"
"""RFC 4733 section 3.2: the place of a key is its event code."""

DTMF_RELAY: Final = "application/dtmf-relay"
DTMF: Final = "application/dtmf"

RATE: Final = 8000
STEP: Final = 0.05
"""Seconds between two packets of an event."""
ENDS: Final = 3
"""How often the packet with the end bit is sent (section 2.5.1.4)."""

_LONGEST: Final = 0xFFFF  # of one event; a longer one goes on under a new timestamp
_HEADER: Final = Struct("!BBHII")
_EVENT: Final = Struct("!BBH")
_SIGNAL: Final = re.compile(r"(?:^|\n)\s*Signal\s*=\s*([0-9A-D*#])\s*(?:\r|\n|$)", re.IGNORECASE)


# INFO.


def info_key(content_type: str, body: bytes) -> str | None:
    """The key in an INFO body: ``Signal=5`` or, as application/dtmf, ``5`` alone; else None."""
    text = body.decode("latin-1")
    if content_type == DTMF_RELAY:
        found = _SIGNAL.search(text)
        return found[1].upper() if found else None
    if content_type == DTMF:
        found = _SIGNAL.search(text)
        key = found[1].upper() if found else text.strip().upper()
        return key if len(key) == 1 and key in KEYS else None
    return None


def info_body(content_type: str, key: str, milliseconds: int) -> bytes:
    """The INFO body for a key. Raises InvalidValue for what is no key or no content type."""
    event_of(key)
    if content_type == DTMF_RELAY:
        return f"Signal={key}\r\nDuration={milliseconds}\r\n".encode()
    if content_type == DTMF:
        return f"{key}\r\n".encode()
    raise InvalidValue(f"content type: {content_type!r} carries no key; {DTMF_RELAY} or {DTMF}")


# RTP.


def event_of(key: str) -> int:
    """The event code of a key. Raises InvalidValue."""
    if len(key) != 1 or key not in KEYS:
        raise InvalidValue(f"key: {key!r} is not one of {KEYS}")
    return KEYS.index(key)


def event_type(description: SessionDescription | None) -> int | None:
    """The payload type of telephone-event/8000 in a description, None where it has none."""
    if description is None:
        return None
    for media in description.media:
        if media.kind != "audio" or media.rejected:
            continue
        for payload, encoding in media.encodings.items():
            if encoding.lower() == f"telephone-event/{RATE}" and payload.isdigit():
                return int(payload)
    return None


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One RTP packet of a telephone event; times in units of the clock, 1/8000 s."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    event: int
    duration: int
    end: bool = False
    marker: bool = False

    @classmethod
    def parse(cls, data: bytes, payload_type: int) -> "EventPacket | None":
        """Read a datagram; None for what is no event of this payload type."""
        if len(data) < _HEADER.size or data[0] >> 6 != 2 or data[1] & 0x7F != payload_type:
            return None
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        at = _HEADER.size + 4 * (first & 0x0F)
        if first & 0x10 and len(data) >= at + 4:  # a header extension (RFC 3550 section 5.3.1)
            at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if len(data) < at + _EVENT.size:
            return None
        event, flags, duration = _EVENT.unpack_from(data, at)
        return cls(
            payload_type,
            sequence,
            timestamp,
            ssrc,
            event,
            duration,
            bool(flags & 0x80),
            bool(second & 0x80),
        )

    def to_bytes(self) -> bytes:
        """The datagram; the volume is -10 dBm0, what most senders say."""
        second = self.payload_type | (0x80 if self.marker else 0)
        head = _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc)
        return head + _EVENT.pack(self.event, (0x80 if self.end else 0) | 10, self.duration)


class EventReceiver:
    """The keys in the packets of one session.

    A key counts when the first packet of its event arrives, whichever that is: all packets
    of an event have one timestamp, so that lost, repeated and late ones change nothing.
    `held` is the key that is down: until its end bit, or the next event where that was lost.
    """

    def __init__(self) -> None:
        self.held: str | None = None
        self._ssrc: int | None = None
        self._timestamp = 0
        self._event = -1
        self._ended = True

    def receive(self, data: bytes, payload_type: int) -> str | None:
        """Take a datagram; the key that it is the first word of, if any."""
        packet = EventPacket.parse(data, payload_type)
        if packet is None or packet.event >= len(KEYS):
            return None
        if packet.ssrc == self._ssrc:
            ahead = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
            if ahead >= 1 << 31:
                return None  # late: of an event before this one
            if ahead == 0 or self._goes_on(packet, ahead):
                self._note(packet)
                return None
        self._note(packet)
        return KEYS[packet.event]

    def _goes_on(self, packet: EventPacket, ahead: int) -> bool:
        """Whether it is the next segment of a long event (section 2.5.1.3)."""
        same = packet.event == self._event and not self._ended
        return same and ahead == _LONGEST and not packet.marker

    def _note(self, packet: EventPacket) -> None:
        again = packet.ssrc == self._ssrc and packet.timestamp == self._timestamp
        self._ssrc, self._timestamp, self._event = packet.ssrc, packet.timestamp, packet.event
        self._ended = packet.end or (again and self._ended)  # one before the end may come after it
        self.held = None if self._ended else KEYS[packet.event]


class EventSender:
    """Makes the packets of keys, of one RTP source that began `timestamp` at the time 0."""

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self._ssrc = ssrc
        self._sequence = sequence
        self._timestamp = timestamp
        self._free = 0  # the event before is over

    def packets(
        self, key: str, duration: float, payload_type: int, now: float
    ) -> Iterator[tuple[float, bytes]]:
        """The packets of a key that is held `duration` seconds, each with its time from now.

        One every 50 ms, each with the time so far; the last three times (section 2.5.1.4).
        Raises InvalidValue for what is no key.
        """
        event = event_of(key)
        steps = max(1, round(duration / STEP))
        begin = max(round(now * RATE), self._free)
        self._free = begin + round(steps * STEP * RATE) + 1
        past = 0
        for step in range(1, steps + 1):
            length = round(step * STEP * RATE) - past
            if length > _LONGEST:  # section 2.5.1.3
                past += _LONGEST
                length -= _LONGEST
            at = (self._timestamp + begin + past) & 0xFFFFFFFF
            last = step == steps
            for copy in range(ENDS if last else 1):
                first = step == 1 and copy == 0
                self._sequence = (self._sequence + 1) & 0xFFFF
                packet = EventPacket(
                    payload_type, self._sequence, at, self._ssrc, event, length, last, first
                )
                yield step * STEP, packet.to_bytes()
