"""What stands in the SIPp scenario of a recorded leg."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from simulator.trace_sipp import sipp_scenarios
from simulator.trace_views import TracedMessage

HERE, PEER = ("10.0.0.1", 5060), ("10.0.0.7", 5070)
INVITE, ACK, BYE = "INVITE sip:7001@10.0.0.1:5060", "ACK sip:1@10.0.0.1", "BYE sip:1@10.0.0.1"


def text(first: str, cseq: str, *lines: str, to_tag: bool = True, body: str = "") -> bytes:
    octets = body.encode("utf-8", "surrogateescape")
    first = first if first.startswith("SIP/2.0") else f"{first} SIP/2.0"
    return "\r\n".join([
        first, "Via: SIP/2.0/UDP 10.0.0.7:5070;branch=z9hG4bK7", "Call-ID: one",
        "From: <sip:1000@10.0.0.7:5070>;tag=caller",
        f"To: <sip:7001@10.0.0.1:5060>{';tag=server' * to_tag}", f"CSeq: {cseq}", *lines,
        f"Content-Length: {len(octets)}", "", body,
    ]).encode("utf-8", "surrogateescape")  # fmt: skip


def played(*messages: tuple[str, bytes, float] | tuple[str, bytes], leg: str = "caller") -> str:
    """The one scenario of a leg whose messages go ``in`` or ``out``."""
    traced: list[TracedMessage] = []
    at = 1000.0
    for direction, data, *after in messages:
        at += after[0] if after else 0.0
        traced.append(TracedMessage(at, direction, "UDP", HERE, PEER, data, "one", leg))
    (xml,) = sipp_scenarios(traced).values()
    return xml


def elements(xml: str) -> list[str]:
    """Tags and attributes in order: ``recv response=200 rrs=true``."""
    return [
        " ".join([one.tag, *(f"{key}={value}" for key, value in one.items())])
        for one in ET.fromstring(xml.encode())
    ]


def sends(xml: str) -> Sequence[str]:
    """The messages that it sends."""
    return [(one.text or "").strip("\n") for one in ET.fromstring(xml.encode()).iter("send")]


def test_pauses_provisional_responses_and_repetitions() -> None:
    invite = text(INVITE, "1 INVITE", to_tag=False)
    answer = text("SIP/2.0 200 OK", "1 INVITE", "Contact: <sip:10.0.0.1>")
    xml = played(
        ("in", invite),
        ("in", invite, 0.5),
        ("out", text("SIP/2.0 100 Trying", "1 INVITE", to_tag=False)),
        ("out", text("SIP/2.0 180 Ringing", "1 INVITE")),
        ("out", answer, 2.0),
        ("out", answer, 0.5),
        ("in", text(ACK, "1 ACK"), 0.01),
        ("in", text(BYE, "2 BYE"), 99.0),
        ("out", text("SIP/2.0 200 OK", "2 BYE")),
    )
    assert elements(xml) == [
        "send retrans=500",
        "recv response=100 optional=true",
        "recv response=180 optional=true",
        "recv response=200 rrs=true",
        "pause milliseconds=510",
        "send",
        "pause milliseconds=10000",
        "send retrans=500",
        "recv response=200",
    ]
    assert sends(xml)[1].startswith("ACK [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]")
    assert "To: <sip:7001@[remote_ip]:[remote_port]>[peer_tag_param]\n" in sends(xml)[1]


def test_a_ringing_that_is_cancelled_must_come() -> None:
    """Without something to wait for SIPp would cancel at once."""
    xml = played(
        ("in", text(INVITE, "1 INVITE", to_tag=False)),
        ("out", text("SIP/2.0 100 Trying", "1 INVITE", to_tag=False)),
        ("out", text("SIP/2.0 180 Ringing", "1 INVITE")),
        ("in", text(INVITE.replace("INVITE", "CANCEL"), "1 CANCEL", to_tag=False), 1.0),
    )
    assert elements(xml)[1:] == [
        "recv response=100",
        "recv response=180",
        "pause milliseconds=1000",
        "send retrans=500",
    ]
    branches = [line for one in sends(xml) for line in one.split("\n") if "branch=" in line]
    assert len(set(branches)) == 1


def test_an_answer_after_something_else_remembers_its_request() -> None:
    xml = played(
        ("out", text("INVITE sip:1001@10.0.0.7:5070", "5 INVITE", to_tag=False)),
        ("in", text("SIP/2.0 180 Ringing", "5 INVITE")),
        ("out", text("CANCEL sip:1001@10.0.0.7:5070", "5 CANCEL", to_tag=False)),
        ("in", text("SIP/2.0 200 OK", "5 CANCEL")),
        ("in", text("SIP/2.0 487 Request Terminated", "5 INVITE")),
        ("out", text("ACK sip:1001@10.0.0.7:5070", "5 ACK")),
        leg="agent",
    )
    variables = [one.get("assign_to") for one in ET.fromstring(xml.encode()).iter("ereg")]
    ringing, ok, terminated = sends(xml)
    assert all(f"[${name}]" in terminated for name in variables)
    assert "[last_CSeq:]" in ringing
    assert "[last_CSeq:]" in ok
    assert elements(xml)[-1] == "recv request=ACK"


def test_text_of_peers_is_sent_as_it_was() -> None:
    """No keyword of SIPp, no end of CDATA, no octet that XML cannot have."""
    odd = "[call_id] ]]> \\x41 <&> \u00fc\udcff\x01"
    xml = played(
        ("in", text(INVITE, "1 INVITE", f"Subject: {odd}", "X-A: <sip:10.0.0.1:5060>", to_tag=False,
                    body=f"v=0\r\nc=IN IP4 10.0.0.7\r\na={odd}\r\n")),
        ("out", text("SIP/2.0 486 Busy Here", "1 INVITE")),
    )  # fmt: skip
    (sent,) = sends(xml)
    as_sent = r"\x5bcall_id] \x5d]> \x5cx41 <&> \xc3\xbc\xff\x01"
    assert f"Subject: {as_sent}\n" in sent
    assert f"\na={as_sent}" in sent
    assert "X-A: <sip:[remote_ip]:[remote_port]>" in sent
    assert "c=IN IP[media_ip_type] [media_ip]" in sent


def test_credentials_want_the_password() -> None:
    login = 'Authorization: Digest username="1000", realm="x", response="xxxxxxxx"'
    xml = played(
        ("in", text(INVITE, "1 INVITE", to_tag=False)),
        ("out", text("SIP/2.0 401 Unauthorized", "1 INVITE")),
        ("in", text(ACK, "1 ACK")),
        ("in", text(INVITE, "2 INVITE", login, to_tag=False).replace(b"K7", b"K8")),
    )
    assert elements(xml)[1] == "recv response=401 auth=true"
    assert "[authentication username=1000 password=PASSWORD]" in sends(xml)[-1]


def test_a_reliable_ringing_is_acknowledged_by_its_number() -> None:
    xml = played(
        ("in", text(INVITE, "1 INVITE", to_tag=False)),
        ("out", text("SIP/2.0 180 Ringing", "1 INVITE", "RSeq: 4711", "Require: 100rel")),
        ("in", text("PRACK sip:1@10.0.0.1", "2 PRACK", "RAck: 4711 1 INVITE")),
    )
    assert elements(xml)[1] == "recv response=180 rrs=true"
    assert "RAck: [$rseq] 1 INVITE" in sends(xml)[1]
