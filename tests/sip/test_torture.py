"""The 49 torture messages of RFC 4475, each with the verdict for this user agent server.

The messages are not shipped: the environment variable RFC4475_VECTORS names the folder
that holds them as ``<name>.dat``, byte exact, named as in the RFC.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.message import Request, Response, parse
from tests.sip.torture import (
    CALL,
    NOISE,
    STRAY,
    Row,
    answers_at,
    check_endpoint,
    check_parser,
    check_tcp,
    check_udp,
)
from tests.support.builders import PEER
from tests.support.live import LiveStack
from tests.support.network import Network

FOLDER = os.environ.get("RFC4475_VECTORS")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="RFC4475_VECTORS does not name the folder with the messages of RFC 4475"
)

NO_LENGTH = "without one Content-Length nobody knows where the next message begins (18.3)"

ROWS: dict[str, Row] = {
    # 3.1.1 Valid messages
    "wsinv": Row(481),  # its To tag belongs to no dialog here
    "intmeth": Row(501),
    "esc01": Row(CALL),
    "escnull": Row(405),  # REGISTER, and no registrar here
    "esc02": Row(501),  # "RE%47IST%45R" is not REGISTER
    "lwsdisp": Row(200),
    "longreq": Row(CALL),
    "dblreq": Row(  # the first message only
        405,
        (405, 100),
        "server",
        because="on a stream the second message begins where the first ends; what follows is none",
    ),
    "semiuri": Row(200),
    "transports": Row(200),
    "mpart01": Row(405),  # MESSAGE
    "unreason": Row(STRAY),
    "noreason": Row(STRAY),
    # 3.1.2 Invalid messages
    "badinv01": Row(400),
    "clerr": Row(400, (), "peer", because="a stream has more octets to come for all it knows"),
    "ncl": Row(400, (400,), "server", because=NO_LENGTH),
    "scalar02": Row(400),
    "scalarlg": Row(STRAY),
    "quotbal": Row(400),
    "ltgtruri": Row(400),
    "lwsruri": Row(400),
    "lwsstart": Row(400),
    "trws": Row(200),  # white space after the request line: nothing is ambiguous
    "escruri": Row(CALL),  # the header in the Request-URI is ignored
    "baddate": Row(CALL),  # Date is not used
    "regbadct": Row(405),
    "badaspec": Row(400),
    "baddn": Row(200),  # where the display name ends is clear
    "badvers": Row(505),
    "mismatch01": Row(400),
    "mismatch02": Row(400),
    "bigcode": Row(NOISE),
    # 3.2 Transaction layer
    "badbranch": Row(200),
    # 3.3 Application layer
    "insuf": Row(400),
    "unkscm": Row(416),
    "novelsc": Row(416),
    "unksm2": Row(405),
    "bext01": Row(420),
    "invut": Row(415),
    "regaut01": Row(405),
    "multi01": Row(400),
    "mcl01": Row(400, (400,), "server", because=NO_LENGTH),
    "bcast": Row(STRAY),
    "zeromf": Row(200),
    "cparam01": Row(405),
    "cparam02": Row(405),
    "regescrt": Row(405),
    "sdp01": Row(406),
    # 3.4 Backward compatibility
    "inv2543": Row(CALL, (400,), "server", because=NO_LENGTH),
}


@pytest.fixture(scope="module")
def udp_server() -> Iterator[LiveStack]:
    with LiveStack() as live:
        yield live


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[LiveStack]:
    """One of its own: to the other the same message is a retransmission."""
    with LiveStack() as live:
        yield live


def message(name: str) -> bytes:
    return (Path(FOLDER or ".") / f"{name}.dat").read_bytes()


def answer(name: str) -> Response:
    [only] = check_endpoint(message(name), ROWS[name], "192.0.2.1", PEER)
    return only


def test_every_message_has_a_verdict() -> None:
    assert {path.stem for path in Path(FOLDER or ".").glob("*.dat")} == set(ROWS)
    assert len(ROWS) == 49
    assert all(row.because for row in ROWS.values() if row.closes or row.answers is not None)


@pytest.mark.parametrize("name", ROWS)
def test_the_parser(name: str) -> None:
    check_parser(message(name), ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_the_endpoint(name: str) -> None:
    check_endpoint(message(name), ROWS[name], "192.0.2.1", PEER)


@pytest.mark.parametrize("name", ROWS)
def test_over_udp(name: str, udp_server: LiveStack) -> None:
    check_udp(udp_server, message(name), ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_over_tcp(name: str, tcp_server: LiveStack) -> None:
    check_tcp(tcp_server, message(name), ROWS[name])


def test_401_is_not_asked_for() -> None:
    assert answer("regaut01").get("allow") == (
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY"
    )


def test_bext01_lists_what_is_unsupported() -> None:
    assert answer("bext01").values("unsupported") == [
        "nothingSupportsThis",
        "nothingSupportsThisEither",
    ]


def test_invut_says_what_is_accepted() -> None:
    assert answer("invut").get("accept") == "application/sdp"


def test_sdp01_says_why() -> None:
    assert (answer("sdp01").get("warning") or "").startswith("399 ")


def test_insuf_is_answered_without_what_it_lacks() -> None:
    lacking = answer("insuf")
    assert set(lacking.keys()) == {"via", "cseq", "content-length"}


def test_dblreq_is_one_message() -> None:
    assert parse(message("dblreq")).body == b""


def test_wsinv_is_read_whatever_its_spacing() -> None:
    parsed = parse(message("wsinv"))
    assert isinstance(parsed, Request)
    assert parsed.cseq == (9, "INVITE")
    assert parsed.to_tag == "1918181833n"
    assert parsed.via.branch == "390skdjuw"
    assert len(parsed.values("via")) == 3
    assert parsed.contact is not None
    assert parsed.contact.param("newparam") == "newvalue"


def test_badbranch_matches_no_other() -> None:
    network = Network()
    bob = network.add("bob")
    original = message("badbranch")
    for data in (original, original.replace(b"Call-ID: ", b"Call-ID: other")):
        assert [answer.status for answer in answers_at(bob, data, PEER)] == [200]
    assert bob.endpoint.retransmitted == 0
