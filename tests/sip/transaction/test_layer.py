"""Matching and the way out: RFC 3261 sections 17.1.3, 17.2.3, 18.2 and RFC 3581."""

from random import Random

import pytest

from sip.endpoint import Endpoint
from sip.errors import InvalidValue, ParseError
from sip.ids import IdSource
from sip.message import Request
from sip.transaction.layer import branch_and_sent_by, server_key
from sip.transaction.server import reply_address, response_prefix, stamped_via
from sip.transport import Address, Listener, host_port
from sip.values import Via
from tests.sip.transaction.bench import Bench
from tests.support.builders import PEER, request, response

VIA = "SIP/2.0/UDP 198.51.100.9:5060"


@pytest.mark.parametrize(
    ("via", "parts"),
    [
        (f"{VIA};branch=z9hG4bKa", ("z9hG4bKa", "198.51.100.9:5060")),
        (f"{VIA};rport;branch=z9hG4bKa;x=y", ("z9hG4bKa", "198.51.100.9:5060")),
        (
            "SIP / 2.0 / UDP 198.51.100.9 : 5060 ;branch= z9hG4bKa",
            ("z9hG4bKa", "198.51.100.9:5060"),
        ),
        (f"{VIA};BRANCH=z9hG4bKa", ("z9hG4bKa", "198.51.100.9:5060")),
        (VIA, ("", "198.51.100.9:5060")),
    ],
)
def test_branch_and_sent_by(via: str, parts: tuple[str, str]) -> None:
    assert branch_and_sent_by(via) == parts


def test_a_via_that_is_none() -> None:
    with pytest.raises(ParseError):
        branch_and_sent_by("nonsense")


def key(method: str, via: str = f"{VIA};branch=z9hG4bKa", **headers: str) -> str:
    return server_key(request(method, {"Via": via, "CSeq": f"1 {method}", **headers}))


def test_ack_and_cancel_have_the_key_of_their_invite() -> None:
    assert key("INVITE") == key("ACK") == key("CANCEL")
    assert key("INVITE") != key("BYE")


@pytest.mark.parametrize(
    "via", [f"{VIA};branch=z9hG4bKb", "SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKa"]
)
def test_branch_and_sent_by_make_the_key(via: str) -> None:
    assert key("INVITE") != key("INVITE", via)


@pytest.mark.parametrize("via", [VIA, f"{VIA};branch=1", f"{VIA};branch=z9hG4bK"])
def test_without_the_magic_cookie_the_fields_of_rfc_2543_count(via: str) -> None:
    first = key("INVITE", via)
    assert first == key("INVITE", via) == key("ACK", via, To="<sip:bob@192.0.2.1>;tag=x")
    changes = ({"Call-ID": "other"}, {"From": "<sip:c@d>;tag=e"}, {"CSeq": "2 INVITE"})
    assert len({first, *(key("INVITE", via, **change) for change in changes)}) == 4


# Responses.


@pytest.mark.parametrize(
    "change",
    [
        {"Via": f"{VIA};branch=z9hG4bKother"},
        {"CSeq": "1 INVITE"},
    ],
)
def test_a_response_to_nothing_of_ours_is_counted(change: dict[str, str | None]) -> None:
    bench = Bench()
    tx = bench.client("OPTIONS")
    stray = request("OPTIONS", {"Via": tx.request.top_via, "CSeq": "1 OPTIONS", **change})
    bench.layer.receive_response(response(stray, 200), 0.0)
    assert bench.told == []
    assert bench.layer.discarded == 1


@pytest.mark.parametrize("joint", ["\r\nVia: ", ", "])
def test_a_response_with_two_vias_is_dropped(joint: str) -> None:  # section 8.1.3.3
    bench = Bench()
    tx = bench.client("OPTIONS")
    vias = f"{tx.request.top_via}{joint}SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx"
    bench.layer.receive_response(response(request("OPTIONS", {"Via": vias}), 200), 0.0)
    assert bench.told == []
    assert bench.layer.discarded == 1


def test_a_defective_response_is_dropped() -> None:
    bench = Bench()
    tx = bench.client("OPTIONS")
    bench.layer.receive_response(response(tx.request, 200, lines="Content-Length: 0\r\n"), 0.0)
    assert bench.told == []


def test_a_response_finds_its_transaction() -> None:
    bench = Bench()
    tx = bench.client("OPTIONS")
    bench.layer.receive_response(response(tx.request, 200, "bob"), 0.0)
    assert bench.told == [(0.0, 200)]


# The Via of a request received, and where its answer goes.


@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        (f"{VIA};branch=z9hG4bKa", f"{VIA};branch=z9hG4bKa"),
        (f"{VIA};rport;branch=z", f"{VIA};rport=7777;branch=z;received=198.51.100.9"),
        (f"{VIA};branch=z;rport", f"{VIA};branch=z;rport=7777;received=198.51.100.9"),
        (f"{VIA};branch=z;rport=1", f"{VIA};branch=z;rport=1"),
        (f"{VIA};rportal=z", f"{VIA};rportal=z"),
        (
            "SIP/2.0/UDP pc33.example.com;branch=z",
            "SIP/2.0/UDP pc33.example.com;branch=z;received=198.51.100.9",
        ),
        (
            "SIP/2.0/UDP pc33.example.com;received=1.2.3.4;branch=z;rport",
            "SIP/2.0/UDP pc33.example.com;branch=z;rport=7777;received=198.51.100.9",
        ),
        (
            f"{VIA};rport;branch=z, SIP/2.0/UDP a;branch=y",
            f"{VIA};rport=7777;branch=z;received=198.51.100.9, SIP/2.0/UDP a;branch=y",
        ),
    ],
)
def test_received_and_rport(via: str, stamped: str) -> None:
    assert stamped_via(request("OPTIONS", {"Via": via}), ("198.51.100.9", 7777)) == stamped


def test_an_ipv6_peer() -> None:
    sent = request("OPTIONS", {"Via": "SIP/2.0/UDP [2001:db8::9]:5070;branch=z"})
    assert "received" not in stamped_via(sent, ("2001:db8::9", 5070))
    assert Via.parse(stamped_via(sent, ("2001:db8::8", 5070))).received == "2001:db8::8"


SOURCE = ("198.51.100.9", 7777)


@pytest.mark.parametrize(
    ("via", "address"),
    [
        ("198.51.100.9:5070;rport", SOURCE),
        ("198.51.100.9:5070", ("198.51.100.9", 5070)),
        ("198.51.100.9", ("198.51.100.9", 5060)),
        ("pc33.example.com:5070", SOURCE),
        ("203.0.113.7:5070", SOURCE),
        ("198.51.100.9:99999", SOURCE),
        ("198.51.100.9:0650009", SOURCE),
        ("198.51.100.9:0", SOURCE),
        ("198.51.100.9:5070;maddr=203.0.113.7", ("198.51.100.9", 5070)),
    ],
)
def test_reply_address(via: str, address: Address) -> None:
    sent = request("OPTIONS", {"Via": f"SIP/2.0/UDP {via};branch=z9hG4bKa"})
    assert reply_address(sent, SOURCE) == address


@pytest.mark.parametrize(("port", "expected"), [(":5070", 5070), ("", 5060)])
def test_reply_address_of_an_ipv6_peer(port: str, expected: int) -> None:
    sent = request("OPTIONS", {"Via": f"SIP/2.0/UDP [2001:db8::9]{port};branch=z9hG4bKa"})
    assert reply_address(sent, ("2001:db8::9", 7777)) == ("2001:db8::9", expected)


def test_every_via_is_copied() -> None:
    vias = f"{VIA};branch=z9hG4bKa\r\nVia: SIP/2.0/UDP a;branch=y\r\nv: SIP/2.0/UDP b;branch=x"
    prefix = response_prefix(request("OPTIONS", {"Via": vias}), PEER, "tag")
    assert prefix == (
        f"Via: {VIA};branch=z9hG4bKa\r\nVia: SIP/2.0/UDP a;branch=y\r\n"
        "Via: SIP/2.0/UDP b;branch=x\r\nFrom: <sip:carol@example.org>;tag=carol\r\n"
        "To: <sip:bob@192.0.2.1>;tag=tag\r\nCall-ID: call@198.51.100.9\r\nCSeq: 1 OPTIONS\r\n"
    )


def test_a_tag_that_is_there_stays() -> None:
    sent = request("OPTIONS", {"To": "<sip:bob@192.0.2.1>;tag=theirs"})
    assert "To: <sip:bob@192.0.2.1>;tag=theirs\r\n" in response_prefix(sent, PEER, "ours")


# Listeners and look-ups.


def test_a_listener_for_each_transport() -> None:
    layer = Bench().layer
    assert layer.listener_for("UDP").transport == "UDP"
    with pytest.raises(InvalidValue, match="no TLS listener"):
        layer.listener_for("TLS")


def test_sent_by() -> None:
    assert Listener("UDP", "::1", 5060).sent_by("::2") == "[::1]:5060"
    assert host_port("192.0.2.1", 5060) == "192.0.2.1:5060"


def make(via: str) -> Request:
    return request("OPTIONS", {"Via": via})


def test_a_request_waits_for_its_name() -> None:
    bench = Bench()
    uri = "sip:bob@example.com"
    tx = bench.layer.start_client_at(uri, "OPTIONS", make, bench.listener, bench, 0.0)
    assert bench.layer.outbox == []
    assert tx.key == ""
    bench.tell("example.com", "192.0.2.9", 1.0)
    assert tx.address == ("192.0.2.9", 5060)
    assert bench.layer.clients == {tx.key: tx}
    assert len(bench.layer.outbox) == 1


def test_a_name_that_is_not_found_is_a_transport_error() -> None:
    bench = Bench()
    bench.layer.start_client_at("sip:bob@example.com", "OPTIONS", make, bench.listener, bench, 0.0)
    bench.tell("example.com", "", 1.0)
    assert bench.told == []  # never inside the call that sent the request
    bench.run(1.1)
    assert [status for _, status in bench.told] == [503]
    assert bench.empty


def test_a_transport_error_reaches_those_who_send_there() -> None:
    bench = Bench()
    bench.client("OPTIONS")
    bench.layer.transport_failed(bench.listener, ("203.0.113.1", 5060), 0.0)
    bench.layer.transport_failed(Listener("UDP", "192.0.2.1", 5062), PEER, 0.0)
    assert bench.told == []
    bench.layer.transport_failed(bench.listener, PEER, 0.0)
    assert bench.told == [(0.0, 503)]
    assert bench.empty


def test_a_request_that_was_given_up_before_its_name_was_known() -> None:
    bench = Bench()
    uri = "sip:bob@example.com"
    tx = bench.layer.start_client_at(uri, "INVITE", make, bench.listener, bench, 0.0)
    tx.cancelled(0.0)
    bench.run(33.0)
    bench.tell("example.com", "192.0.2.9", bench.now)
    assert [status for _, status in bench.told] == [408]
    assert bench.layer.outbox == []
    assert bench.empty


def test_a_listener_of_the_right_family() -> None:
    four, six = Listener("UDP", "192.0.2.1", 5060), Listener("UDP", "2001:db8::1", 5060)
    endpoint = Endpoint([four, six], IdSource(Random(1).randbytes))
    assert endpoint.listener_for("UDP", "198.51.100.1") is four
    assert endpoint.listener_for("UDP", "2001:db8::9") is six
    assert endpoint.listener_for("UDP", "host.example.com") is four
    with pytest.raises(InvalidValue, match=r"sip\.listen"):
        Endpoint([four], IdSource(Random(1).randbytes)).listener_for("UDP", "2001:db8::9")
