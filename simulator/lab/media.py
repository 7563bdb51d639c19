"""The media side of a lab endpoint: its SDP, and its RTP sockets."""

import asyncio
import contextlib
import email
import socket
from collections.abc import Callable
from typing import Any, Final

from sip.errors import PeerError
from sip.message import Message
from sip.offer_answer import answer_to, check_answer, make_offer
from sip.sdp import Direction, Origin, SessionDescription

SDP: Final = "application/sdp"
_EVEN_PORT_TRIES: Final = 16
_AT_ONCE: Final = 32  # datagrams that are read before others have their turn

# What is left of the direction in an answer when we do not want to hear the peer.
_WITHOUT_HEARING: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendonly",
    "recvonly": "inactive",
    "sendonly": "sendonly",
    "inactive": "inactive",
}


class MediaSink:
    """A bound UDP socket that is never read: RTP sent to `port` vanishes, without ICMP errors.

    The receive buffer is the smallest the kernel gives; what does not fit is dropped there.
    """

    def __init__(self, host: str) -> None:
        self._socket = _bound_to_even_port(host)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.port: int = self._socket.getsockname()[1]

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send RTP from `port`; where it cannot be sent it is lost, as RTP is."""
        with contextlib.suppress(OSError):
            self._socket.sendto(data, address)

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class RtpPort:
    """A UDP socket of one call; `take` gets each datagram. Made in a running event loop.

    Raises OSError when there is no port left.
    """

    def __init__(self, host: str, take: Callable[[bytes], None]) -> None:
        self._socket = _bound_to_even_port(host)
        self._socket.setblocking(False)
        self._take = take
        self._loop: Any = asyncio.get_running_loop()  # uvloop's returns other types
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(2048)
            except OSError:  # nothing more, or an ICMP error for what we never sent
                return
            self._take(data)
            if self._socket.fileno() < 0:
                return

    def close(self) -> None:
        """Give the port back; once."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


def _bound_to_even_port(host: str) -> socket.socket:
    """RTP wants an even port (RFC 3550 section 11); any will do when none is found soon."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tries_left in reversed(range(_EVEN_PORT_TRIES)):
        sink = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sink.bind((host, 0))
        except OSError:
            sink.close()
            raise
        if sink.getsockname()[1] % 2 == 0 or not tries_left:
            return sink
        sink.close()
    raise AssertionError("the last try returns")


class Negotiation:
    """Offer and answer of one session (RFC 3264): one audio stream at `address` and `port`.

    The version in our o= line goes up by one whenever our description changes. `local`
    and `remote` are the descriptions in force (an offer is not until it is accepted); `held`
    is whether we have put the peer on hold.
    """

    def __init__(self, address: str, port: int, session_id: int) -> None:
        self.local: SessionDescription | None = None
        self.remote: SessionDescription | None = None
        self.held = False
        self._address = address
        self._port = port
        self._session_id = session_id

    @property
    def on_hold(self) -> bool:
        """Whether the peer has put us on hold."""
        return self.remote is not None and self.remote.is_hold

    def offer(self) -> SessionDescription:
        """An offer of ours. A later one keeps the sections there were, in their order."""
        fresh = make_offer(self._address, self._port, self._session_id)
        if self.held:
            fresh = fresh.with_direction("sendonly")
        if self.local is not None:  # section 8
            sections = list(self.local.media)
            own = next(at for at, section in enumerate(sections) if not section.rejected)
            sections[own : own + 1] = fresh.media
            fresh = SessionDescription(fresh.lines, tuple(sections))
        return self._versioned(fresh)

    def accept(self, offer: SessionDescription, answer: bytes) -> None:
        """Take the peer's answer to `offer`. Raises PeerError when nothing is agreed."""
        remote = SessionDescription.parse(answer)
        check_answer(offer, remote)
        if remote.rejected:
            raise PeerError("The answer accepts no stream", 488)
        self.local = offer
        self.remote = remote

    def answer(self, offer: bytes) -> bytes:
        """Our answer to the peer's offer. Raises PeerError, 488 when nothing fits."""
        remote = SessionDescription.parse(offer)
        origin = Origin.local(self._address, self._session_id)
        answer = answer_to(remote, self._address, self._port, origin=origin)
        accepted = next((media for media in answer.media if not media.rejected), None)
        if accepted is None:
            raise PeerError("No common codec", 488)
        if self.held:
            answer = answer.with_direction(_WITHOUT_HEARING[accepted.direction])
        self.local = self._versioned(answer)
        self.remote = remote
        return self.local.to_bytes()

    def _versioned(self, description: SessionDescription) -> SessionDescription:
        if self.local is None:
            return description
        same = description.with_origin(self.local.origin)
        return same if same == self.local else same.with_origin(self.local.origin.bumped())


def rtp_address(description: SessionDescription | None) -> tuple[str, int] | None:
    """Where the audio of a description is wanted; None where it has none."""
    for media in description.media if description is not None else ():
        if media.kind == "audio" and not media.rejected and media.connection is not None:
            return media.connection, media.port
    return None


def sdp_of(message: Message) -> bytes:
    """The session description in a message; empty when it has none.

    Gateways wrap it in a multipart body when they send more (ISUP, GTD). Raises
    PeerError, 415, when the body is something else.
    """
    content_type = message.content_type
    if not message.body or content_type == SDP:
        return message.body
    if content_type.startswith("multipart/"):
        head = f"Content-Type: {message.get('content-type')}\r\n\r\n"
        for part in email.message_from_bytes(head.encode() + message.body).walk():
            body = part.get_payload(decode=True)
            if part.get_content_type() == SDP and isinstance(body, bytes):
                return body
    raise PeerError("Unsupported Media Type", 415)
