"""The 49 torture messages of RFC 4475, each with the verdict for this user agent server.

The messages are not shipped: the environment variable RFC4475_VECTORS names the folder
that holds them as ``<name>.dat``, byte exact, named as in the RFC.
"""

import os
from pathlib import Path

import pytest

from sip.errors import ParseError
from sip.message import Request, Response, parse
from tests.support.builders import PEER
from tests.support.network import Network

FOLDER = os.environ.get("RFC4475_VECTORS")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="RFC4475_VECTORS does not name the folder with the messages of RFC 4475"
)

# The answer of the endpoint. 0: parses, but is a response to nothing of ours and is dropped.
# None: is no SIP message, and is dropped. "call": becomes a call.
EXPECTED: dict[str, int | str | None] = {
    # 3.1.1 Valid messages
    "wsinv": 481,  # its To tag belongs to no dialog here
    "intmeth": 501,
    "esc01": "call",
    "escnull": 405,  # REGISTER, and no registrar here
    "esc02": 501,  # "RE%47IST%45R" is not REGISTER
    "lwsdisp": 200,
    "longreq": "call",
    "dblreq": 405,  # the first message only
    "semiuri": 200,
    "transports": 200,
    "mpart01": 405,  # MESSAGE
    "unreason": 0,
    "noreason": 0,
    # 3.1.2 Invalid messages
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": 0,
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 200,  # white space after the request line: nothing is ambiguous
    "escruri": "call",  # the header in the Request-URI is ignored
    "baddate": "call",  # Date is not used
    "regbadct": 405,
    "badaspec": 400,
    "baddn": 200,  # where the display name ends is clear
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 400,
    "bigcode": None,
    # 3.2 Transaction layer
    "badbranch": 200,
    # 3.3 Application layer
    "insuf": 400,
    "unkscm": 416,
    "novelsc": 416,
    "unksm2": 405,
    "bext01": 420,
    "invut": 415,
    "regaut01": 405,
    "multi01": 400,
    "mcl01": 400,
    "bcast": 0,
    "zeromf": 200,
    "cparam01": 405,
    "cparam02": 405,
    "regescrt": 405,
    "sdp01": 406,
    # 3.4 Backward compatibility
    "inv2543": "call",
}


def message(name: str) -> bytes:
    return (Path(FOLDER or ".") / f"{name}.dat").read_bytes()


def answers(name: str) -> tuple[Network, list[Response]]:
    """What the endpoint sends at once for a message."""
    network = Network()
    bob = network.add("bob")
    bob.endpoint.receive_datagram(message(name), PEER, bob.listener, 0.0)
    sent = [(address, parse(data)) for _, address, data in bob.endpoint.outbox]
    assert all(address[0] == PEER[0] for address, _ in sent)  # whatever Via says
    return network, [answer for _, answer in sent if isinstance(answer, Response)]


def answer(name: str) -> Response:
    _, [only] = answers(name)
    return only


def test_every_message_has_a_verdict() -> None:
    assert {path.stem for path in Path(FOLDER or ".").glob("*.dat")} == set(EXPECTED)
    assert len(EXPECTED) == 49


@pytest.mark.parametrize("name", EXPECTED)
def test_the_parser(name: str) -> None:
    expected = EXPECTED[name]
    if expected is None:
        with pytest.raises(ParseError):
            parse(message(name))
        return
    parsed = parse(message(name))
    assert isinstance(parsed, Response if expected == 0 else Request)
    refused = (400, 505)
    if expected in refused:
        assert parsed.defect is None or parsed.defect.status in refused
    elif name != "scalarlg":
        assert parsed.defect is None
    assert parse(parsed.to_bytes()).to_bytes() == parsed.to_bytes()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_endpoint(name: str) -> None:
    expected = EXPECTED[name]
    network, sent = answers(name)
    [bob] = network.parties
    statuses = [response.status for response in sent]
    if expected in (None, 0):
        assert statuses == []
        assert bob.endpoint.discarded == 1
    elif expected == "call":
        assert statuses == [100]
        assert len(bob.endpoint.sessions) == 1
    else:
        assert statuses == [expected]
        assert bob.leftovers() == {}
    # A 400 copies the fields that made it necessary.
    assert all(response.defect is None or expected == 400 for response in sent)


def test_401_is_not_asked_for() -> None:
    assert answer("regaut01").get("allow") == (
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY"
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
        bob.endpoint.receive_datagram(data, PEER, bob.listener, 0.0)
    assert len(bob.endpoint.outbox) == 2
    assert bob.endpoint.retransmitted == 0
