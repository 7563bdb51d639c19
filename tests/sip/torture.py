"""Torture messages in three runs: the parser, the endpoint, and a live server's sockets.

Each row of a table is one message's outcome, the same in all runs unless it says why not.
"""

from dataclasses import dataclass

import pytest

from sip.errors import ParseError
from sip.message import Message, Request, Response, parse
from tests.support.live import LiveStack, over_tcp, over_udp, until_closed
from tests.support.network import Network, Party

CALL = "call"  # becomes a call: 100 at once, and a session
STRAY = "stray"  # parses, but is a response to nothing of ours and is dropped
NOISE = "noise"  # is no SIP message, and is dropped

REFUSED = (400, 505)  # what the parser itself finds


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome: a status code, or one of the words above.

    On a stream, where that differs: the statuses of all `answers`, and who `closes` the
    connection ("server", "peer" or nobody); `because` says why.
    """

    outcome: int | str
    answers: tuple[int, ...] | None = None
    closes: str = ""
    because: str = ""

    @property
    def statuses(self) -> tuple[int, ...]:
        """What a peer gets for a datagram."""
        if isinstance(self.outcome, int):
            return (self.outcome,)
        return (100,) if self.outcome == CALL else ()


def check_parser(data: bytes, row: Row) -> None:
    """What parses comes back the same when it is written; a fault has the right status."""
    if row.outcome == NOISE:
        with pytest.raises(ParseError):
            parse(data)
        return
    parsed = parse(data)
    assert isinstance(parsed, Response if row.outcome == STRAY else Request)
    assert parse(parsed.to_bytes()).to_bytes() == parsed.to_bytes()
    if row.outcome not in REFUSED:
        assert parsed.defect is None or row.outcome == STRAY
    elif parsed.defect is not None:  # else the endpoint finds it in a value read later
        assert parsed.defect.status == row.outcome


def answers_at(party: Party, data: bytes, peer: tuple[str, int]) -> list[Response]:
    """What an endpoint sends at once for a datagram, all of it to the sender."""
    party.endpoint.receive_datagram(data, peer, party.listener, party.now)
    outbox, party.endpoint.outbox = party.endpoint.outbox, []
    sent = [parse(data) for _, _, data in outbox]
    assert all(address[0] == peer[0] for _, address, _ in outbox)  # whatever Via says
    return [answer for answer in sent if isinstance(answer, Response)]


def check_endpoint(data: bytes, row: Row, host: str, peer: tuple[str, int]) -> list[Response]:
    """The answer, and that nothing is left of what was not a call. Returns the answers."""
    network = Network()
    bob = network.add("bob", host)
    sent = answers_at(bob, data, peer)
    assert tuple(response.status for response in sent) == row.statuses
    if row.outcome == CALL:
        assert len(bob.endpoint.sessions) == 1
    elif row.outcome in (NOISE, STRAY):
        assert bob.endpoint.discarded == 1
    else:
        network.settle()
    # A 400 copies the fields that made it necessary.
    assert all(response.defect is None or row.outcome == 400 for response in sent)
    assert answers_at(bob, _OPTIONS, peer)[-1].status == 200
    return sent


_OPTIONS = (
    b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP after.invalid;branch=z9hG4bKafter\r\n"
    b"From: <sip:a@example.com>;tag=a\r\nTo: <sip:b@example.com>\r\nCall-ID: after\r\n"
    b"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def check_udp(server: LiveStack, data: bytes, row: Row) -> None:
    """The same over a UDP socket, and an OPTIONS after it is answered."""
    assert tuple(a.status for a in over_udp(server.udp, data)) == row.statuses
    assert server.complaints == []


def check_tcp(server: LiveStack, data: bytes, row: Row) -> None:
    """The same over a TCP connection."""
    expected = row.statuses if row.answers is None else row.answers
    if row.closes:
        answers = until_closed(server.tcp, data, give_up=row.closes == "peer")
    else:
        answers = over_tcp(server.tcp, data)
    assert tuple(answer.status for answer in answers) == expected
    assert server.complaints == []


def header(message: Message, key: str) -> str:
    """A header field that is there."""
    value = message.get(key)
    assert value is not None
    return value
