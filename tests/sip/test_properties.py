"""Properties of messages whatever is in them: they round-trip, and no octets crash a reader.

The values that have types of their own are generated beside their tests (`test_uri`,
`test_values`, `test_sdp`, `test_auth`); here they meet in whole messages.
"""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.auth import Challenge, Credentials
from sip.errors import PeerError
from sip.grammar import plain_phrase
from sip.message import Message, Request, Response, build_request, parse
from sip.multipart import sdp_part
from sip.offer_answer import answer_to
from sip.sdp import Media, Origin, SessionDescription, rewrite_origin, same_media
from sip.stream import StreamFramer
from sip.uri import SipUri, TelUri, parse_uri
from sip.values import NameAddr, Via
from tests.fuzz.scene import Scene, read_all

pytestmark = pytest.mark.thousands

TOKEN = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~",
    min_size=1,
    max_size=12,
)
ESCAPED = st.text("abcXYZ019-_.!~*'()", min_size=1, max_size=10)
HOST = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?(\.[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True),
)
PORT = st.none() | st.integers(1, 65535)
PARAMS = st.lists(
    st.tuples(ESCAPED, st.none() | ESCAPED), max_size=3, unique_by=lambda p: p[0].lower()
).map(tuple)
SIP_URIS = st.builds(
    SipUri,
    user=st.none() | ESCAPED,
    host=HOST,
    port=PORT,
    scheme=st.sampled_from(["sip", "sips"]),
    params=PARAMS,
    headers=st.lists(st.tuples(ESCAPED, ESCAPED), max_size=2).map(tuple),
)
TEL_URIS = st.builds(TelUri, st.from_regex(r"\+[0-9][0-9.()-]{0,12}", fullmatch=True), PARAMS)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=15)
ADDRESSES = st.builds(NameAddr, (SIP_URIS | TEL_URIS).map(str), WORDS)
VIAS = st.builds(
    Via,
    st.sampled_from(["UDP", "TCP", "TLS", "WS"]),
    HOST,
    PORT,
    TOKEN.map(lambda branch: (("branch", f"z9hG4bK{branch}"), ("rport", None))),
)

# A field as a peer may write it: no octet is excluded but CR, LF and outer white space.
_RAW = st.binary(max_size=30).map(
    lambda octets: octets.translate(None, b"\r\n").strip(b" \t").decode("utf-8", "surrogateescape")
)
_NAMES = TOKEN.map(lambda name: f"X-{name}")
FIELDS = st.lists(st.tuples(_NAMES, _RAW), max_size=6)
BODIES = st.binary(max_size=60)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A valid request: typed values in the fields that it must have, anything in others."""
    method = draw(st.sampled_from(["INVITE", "OPTIONS", "BYE"]) | TOKEN)
    lines = [f"Via: {via}" for via in draw(st.lists(VIAS, min_size=1, max_size=3))]
    lines += [
        f"From: {draw(ADDRESSES).with_tag(draw(TOKEN))}",
        f"To: {draw(ADDRESSES)}",
        f"Call-ID: {draw(TOKEN)}@{draw(HOST)}",
        f"CSeq: {draw(st.integers(0, 2**31 - 1))} {method}",
    ]
    lines += [f"{name}: {value}" for name, value in draw(FIELDS)]
    return build_request(method, str(draw(SIP_URIS)), lines, draw(BODIES), "a/b")


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """A valid response to such a request."""
    request = draw(requests())
    status = draw(st.integers(100, 699))
    reason = draw(_RAW)
    _, _, lines = request.head.partition("\r\n")
    return Response(status, reason, f"SIP/2.0 {status} {reason}\r\n{lines}", request.body)


MESSAGES = requests() | responses()


def everything(message: Message) -> tuple[object, ...]:
    fields = [(name.lower(), value) for name, value in message.lines()]
    keys = sorted(message.keys())
    return (message.body, fields, keys, [message.all(key) for key in keys])


@given(MESSAGES)
def test_a_message_keeps_all_it_has(message: Request | Response) -> None:
    """To octets and back: start line, every field in its order, body; and to octets again."""
    data = message.to_bytes()
    again = parse(data)
    assert again.defect is None
    assert again.to_bytes() == data
    assert everything(again) == everything(message)
    if isinstance(message, Request):
        assert isinstance(again, Request)
        assert (again.method, again.uri) == (message.method, message.uri)
    else:
        assert isinstance(again, Response)
        assert (again.status, again.reason) == (message.status, plain_phrase(message.reason))


@given(MESSAGES)
def test_typed_values_survive(message: Request | Response) -> None:
    again = parse(message.to_bytes())
    assert again.via == message.via
    assert [Via.parse(v) for v in again.values("via")] == Via.parse_many(
        ", ".join(message.values("via"))
    )
    assert (again.from_, again.to, again.cseq) == (message.from_, message.to, message.cseq)
    assert (again.from_tag, again.to_tag) == (message.from_.tag, message.to.tag)


@given(MESSAGES, st.data())
def test_folding_changes_no_value(message: Request | Response, data: st.DataObject) -> None:
    """Section 7.3.1: a line break before white space is white space."""
    lines = message.to_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n")
    for index in range(1, len(lines)):
        name, _, value = lines[index].partition(b": ")
        if data.draw(st.booleans()):
            lines[index] = name + b":\r\n " + value
    folded = parse(b"\r\n".join(lines) + b"\r\n\r\n" + message.body)
    assert folded.defect is None
    assert everything(folded) == everything(message)


@given(st.lists(MESSAGES, max_size=4), st.data())
def test_any_split_of_a_stream_is_the_whole(
    messages: list[Request | Response], data: st.DataObject
) -> None:
    """Section 18.3: Content-Length alone says where a message ends."""
    wire = [message.to_bytes() for message in messages]
    stream = b"".join(wire)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = StreamFramer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[start:end])
    assert found == wire
    assert not framer.partial


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_octets_on_a_stream(pieces: list[bytes]) -> None:
    """Cut or refused: the same at any split, and never more than came."""
    framer, whole = StreamFramer(), StreamFramer()
    with suppress(PeerError):
        found = [message for piece in pieces for message in framer.feed(piece)]
        assert found == whole.feed(b"".join(pieces))
        assert sum(map(len, found)) <= sum(map(len, pieces))


@given(SIP_URIS | TEL_URIS)
def test_a_uri_is_written_as_it_is_read(uri: SipUri | TelUri) -> None:
    assert parse_uri(str(uri)) == uri
    assert NameAddr.parse(f"<{uri}>").address == uri


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_octets_crash_a_reader(data: bytes) -> None:
    read_all(data)
    text = data.decode("utf-8", "surrogateescape")
    for reader in (parse_uri, NameAddr.parse, Via.parse, Challenge.parse, Credentials.parse):
        with suppress(PeerError):
            reader(text)
        with suppress(PeerError):
            reader(f"Digest {text}")
    with suppress(PeerError):
        SessionDescription.parse(b"v=0\r\no=- 1 1 IN IP4 a\r\n" + data)
    sdp_part("multipart/mixed;boundary=b", b"--b\r\n" + data)
    sdp_part(text, data)
    same_media(data, b"a=sendrecv\n" + data)
    assert rewrite_origin(data, b"o=x") is not None


@settings(max_examples=150)
@given(st.lists(MESSAGES, max_size=3))
def test_no_message_crashes_the_endpoint(messages: list[Request | Response]) -> None:
    scene = Scene()
    for message in messages:
        scene.receive(message.to_bytes())
        scene.pass_time(0.5)
    assert scene.end() == {}


# SDP: offers of any media get an answer with a section for each (RFC 3264 section 6).

_MEDIA = st.builds(
    lambda kind, port, profile, formats, lines: Media(
        (f"m={kind} {port} {profile} {' '.join(formats)}", *lines)
    ),
    st.sampled_from(["audio", "video", "image", "application"]),
    st.integers(0, 65535),
    st.sampled_from(["RTP/AVP", "RTP/SAVP", "udptl", "UDP/BFCP"]),
    st.lists(st.sampled_from(["0", "8", "18", "96", "101", "t38", "*"]), min_size=1, max_size=4),
    st.lists(
        st.sampled_from(
            ["a=sendonly", "a=inactive", "a=rtpmap:96 opus/48000/2", "a=ptime:20",
             "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "c=IN IP6 ::1", "b=AS:64"]
        ),
        max_size=3,
        unique=True,
    ),
)  # fmt: skip
OFFERS = st.builds(
    lambda media: SessionDescription(
        ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"), tuple(media)
    ),
    st.lists(_MEDIA, min_size=1, max_size=4),
)


@given(OFFERS)
def test_a_description_round_trips(offer: SessionDescription) -> None:
    again = SessionDescription.parse(offer.to_bytes())
    assert again == offer
    assert again.to_bytes() == offer.to_bytes()


@given(OFFERS)
def test_an_offer_has_an_answer(offer: SessionDescription) -> None:
    answer = answer_to(offer, "192.0.2.2", 7000, origin=Origin.local("192.0.2.2", 7))
    assert [section.kind for section in answer.media] == [s.kind for s in offer.media]
    for ours, theirs in zip(answer.media, offer.media, strict=True):
        assert ours.protocol == theirs.protocol
        if theirs.rejected:
            assert ours.rejected
        if not ours.rejected:
            assert set(ours.formats) <= set(theirs.formats)
    assert SessionDescription.parse(answer.to_bytes()) == answer
