"""Messages: scanned, folded, checked (RFC 3261 section 7), and written again."""

from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import message as message_module
from sip.errors import ParseError
from sip.fields import header_key
from sip.message import (
    Message,
    Request,
    Response,
    build_request,
    parse,
    reason_phrase,
    tag_of,
)
from tests.support.builders import request, request_text, response_text
from tests.support.growth import least_growth


def defect(data: bytes) -> str | None:
    message = parse(data)
    return None if message.defect is None else message.defect.reason


def headers(**fields: str | None) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


def test_a_request() -> None:
    message = request("INVITE", body="v=0\r\n")
    assert (message.method, message.uri) == ("INVITE", "sip:bob@192.0.2.1")
    assert message.body == b"v=0\r\n"
    assert message.call_id == "call@198.51.100.9"
    assert message.cseq == (1, "INVITE")
    assert (message.from_tag, message.to_tag) == ("carol", None)
    assert message.from_.uri == "sip:carol@example.org"
    assert message.to.uri == "sip:bob@192.0.2.1"
    assert message.contact is not None
    assert message.contact.uri == "sip:carol@198.51.100.9:5060"
    assert message.via.branch == "z9hG4bKtest"
    assert message.defect is None
    assert repr(message) == "<Request INVITE sip:bob@192.0.2.1>"


def test_a_response() -> None:
    message = parse(response_text(request(), 486, "bob", reason="Busy  Here"))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (486, "Busy  Here")
    assert message.to_tag == "bob"
    assert repr(message) == "<Response 486 Busy  Here>"


def test_a_response_may_lack_a_reason() -> None:
    for start in (b"SIP/2.0 200", b"SIP/2.0 200 "):
        message = parse(response_text(request(), 200).replace(b"SIP/2.0 200 Test", start))
        assert isinstance(message, Response)
        assert (message.status, message.reason) == (200, "")


def test_compact_and_odd_spellings() -> None:
    names = {
        "v": "via",
        "CALL-ID": "call-id",
        "cAlL-iD": "call-id",
        "X-Own": "x-own",
        "L": "content-length",
    }
    assert {name: header_key(name) for name in names} == names


def test_compact_forms_in_a_message() -> None:
    text = request_text(headers=headers(Call_ID=None, From=None, i="compact", f="<sip:a@b>;tag=c"))
    message = parse(text)
    assert message.defect is None
    assert (message.call_id, message.from_tag) == ("compact", "c")
    assert sorted(message.keys()) == sorted(
        ["via", "max-forwards", "to", "cseq", "contact", "content-length", "call-id", "from"]
    )


def test_folding() -> None:
    text = request_text(headers=headers(Subject="one\r\n two \r\n\t three", To="\r\n <sip:b@c>"))
    message = parse(text)
    assert message.defect is None
    assert message.get("subject") == "one two three"
    assert message.get("to") == "<sip:b@c>"
    assert ("Subject", "one two three") in list(message.lines())


def test_a_fold_after_the_start_line() -> None:
    assert defect(request_text(headers=headers(Via=None)).replace(b"\r\n", b"\r\n ", 1)) == (
        "a folded line follows the start line"
    )


def test_unfolding_takes_linear_time() -> None:
    def cost(length: int) -> float:
        text = request_text(headers=headers(Subject=f"a\r\n b{' ' * length}c"))
        started = thread_time()
        assert parse(text).defect is None
        return thread_time() - started

    # 8 where it is linear, 64 where it is quadratic
    assert least_growth(lambda: cost(60_000), lambda: cost(7_500), 24) < 24


def test_values_of_several_lines() -> None:
    message = request(headers=headers(Allow='INVITE, ACK\r\nAllow: "a,b" <x,y>,BYE\r\nallow:INFO'))
    assert message.all("allow") == ["INVITE, ACK", '"a,b" <x,y>,BYE', "INFO"]
    assert message.values("allow") == ["INVITE", "ACK", '"a,b" <x,y>', "BYE", "INFO"]
    assert message.all("require") == message.values("require") == []
    assert message.values("call-id") == ["call@198.51.100.9"]


def test_has_option() -> None:
    message = request(headers=headers(Supported="timer, 100REL"))
    assert message.has_option("supported", "100rel")
    assert not message.has_option("require", "100rel")


def test_top_via_of_several() -> None:
    vias = "SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2"
    assert request(headers=headers(Via=vias)).top_via == "SIP/2.0/UDP a;branch=z9hG4bK1"


def test_content_type() -> None:
    typed = request(headers=headers(Content_Type="Application/SDP ;charset=utf-8"))
    assert typed.content_type == "application/sdp"
    assert request().content_type == ""


def test_a_message_with_nothing() -> None:
    empty = Message("OPTIONS sip:a SIP/2.0")
    assert (empty.call_id, empty.top_via, empty.to_tag, empty.contact) == ("", "", None, None)
    assert list(empty.lines()) == []
    assert list(Message("OPTIONS sip:a SIP/2.0\r\nTo: a").keys()) == ["to"]


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@b>;tag=x", "x"),
        ("<sip:a@b;tag=uri>;tag=x;y=z", "x"),
        ("sip:a@b;tag=x", "x"),
        ("<sip:a@b> ; tag = x", "x"),
        ("<sip:a@b>;TAG=x", "x"),
        ('"a;tag=no" <sip:a@b>;tag=x', "x"),
        ('"a>;tag=no" <sip:a@b>', None),
        ('"open <sip:a@b>;tag=x', None),
        ("<sip:a@b>;tags", None),
        ("<sip:a@b>;Tag=@", None),
        ("<sip:a@b>;tag=", None),
        ("<sip:tag@b>", None),
        ("", None),
    ],
)
def test_tags(value: str, tag: str | None) -> None:
    assert tag_of(value) == tag


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (headers(Via=None), "Via is missing"),
        (headers(Call_ID=""), "Call-Id is missing"),
        (headers(CSeq=None), "Cseq is missing"),
        (headers(CSeq="1 BYE"), "the method in CSeq differs from the request's"),
        (headers(CSeq="x INVITE"), "CSeq: Malformed CSeq"),
        (headers(CSeq="2147483648 INVITE"), "CSeq: Malformed CSeq number"),
        (headers(Content_Length="-1"), "Content-Length is not a number"),
        (headers(Content_Length="\u0663"), "Content-Length is not a number"),
        (headers(Content_Length="1"), "Content-Length is larger than the body"),
        (headers(l="0"), "Content-Length stands twice"),
        (headers(From="<sip:a@b"), "From: Malformed address"),
        (headers(From='"a <sip:a@b>'), "From: Malformed address parameters"),
        (headers(To="sip:a b"), "To: Malformed address parameters"),
        (headers(To="sip:a@b>"), "To: Malformed address"),
        (headers(From="sip:a@b><"), "From: Malformed address"),
        (headers(To="sip:a b", Content_Length=None), "To: Malformed address parameters"),
        (headers(Subject="a\nb"), "bare CR or LF in the header"),
        (headers(Subject="a\rb"), "bare CR or LF in the header"),
        ({"Sub ject": "a"}, "a header line is not 'name: value'"),
        ({"Subject ": "a"}, None),
    ],
)
def test_defects(change: dict[str, str | None], reason: str | None) -> None:
    assert defect(request_text("INVITE", change)) == reason


def test_a_line_without_a_colon() -> None:
    assert defect(request_text().replace(b"Max-Forwards: 70", b"nonsense")) == (
        "a header line is not 'name: value'"
    )


def test_the_first_defect_counts() -> None:
    message = parse(request_text(headers=headers(Via=None, CSeq="x", To="<sip:a\nb>")))
    assert message.defect is not None
    assert message.defect.reason == "bare CR or LF in the header"
    assert message.defect.status == 400


def test_a_response_has_defects_too() -> None:
    assert defect(response_text(request(headers=headers(CSeq="x INVITE")), 200)) is not None


def test_a_body_ends_where_content_length_says() -> None:
    assert parse(request_text(headers=headers(Content_Length="2"), body="v=0")).body == b"v="
    assert parse(request_text(headers=headers(Content_Length=None), body="v=0")).body == b"v=0"


@pytest.mark.parametrize(
    ("start", "reason", "status"),
    [
        ("INVITE sip:a SIP/3.0", "this is SIP/2.0", 505),
        ("INVITE  sip:a SIP/2.0", "white space in the request line", 400),
        ("INVITE sip:a b SIP/2.0", "white space in the request line", 400),
        ("INV:TE sip:a SIP/2.0", "the method is not a token", 400),
    ],
)
def test_start_lines_that_are_answered(start: str, reason: str, status: int) -> None:
    message = parse(request_text().replace(b"INVITE sip:bob@192.0.2.1 SIP/2.0", start.encode()))
    assert isinstance(message, Request)
    assert message.defect is not None
    assert (message.defect.reason, message.defect.status) == (reason, status)


@pytest.mark.parametrize(
    "start", ["INVITE sip:bob@192.0.2.1 sip/2.0", "INVITE sip:bob@192.0.2.1 SIP/2.0 "]
)
def test_start_lines_that_are_forgiven(start: str) -> None:
    message = parse(request_text().replace(b"INVITE sip:bob@192.0.2.1 SIP/2.0", start.encode()))
    assert isinstance(message, Request)
    assert message.defect is None
    assert message.uri == "sip:bob@192.0.2.1"


def test_a_status_line_with_other_spacing() -> None:
    message = parse(
        response_text(request(), 200).replace(b"SIP/2.0 200 Test", b"sip/2.0  200 Fine")
    )
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (200, "Fine")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\n\n",
        b"\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"hello",
        b"SIP/2.0\r\n\r\n",
    ]
    + [
        f"SIP/2.0 {code} X\r\n\r\n".encode()
        for code in ("099", "700", "20", "2000", "2x0", "\u0662")
    ],
)
def test_what_is_no_sip(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse(data)


def test_leading_empty_lines_are_skipped() -> None:
    assert parse(b"\r\n\r\n" + request_text()).defect is None
    assert parse(b"\r\n" + request_text()).defect is None


def test_no_empty_line() -> None:
    assert defect(request_text().rstrip(b"\r\n")) == "no empty line after the header"


def test_octets_that_are_no_utf8_survive() -> None:
    text = request_text(headers=headers(Subject="caf\udce9"))
    message = parse(text)
    assert message.defect is None
    assert message.to_bytes() == text


def test_building() -> None:
    built = build_request("INFO", "sip:a@b", ["Call-ID: x"], b"abc", "text/plain")
    assert built.to_bytes() == (
        b"INFO sip:a@b SIP/2.0\r\nCall-ID: x\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )


def test_reason_phrases() -> None:
    phrases = [reason_phrase(status) for status in (486, 499, 100, 700)]
    assert phrases == ["Busy Here", "Bad Request", "Trying", "Unknown"]


# Parsing what was written gives the same again.

_texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)
_names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
_folds = st.sampled_from(["", "\r\n ", " \r\n\t"])


@settings()
@given(
    fields=st.lists(st.tuples(_names, _texts, _folds, _texts), max_size=5),
    body=st.binary(max_size=40),
    cut=st.integers(0, 80),
)
def test_writing_is_stable(fields: list[tuple[str, str, str, str]], body: bytes, cut: int) -> None:
    extra = "".join([f"{name}: {a}{fold}{b}\r\n" for name, a, fold, b in fields])
    start, _, rest = request_text(headers=headers(Content_Length=None)).partition(b"\r\n")
    data = start + b"\r\n" + extra.encode() + rest + body
    for octets in (data, data[:cut] + data[cut + 1 :]):
        try:
            first = parse(octets)
        except ParseError:
            continue
        again = parse(first.to_bytes())
        assert again.to_bytes() == first.to_bytes()
        assert list(again.lines()) == list(first.lines())
        assert type(again) is type(first)
        assert str(again.defect) == str(first.defect)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("", []),
        ("Allow: INVITE, ACK\r\nAllow:BYE\r\n", ["INVITE", "ACK", "BYE"]),
        ("Allow: INVITE,, ACK ,\r\nAllow:\r\n", ["INVITE", "ACK"]),
        ('Allow: "INVITE, ACK\r\n', ['"INVITE', "ACK"]),
    ],
)
def test_lists_of_tokens_are_read_whatever_stands_there(lines: str, found: list[str]) -> None:
    parsed = parse(response_text(request(), 200, lines=lines))
    assert parsed.tokens("allow") == found


def test_a_reason_phrase_that_looks_like_the_end_of_a_request_line() -> None:
    parsed = parse(b"SIP/2.0 200 SIP/2.0\r\n\r\n")
    assert isinstance(parsed, Response)
    assert (parsed.status, parsed.reason) == (200, "SIP/2.0")


def test_no_long_cseq_is_kept() -> None:
    """Those that calls share are kept: by their number, so they have to be short."""
    before = message_module._known_cseq.cache_info().currsize
    for number in range(50):
        parse(request_text("INVITE", {"CSeq": f"1 \N{LINEAR B SYLLABLE B008 A}{'a' * 99}{number}"}))
        parse(request_text("INVITE", {"CSeq": f"1 {'a' * 60_000}"}))
    assert message_module._known_cseq.cache_info().currsize == before
