"""The ladder as a picture: well-formed whatever peers send, without a script."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from simulator.trace_svg import STYLE_HASH, svg_ladder
from simulator.trace_views import TracedMessage, TraceView

SVG = "{http://www.w3.org/2000/svg}"
GUID = "0123456789ABCDEF0123456789ABCDEF"
HERE, CALLER, AGENT = ("10.0.0.1", 5060), ("10.0.0.7", 5060), ("2001:db8::9", 5071)
HOSTILE = "<script>alert(1)</script>]]>&\"'\x00\x08\x0b\x1b[31m\u202e\ufffe\udc80<!--"


def sip(first: str, method: str, body: str = "", extra: str = "") -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    text = (
        f"{first}\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nFrom: <sip:5551234@x>;tag=a\r\n"
        f"To: <sip:7001@x>\r\nCall-ID: one\r\nCSeq: 1 {method}\r\n{extra}{kind}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    return text.encode("utf-8", "surrogateescape")


def message(
    data: bytes,
    direction: str = "in",
    leg: str = "caller",
    peer: tuple[str, int] = CALLER,
    note: str = "",
    time: float = 1000.0,
) -> TracedMessage:
    return TracedMessage(time, direction, "UDP", HERE, peer, data, leg, leg, note)


def mark(text: str) -> TracedMessage:
    return TracedMessage(1000.0, "", "", ("", 0), ("", 0), b"", "caller", "caller", text)


INVITE = sip("INVITE sip:7001@10.0.0.1 SIP/2.0", "INVITE", "v=0\r\n")


def drawn(*messages: TracedMessage, omitted: int = 0, guid: str = GUID) -> ET.Element:
    """The document as a browser's parser takes it."""
    return ET.fromstring(svg_ladder(TraceView(guid, True, omitted, list(messages))).encode())


def texts(root: ET.Element, kind: str) -> list[str]:
    """The texts of a class."""
    found = root.iter(f"{SVG}text")
    return ["".join(one.itertext()) for one in found if kind in one.get("class", "").split()]


def links(root: ET.Element) -> Iterator[ET.Element]:
    return (one for one in root.iter(f"{SVG}a") if one.get("id"))


def test_a_column_each_and_an_arrow_each() -> None:
    root = drawn(
        message(INVITE),
        message(sip("SIP/2.0 100 Trying", "INVITE"), "out"),
        message(INVITE, "out", "agent", AGENT, time=1000.25),
        message(sip("SIP/2.0 486 Busy Here", "INVITE"), "in", "agent", AGENT, time=1001.5),
    )
    assert texts(root, "name") == ["caller", "call server", "agent"]
    assert texts(root, "peer") == ["10.0.0.7:5060", "10.0.0.1:5060", "[2001:db8::9]:5071"]
    assert texts(root, "label") == ["INVITE (SDP)", "100 Trying", "INVITE (SDP)", "486 Busy Here"]
    assert texts(root, "time") == ["0.000", "0.000", "0.250", "1.500"]
    assert [one.get("class") for one in links(root)] == ["request", "early", "request", "bad"]
    shafts = [one for one in root.iter(f"{SVG}line") if one.get("class") == "shaft"]
    ways = [int(one.get("x1", "")) < int(one.get("x2", "")) for one in shafts]
    assert ways == [True, False, True, False]


def test_a_click_shows_the_whole_message() -> None:
    """The arrow leads to a text that only the target of the address makes visible."""
    root = drawn(message(INVITE))
    (arrow,) = links(root)
    (full,) = [one for one in root.iter(f"{SVG}g") if one.get("class") == "full"]
    assert arrow.get("href") == f"#{full.get('id')}"
    assert [one.get("href") for one in full.iter(f"{SVG}a")] == [f"#{arrow.get('id')}"]
    shown = texts(full, "octets")
    assert "UDP   10.0.0.7:5060 \u2192 10.0.0.1:5060" in shown[0]
    assert shown[1:] == [line for line in INVITE.decode().split("\r\n") if line]
    style = next(root.iter(f"{SVG}style")).text or ""
    assert ".full { display: none; }" in style
    assert ".full:target { display: inline; }" in style
    assert "prefers-color-scheme: dark" in style


def test_what_comes_again_is_marked() -> None:
    root = drawn(message(INVITE), message(INVITE), message(INVITE, "out", "agent", AGENT))
    assert [one.get("class") for one in links(root)] == ["request", "request again", "request"]
    assert texts(root, "label")[:2] == ["INVITE (SDP)", "INVITE (SDP) \u21bb"]


def test_notes_of_rules() -> None:
    root = drawn(message(INVITE, note="dropped by rule 3"), mark("rule 4 fired"))
    assert texts(root, "note") == ["\u2691 dropped by rule 3", "\u2691 rule 4 fired"]
    assert "dropped by rule 3" in texts(root, "about")[0]


def test_what_is_missing_is_said() -> None:
    assert texts(drawn(guid=""), "note") == ["\u2691 no messages"]
    assert texts(drawn(message(INVITE), omitted=7), "note") == [
        "\u2691 7 messages are not kept any more"
    ]


@pytest.mark.parametrize(
    "data",
    [
        sip(f"SIP/2.0 486 {HOSTILE}", "INVITE"),
        sip("INVITE sip:1@x SIP/2.0", "INVITE", HOSTILE, f"Subject: {HOSTILE}\r\n"),
        HOSTILE.encode("utf-8", "surrogateescape"),
        bytes(range(256)),
        b"SIP/2.0 999",
        b"SIP/2.0 ",
    ],
)
def test_text_of_peers_is_only_text(data: bytes) -> None:
    """No element, attribute or control character of it gets into the picture."""
    view = TraceView(GUID, True, 0, [message(data, leg=HOSTILE, note=HOSTILE), mark(HOSTILE)])
    text = svg_ladder(view)
    root = ET.fromstring(text.encode())
    known = {"svg", "title", "style", "text", "line", "g", "a", "rect", "path"}
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= known
    assert all(one.get("href", "#").startswith("#") for one in root.iter())
    assert all(not name.startswith("on") for one in root.iter() for name in one.attrib)
    allowed = re.compile(
        r"[\n\x20-\x7e\xa0-\u202d\u202f-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*"
    )
    assert allowed.fullmatch(text)


def test_long_lines_are_broken() -> None:
    data = sip("INVITE sip:1@x SIP/2.0", "INVITE", "", f"X: {'y' * 500}\r\n")
    shown = texts(drawn(message(data)), "octets")
    assert max(map(len, shown)) <= 110
    assert sum(line.count("y") for line in shown) == 500


def test_a_policy_can_allow_the_style_alone() -> None:
    style = next(drawn(message(INVITE)).iter(f"{SVG}style")).text or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert digest == STYLE_HASH
