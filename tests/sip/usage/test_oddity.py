"""What a peer does against the RFCs: served where that is safe, and noted once."""

import pytest

from sip.events import Answered, Invited, PeerOddity
from sip.usage import oddity
from tests.support.builders import request_text, response_text
from tests.support.network import ANSWER, Network, Party, Stranger


@pytest.fixture
def gateway(network: Network) -> Stranger:
    return network.add_stranger("gateway")


def noted(party: Party) -> list[str]:
    """The oddities that were reported, in order."""
    return [event.oddity for event in party.events if isinstance(event, PeerOddity)]


def via(gateway: Stranger, text: str = "SIP/2.0/UDP {at};branch=z9hG4bK1") -> str:
    return text.format(at=f"{gateway.address[0]}:{gateway.address[1]}")


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, []),
        ({"From": "<sip:carol@example.org>"}, [oddity.NO_FROM_TAG]),
        ({"Via": "SIP/2.0/UDP {at};branch=1"}, [oddity.NO_COOKIE]),
        ({"Via": "SIP/2.0/UDP {at}"}, [oddity.NO_COOKIE]),
        ({"Contact": None}, [oddity.NO_CONTACT]),
        ({"Max-Forwards": None}, [oddity.NO_HOPS]),
        ({"Max-Forwards": "many"}, [oddity.NO_HOPS]),
        ({"Via": "SIP/2.0/TCP {at};branch=z9hG4bK1"}, [oddity.OTHER_TRANSPORT]),
        ({"Via": "SIP/2.0/SMOKE {at};branch=z9hG4bK1"}, [oddity.OTHER_TRANSPORT]),
        ({"Via": "SIP / 2.0 / udp {at};branch=z9hG4bK1"}, []),
        ({"Contact": "<sip:c@198.51.100.9;transport=UDP>"}, [oddity.CAPITALS]),
        ({"Contact": "<sip:c@198.51.100.9;transport=udp>"}, []),
        ({"Contact": "<sip:c@198.51.100.9;x=Up>"}, []),
        (
            {"From": "<sip:c@h>", "Contact": None, "Max-Forwards": None, "Via": "SIP/2.0/UDP {at}"},
            [oddity.NO_FROM_TAG, oddity.NO_COOKIE, oddity.NO_CONTACT, oddity.NO_HOPS],
        ),
    ],
)
def test_an_odd_invite_is_served(
    network: Network,
    bob: Party,
    gateway: Stranger,
    headers: dict[str, str | None],
    wanted: list[str],
) -> None:
    """RFC 3261 sections 8.1.1 and 12.1.1; RFC 2543 systems among them."""
    headers = {"Via": via(gateway), **headers}
    headers["Via"] = via(gateway, headers["Via"] or "")
    gateway.send(bob, request_text("INVITE", headers))
    network.run(0.1)
    assert noted(bob) == wanted
    session = bob.take(Invited).session
    assert session.oddities == tuple(wanted)
    session.reject(network.now, 486)
    network.run(60)
    assert 486 in gateway.statuses("INVITE")


def test_the_call_is_told_before_its_oddities(
    network: Network, bob: Party, gateway: Stranger
) -> None:
    gateway.send(bob, request_text("INVITE", {"Via": via(gateway), "Max-Forwards": None}))
    network.run(0.1)
    assert bob.seen == ["Invited", "PeerOddity"]
    bob.take(Invited).session.reject(network.now, 486)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"INVITE sip:bob@192.0.2.1 SIP/2.0", None),
        (b"INVITE sip:bob@192.0.2.1 sip/2.0", "white space or case of the request line"),
    ],
)
def test_an_odd_request_line(
    network: Network, bob: Party, gateway: Stranger, raw: bytes, wanted: str | None
) -> None:
    """RFC 3261 section 7.1."""
    text = request_text("INVITE", {"Via": via(gateway)})
    gateway.send(bob, text.replace(b"INVITE sip:bob@192.0.2.1 SIP/2.0", raw, 1))
    network.run(0.1)
    assert [text.partition(" (")[0] for text in noted(bob)] == ([wanted] if wanted else [])
    bob.take(Invited).session.reject(network.now, 486)


def test_what_follows_the_body_is_left_out(network: Network, bob: Party, gateway: Stranger) -> None:
    """RFC 3261 section 18.3."""
    headers = {"Via": via(gateway), "Content-Length": "0"}
    gateway.send(bob, request_text("INVITE", headers, body="v=0\r\n"))
    network.run(0.1)
    assert noted(bob) == ["Content-Length is smaller than the body (RFC 3261 18.3)"]
    invited = bob.take(Invited)
    assert invited.request.body == b""
    invited.session.reject(network.now, 486)


@pytest.mark.parametrize(
    ("status", "tag", "lines", "wanted"),
    [
        (180, "t", "Contact: <sip:{at}>\r\n", []),
        (180, "", "Contact: <sip:{at}>\r\n", [oddity.NO_TO_TAG]),
        (180, "t", "", [oddity.NO_EARLY_CONTACT]),
        (200, "t", "Contact: <sip:{at}>\r\n", []),
        (200, "", "Contact: <sip:{at}>\r\n", [oddity.NO_TO_TAG]),
        (200, "t", "", [oddity.NO_ANSWERED_CONTACT]),
        (200, "t", "Contact: <sip:{at};transport=UDP>\r\n", [oddity.CAPITALS]),
    ],
)
def test_an_odd_response_is_taken(
    network: Network,
    bob: Party,
    gateway: Stranger,
    status: int,
    tag: str,
    lines: str,
    wanted: list[str],
) -> None:
    """RFC 3261 sections 8.2.6.2 and 12.1.1: without a Contact requests go where INVITE went."""
    session = bob.call(gateway)
    network.run(0.1)
    (invite,) = gateway.requests("INVITE")
    lines = lines.format(at=f"{gateway.address[0]}:{gateway.address[1]}")
    for _ in range(2):  # once for each kind
        gateway.send(bob, response_text(invite, status, tag, lines))
    network.run(0.1)
    assert noted(bob) == wanted
    if status == 180:
        gateway.send(bob, response_text(invite, 200, tag))
        network.run(0.1)
    bob.take(Answered)
    session.acknowledge(network.now)
    session.bye(network.now)
    network.run(0.1)
    assert len(gateway.requests("BYE")) == 1
    network.run(60)


def test_an_odd_status_line(network: Network, bob: Party, gateway: Stranger) -> None:
    """RFC 3261 section 7.2."""
    bob.call(gateway)
    network.run(0.1)
    (invite,) = gateway.requests("INVITE")
    text = response_text(invite, 200, "t", "Contact: <sip:198.51.100.9>\r\n")
    gateway.send(bob, text.replace(b"SIP/2.0 200 ", b"sip/2.0  200  ", 1))
    network.run(0.1)
    assert noted(bob) == ["white space or case of the status line (RFC 3261 7.2)"]
    network.run(60)


def answered(network: Network, bob: Party, gateway: Stranger) -> str:
    """A call from the gateway that bob has answered; the tag of bob."""
    gateway.send(bob, request_text("INVITE", {"Via": via(gateway)}))
    network.run(0.1)
    bob.take(Invited).session.answer(network.now, ANSWER)
    network.run(0.1)
    return gateway.responses("INVITE")[-1].to_tag or ""


def in_dialog(gateway: Stranger, method: str, tag: str, number: int = 1, **more: str) -> bytes:
    headers = {
        "Via": via(gateway).replace("K1", f"K{method}"),
        "To": f"<sip:bob@192.0.2.1>;tag={tag}",
        "CSeq": f"{number} {method}",
        **more,
    }
    return request_text(method, headers)


def test_a_late_ack(network: Network, bob: Party, gateway: Stranger) -> None:
    """RFC 3261 section 13.3.1.4: the call is up, however late it comes."""
    tag = answered(network, bob, gateway)
    network.run(5)
    gateway.send(bob, in_dialog(gateway, "ACK", tag))
    network.run(60)
    assert noted(bob) == [oddity.LATE_ACK]
    assert "Acknowledged" in bob.seen
    assert "Lost" not in bob.seen


def test_another_from_tag(network: Network, bob: Party, gateway: Stranger) -> None:
    """RFC 3261 section 12.2.2: not safe to serve, so 481; but the call shows it."""
    tag = answered(network, bob, gateway)
    gateway.send(bob, in_dialog(gateway, "ACK", tag))
    wrong = {"From": "<sip:carol@example.org>;tag=other"}
    gateway.send(bob, in_dialog(gateway, "BYE", tag, 2, **wrong))
    gateway.send(bob, in_dialog(gateway, "INFO", tag, 3, **wrong))
    gateway.send(bob, in_dialog(gateway, "UPDATE", tag, 4, **{**wrong, "Call-ID": "another"}))
    network.run(0.1)
    assert (gateway.statuses("BYE"), gateway.statuses("INFO")) == ([481], [481])
    assert noted(bob) == [oddity.OTHER_TAG]


def test_an_odd_request_in_the_dialog(network: Network, bob: Party, gateway: Stranger) -> None:
    tag = answered(network, bob, gateway)
    gateway.send(bob, in_dialog(gateway, "ACK", tag))
    bye = in_dialog(gateway, "BYE", tag, 2).replace(b" SIP/2.0\r\n", b" Sip/2.0\r\n", 1)
    gateway.send(bob, bye)
    network.run(0.1)
    assert noted(bob) == ["white space or case of the request line (RFC 3261 7.1)"]
    assert "Hungup" in bob.seen
