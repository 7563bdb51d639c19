"""sip.sdp: RFC 8866 descriptions, RFC 3264 offer and answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.errors import InvalidValue, ParseError
from sip.offer_answer import answer_to, fast_answer, make_offer
from sip.sdp import (
    Direction,
    Media,
    Origin,
    SessionDescription,
    origin_line,
    rewrite_origin,
    same_media,
)

relaxed = settings()
ORIGIN = Origin("-", 7, 1, "IN", "IP4", "192.0.2.9")
DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


def body(*lines: str) -> bytes:
    return "".join([f"{line}\r\n" for line in lines]).encode("utf-8", "surrogateescape")


def parse(*lines: str) -> SessionDescription:
    return SessionDescription.parse(body(*lines))


HEAD = ("v=0", "o=- 1 2 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")

# RFC 8866 section 5.
RFC8866 = body(
    "v=0",
    "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1",
    "s=Call to John Smith",
    "i=SDP Offer #1",
    "u=http://www.jdoe.example.com/home.html",
    "e=Jane Doe <jane@jdoe.example.com>",
    "p=+1 617 555-6011",
    "c=IN IP4 198.51.100.1",
    "t=0 0",
    "m=audio 49170 RTP/AVP 0",
    "m=audio 49180 RTP/AVP 0",
    "m=video 51372 RTP/AVP 99",
    "c=IN IP6 2001:db8::2",
    "a=rtpmap:99 h263-1998/90000",
)


class TestOrigin:
    def test_round_trip(self) -> None:
        origin = Origin.parse("jdoe 2890844526 2890842807 IN IP4 10.47.16.5")
        assert origin == Origin("jdoe", 2890844526, 2890842807, "IN", "IP4", "10.47.16.5")
        assert str(origin) == "jdoe 2890844526 2890842807 IN IP4 10.47.16.5"
        assert origin.to_line() == b"o=jdoe 2890844526 2890842807 IN IP4 10.47.16.5"
        assert origin.bumped() == Origin.parse("jdoe 2890844526 2890842808 IN IP4 10.47.16.5 ")

    def test_local(self) -> None:
        assert str(Origin.local("192.0.2.1", 5)) == "- 5 1 IN IP4 192.0.2.1"
        assert str(Origin.local("2001:db8::1", 5, 9)) == "- 5 9 IN IP6 2001:db8::1"
        with pytest.raises(InvalidValue, match=r"^SDP address: "):
            Origin.local("a b", 1)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "- 1 1 IN IP4",
            "- 1 1 IN IP4 a b",
            "-  1 IN IP4 a",
            "- x 1 IN IP4 a",
            "- -1 1 IN IP4 a",
            "- 1 ٣ IN IP4 a",
            "- 1 " + "9" * 21 + " IN IP4 a",
            "\t 1 1 IN IP4 a",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"^Malformed SDP origin"):
            Origin.parse(text)

    @pytest.mark.parametrize("word", ["", "a b", "a\r\nb", "a\0", "\ud800"])
    def test_invalid_local_values(self, word: str) -> None:
        with pytest.raises(InvalidValue, match=r"^SDP origin"):
            Origin(word, 1, 1, "IN", "IP4", "a")
        with pytest.raises(InvalidValue, match=r"^SDP origin"):
            Origin("-", 1, 1, "IN", "IP4", word)

    @pytest.mark.parametrize(("number", "version"), [(-1, 1), (1, 10**20)])
    def test_numbers_out_of_range(self, number: int, version: int) -> None:
        with pytest.raises(InvalidValue, match=r"^SDP origin sess-"):
            Origin("-", number, version, "IN", "IP4", "a")


class TestModel:
    def test_example(self) -> None:
        description = SessionDescription.parse(RFC8866)
        assert description.to_bytes() == RFC8866
        assert description.origin.username == "jdoe"
        assert description.connection == "198.51.100.1"
        first, second, video = description.media
        assert (first.kind, first.port, first.port_count) == ("audio", 49170, 1)
        assert (first.protocol, first.formats, first.attributes) == ("RTP/AVP", ("0",), ())
        assert second.connection == "198.51.100.1"
        assert video.connection == "2001:db8::2"
        assert video.attributes == (("rtpmap", "99 h263-1998/90000"),)
        assert first.encodings == {"0": "PCMU/8000"}
        assert video.encodings == {"99": "h263-1998/90000"}

    @pytest.mark.parametrize(
        "lines",
        [
            HEAD,
            HEAD[:2],
            (*HEAD, "a=tool:x", "m=audio 4000/2 RTP/AVP 0 8 ", "a=", "y=unknown", "b=AS:64"),
            (*HEAD, "m=audio  04000  RTP/AVP  0  8", "c=IN IP4 224.2.1.1/127/3", "a=x:\udcff"),
            (*HEAD[:2], "s=", "t=0 0", "r=7d 1h 0 25h", "m=image 5 udptl t38", "k=prompt"),
        ],
    )
    def test_round_trip(self, lines: tuple[str, ...]) -> None:
        assert parse(*lines).to_bytes() == body(*lines)

    def test_line_breaks_are_tolerated(self) -> None:
        whole = SessionDescription.parse(RFC8866)
        assert SessionDescription.parse(RFC8866.replace(b"\r\n", b"\n")) == whole
        assert SessionDescription.parse(RFC8866.rstrip()) == whole
        assert SessionDescription.parse(RFC8866 + b"\r\n\n") == whole

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"\r\n",
            b"\0",
            b"v=1\r\no=- 1 1 IN IP4 a\r\n",
            b"o=- 1 1 IN IP4 a\r\nv=0\r\n",
            b"v=0\r\n",
            b"v=0\r\ns=-\r\n",
            b"v=0\r\no=- 1 1 IN IP4\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\no=- 1 1 IN IP4 a\r\n",
            b"v=0\r\n\r\no=- 1 1 IN IP4 a\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\ns=a\rb\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\ns=a\0b\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4 a b\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\n1=x\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nsx\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1 RTP/AVP\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 65536 RTP/AVP 0\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio -1 RTP/AVP 0\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio \xd9\xa3 RTP/AVP 0\r\n",
            b"v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1 RTP/AVP 0\r\nc=IN\r\n",
        ],
    )
    def test_malformed(self, octets: bytes) -> None:
        with pytest.raises(ParseError, match=r"^Malformed SDP"):
            SessionDescription.parse(octets)
        with pytest.raises(ParseError):
            fast_answer(octets, "192.0.2.9", 6000, ORIGIN.sess_id)

    def test_invalid_local_values(self) -> None:
        for lines in ((), ("a=x",), ("m=audio 1 RTP/AVP 0", "m=audio 1 RTP/AVP 0")):
            with pytest.raises(InvalidValue, match=r"^SDP media: "):
                Media(lines)
        with pytest.raises(InvalidValue, match=r"^SDP media: "):
            Media(("m=audio 1 RTP/AVP 0", "a=x\r\na=y"))
        with pytest.raises(InvalidValue, match=r"^SDP session: "):
            SessionDescription(("v=0", "o=- 1 1 IN IP4 a", "s=\ud800"))

    def test_sections_learn_their_session(self) -> None:
        lone = Media(("m=audio 1 RTP/AVP 0",))
        assert lone.connection is None
        description = SessionDescription((*HEAD, "a=inactive"), (lone,))
        assert description.media == (lone,)
        assert description.attributes == (("inactive", None),)
        assert description.media[0].connection == "192.0.2.1"
        assert description.media[0].direction == "inactive"

    def test_with_origin_keeps_all_else(self) -> None:
        description = SessionDescription.parse(RFC8866)
        moved = description.with_origin(ORIGIN)
        assert moved.origin == ORIGIN
        assert moved.to_bytes() == rewrite_origin(RFC8866, ORIGIN.to_line())

    @given(
        st.lists(st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"))),
        st.lists(st.sampled_from(["m=audio 4 RTP/AVP 0 8", "a=sendonly", "a=x:y", "z=", "k=1"])),
    )
    @relaxed
    def test_any_lines_round_trip(self, texts: list[str], rest: list[str]) -> None:
        octets = body(*HEAD, *[f"a={text}" for text in texts], *rest)
        assert SessionDescription.parse(octets).to_bytes() == octets


class TestDirection:
    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_own_and_inherited(self, direction: Direction) -> None:
        own = parse(*HEAD, "a=recvonly", "m=audio 4 RTP/AVP 0", f"a={direction}")
        assert own.media[0].direction == direction
        inherited = parse(*HEAD, f"a={direction}", "m=audio 4 RTP/AVP 0")
        assert inherited.media[0].direction == direction

    def test_default(self) -> None:
        assert parse(*HEAD, "m=audio 4 RTP/AVP 0").media[0].direction == "sendrecv"

    def test_with_direction(self) -> None:
        description = parse(
            *(*HEAD, "a=sendrecv", "a=tool:x"),
            *("m=audio 4 RTP/AVP 0", "a=recvonly", "a=ptime:20", "a=inactive"),
            *("m=video 0 RTP/AVP 99", "m=audio 6 RTP/AVP 0", "a=ptime:20"),
        )
        held = description.with_direction("sendonly")
        assert held.to_bytes() == body(
            *(*HEAD, "a=tool:x"),
            *("m=audio 4 RTP/AVP 0", "a=sendonly", "a=ptime:20"),
            *("m=video 0 RTP/AVP 99", "m=audio 6 RTP/AVP 0", "a=ptime:20", "a=sendonly"),
        )
        assert held.origin == description.origin
        with pytest.raises(InvalidValue, match=r"^SDP direction: "):
            held.with_direction("hold")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("lines", "is_hold"),
        [
            (("m=audio 4 RTP/AVP 0",), False),
            (("m=audio 4 RTP/AVP 0", "a=sendonly"), True),
            (("m=audio 4 RTP/AVP 0", "a=inactive"), True),
            (("m=audio 4 RTP/AVP 0", "a=recvonly"), False),
            (("a=sendonly", "m=audio 4 RTP/AVP 0"), True),
            (("a=sendonly", "m=audio 4 RTP/AVP 0", "a=sendrecv"), False),
            (("m=audio 4 RTP/AVP 0", "c=IN IP4 0.0.0.0"), True),
            (("m=audio 4 RTP/AVP 0", "c=IN IP6 ::"), True),
            (("m=audio 0 RTP/AVP 0", "a=sendonly"), False),
            (("m=video 4 RTP/AVP 99", "a=sendonly"), True),
            (("m=audio 4 RTP/AVP 0", "a=sendonly", "m=video 4 RTP/AVP 99"), True),
            (("m=audio 4 RTP/AVP 0", "a=sendonly", "m=audio 6 RTP/AVP 0"), False),
            ((), False),
        ],
    )
    def test_hold(self, lines: tuple[str, ...], is_hold: bool) -> None:
        """RFC 3264 section 8.4."""
        assert parse(*HEAD, *lines).is_hold is is_hold

    def test_rejected(self) -> None:
        assert parse(*HEAD, "m=audio 0 RTP/AVP 0").rejected
        assert not parse(*HEAD, "m=audio 0 RTP/AVP 0", "m=video 1 RTP/AVP 99").rejected


class TestMakeOffer:
    def test_default(self) -> None:
        assert make_offer("192.0.2.1", 4000, 12).to_bytes() == body(
            "v=0",
            "o=- 12 1 IN IP4 192.0.2.1",
            "s=-",
            "c=IN IP4 192.0.2.1",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0 8 101",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=sendrecv",
        )

    def test_other_codecs(self) -> None:
        codecs = ("opus/48000/2", "g722", "AMR/8000", "telephone-event/48000", "telephone-event")
        (media,) = make_offer("2001:db8::1", 4000, 12, codecs).media
        assert media.connection == "2001:db8::1"
        assert media.encodings == {
            "96": "opus/48000/2",
            "9": "G722/8000",
            "97": "AMR/8000",
            "101": "telephone-event/48000",
            "98": "telephone-event/8000",
        }

    @pytest.mark.parametrize(
        ("address", "port", "codecs"),
        [
            ("192.0.2.1", 4000, ()),
            ("192.0.2.1", 4000, ("opus",)),
            ("192.0.2.1", 4000, ("PCMU", "PCMU")),
            ("192.0.2.1", 4000, ("a b/8000",)),
            ("192.0.2.1", 4000, ("a/8000\r\nm=x",)),
            ("192.0.2.1", 4000, tuple(f"c{n}/8000" for n in range(40))),
            ("192.0.2.1", 0, ("PCMU",)),
            ("192.0.2.1", 65536, ("PCMU",)),
            ("a\r\nb", 4000, ("PCMU",)),
        ],
    )
    def test_invalid_local_values(self, address: str, port: int, codecs: tuple[str, ...]) -> None:
        with pytest.raises(InvalidValue):
            make_offer(address, port, 1, codecs)


def answer_media(*lines: str, codecs: tuple[str, ...] | None = None) -> list[str]:
    """The media lines of the answer; the fast way must give the same answer."""
    offer = body(*HEAD, *lines)
    chosen = codecs or ("PCMU", "PCMA", "telephone-event")
    model = answer_to(SessionDescription.parse(offer), "192.0.2.9", 6000, chosen, origin=ORIGIN)
    octets = model.to_bytes()
    assert fast_answer(offer, "192.0.2.9", 6000, ORIGIN.sess_id, chosen) == octets
    assert SessionDescription.parse(octets) == model
    text = octets.decode().split("\r\n")
    assert text[:5] == ["v=0", f"o={ORIGIN}", "s=-", "c=IN IP4 192.0.2.9", "t=0 0"]
    return text[5:-1]


class TestAnswer:
    def test_common_codecs_in_the_order_of_the_offer(self) -> None:
        assert answer_media(
            "m=audio 4000 RTP/AVP 18 8 96 0 101 13",
            "a=rtpmap:18 G729/8000",
            "a=fmtp:18 annexb=no",
            "a=rtpmap:8 pcma/8000/1",
            "a=rtpmap:96 opus/48000/2",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
            "a=ptime:20",
        ) == [
            "m=audio 6000 RTP/AVP 8 0 101",
            "a=rtpmap:8 pcma/8000/1",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-16",
            "a=sendrecv",
        ]

    @pytest.mark.parametrize(
        ("offered", "answered"),
        [
            ("sendrecv", "sendrecv"),
            ("sendonly", "recvonly"),
            ("recvonly", "sendonly"),
            ("inactive", "inactive"),
        ],
    )
    def test_direction_is_mirrored(self, offered: str, answered: str) -> None:
        lines = ["m=audio 6000 RTP/AVP 0", f"a={answered}"]
        assert answer_media("m=audio 4 RTP/AVP 0", f"a={offered}") == lines
        assert answer_media(f"a={offered}", "m=audio 4 RTP/AVP 0") == lines

    def test_refused_sections_keep_their_place(self) -> None:
        assert answer_media(
            "m=video 5000 RTP/AVP 99 100",
            "a=rtpmap:99 h264/90000",
            "m=audio 0 RTP/AVP 0",
            "m=audio 4000 RTP/SAVP 0",
            "m=audio 4000/2 RTP/AVP 0",
            "m=audio 4000 RTP/AVPF 0 0",
            "m=audio 4002 RTP/AVP 0",
            "m=image 9 udptl t38",
        ) == [
            "m=video 0 RTP/AVP 99 100",
            "m=audio 0 RTP/AVP 0",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=audio 6000 RTP/AVPF 0",
            "a=sendrecv",
            "m=audio 0 RTP/AVP 0",
            "m=image 0 udptl t38",
        ]

    @pytest.mark.parametrize(
        "line", ["m=audio 4 RTP/AVP 97", "m=audio 4 RTP/AVP 13 101", "m=audio 4 RTP/SAVP 0"]
    )
    def test_nothing_in_common(self, line: str) -> None:
        assert answer_media(line, "a=rtpmap:101 telephone-event/8000") == [
            line.replace("audio 4", "audio 0")
        ]

    def test_events_need_the_clock_of_the_speech(self) -> None:
        """RFC 4733 section 2.1."""
        offer = (
            "m=audio 4 RTP/AVP 96 0 101 102",
            "a=rtpmap:96 opus/48000/2",
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:102 TELEPHONE-EVENT/48000",
        )
        assert answer_media(*offer)[0] == "m=audio 6000 RTP/AVP 0 101"
        opus = ("OPUS/48000/2", "telephone-event")
        assert answer_media(*offer, codecs=opus)[0] == "m=audio 6000 RTP/AVP 96 102"
        assert answer_media(*offer, codecs=("PCMU",))[0] == "m=audio 6000 RTP/AVP 0"

    def test_the_rtpmap_decides_over_the_static_type(self) -> None:
        assert answer_media("m=audio 4 RTP/AVP 0", "a=rtpmap:0 x/8000", "a=rtpmap") == [
            "m=audio 0 RTP/AVP 0"
        ]

    def test_the_times_of_the_offer(self) -> None:
        """RFC 3264 section 6."""
        offer = body(*HEAD[:4], "t=1 2", "r=7d 1h 0", "t=3 4", "m=audio 4 RTP/AVP 0")
        answer = fast_answer(offer, "2001:db8::9", 6000, ORIGIN.sess_id).decode().split("\r\n")
        assert answer[3:7] == ["c=IN IP6 2001:db8::9", "t=1 2", "r=7d 1h 0", "t=3 4"]
        untimed = fast_answer(body(*HEAD[:4], "m=audio 4 RTP/AVP 0"), "h", 6000, ORIGIN.sess_id)
        assert untimed.decode().split("\r\n")[4] == "t=0 0"

    def test_an_offer_without_media(self) -> None:
        assert answer_media() == []

    @pytest.mark.parametrize(("address", "port"), [("192.0.2.9", 0), ("192.0.2.9", 65536), ("", 1)])
    def test_invalid_local_values(self, address: str, port: int) -> None:
        offer = make_offer("192.0.2.1", 4000, 1)
        with pytest.raises(InvalidValue):
            answer_to(offer, address, port, origin=ORIGIN)
        with pytest.raises(InvalidValue):
            fast_answer(offer.to_bytes(), address, port, ORIGIN.sess_id)

    def test_our_own_offer_is_answered_in_full(self) -> None:
        offer = make_offer("192.0.2.1", 4000, 1)
        answer = answer_to(offer, "192.0.2.9", 6000, origin=ORIGIN)
        assert answer.media[0].formats == offer.media[0].formats
        assert answer.media[0].attributes == offer.media[0].attributes


class TestFastAnswer:
    """The fast way and the model are the same function."""

    @staticmethod
    def outcome(offer: bytes, fast: bool) -> bytes | None:
        try:
            if fast:
                return fast_answer(offer, "192.0.2.9", 6000, ORIGIN.sess_id)
            model = SessionDescription.parse(offer)
            return answer_to(model, "192.0.2.9", 6000, origin=ORIGIN).to_bytes()
        except ParseError:
            return None

    @given(
        st.lists(
            st.sampled_from(
                [
                    "s=-",
                    "c=IN IP4 a",
                    "c=IN IP4",
                    "t=0 0",
                    "t=0 1",
                    "r=1",
                    "b=AS:64",
                    "a=x",
                    "a=sendonly",
                    "a=inactive",
                    "a=inactive ",
                    "m=audio 4000 RTP/AVP 0 8 101",
                    "m=audio 4000 RTP/AVP 0 101 ",
                    "m=audio 99999 RTP/AVP 0",
                    "m=audio 0 RTP/AVP 0",
                    "m=audio 4000  RTP/AVP 8",
                    "m=audio 4000 RTP/AVP",
                    "m=video 4000 RTP/AVP 99",
                    "a=rtpmap:101 telephone-event/8000",
                    "a=fmtp:101 0-15",
                    "a=fmtp:0 \udcff",
                    "o=- 1 1 IN IP4 a",
                    "",
                    "a=x\ny",
                    "a=x\nb=y",
                    "a=\0",
                ]
            ),
            max_size=8,
        )
    )
    @relaxed
    def test_same_outcome(self, lines: list[str]) -> None:
        for offer in (body("v=0", "o=- 1 2 IN IP4 a", *lines), body(*HEAD, *lines)):
            assert self.outcome(offer, fast=True) == self.outcome(offer, fast=False)

    def test_long_sections(self) -> None:
        offer = body(*HEAD, "m=audio 4 RTP/AVP 0", f"a=x:{'y' * 5000}")
        assert self.outcome(offer, fast=True) == self.outcome(offer, fast=False)

    @pytest.mark.parametrize("piece", ["a=x\r\n", "b=", " ", "t=0 0\r\n", "\r\n", "m=audio 1 "])
    def test_hostile_repetition_takes_linear_time(self, piece: str) -> None:
        offer = body(*HEAD) + piece.encode() * 10_000
        assert self.outcome(offer + b"\0", fast=True) is None


class TestBytes:
    def test_origin_line(self) -> None:
        assert origin_line(RFC8866) == b"o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1"
        assert origin_line(b"v=0\no=a\ns=-") == b"o=a"
        assert origin_line(b"v=0\r\no=a") == b"o=a"
        assert origin_line(b"v=0\r\ns=o=a\r\n") is None

    def test_rewrite_origin(self) -> None:
        line = ORIGIN.to_line()
        assert rewrite_origin(b"v=0\r\no=a\r\ns=-\r\n", line) == b"v=0\r\n" + line + b"\r\ns=-\r\n"
        assert rewrite_origin(b"v=0\no=a\ns=-\n", line) == b"v=0\n" + line + b"\ns=-\n"
        assert rewrite_origin(b"v=0\r\no=a", line) == b"v=0\r\n" + line
        assert rewrite_origin(b"v=0\r\n", line) == b"v=0\r\n"
        assert rewrite_origin(b"", line) == b""

    @pytest.mark.parametrize("line", [b"", b"s=-", b"o=a\r\n", b"o=a\n", b"o=a\rb"])
    def test_rewrite_origin_takes_one_line(self, line: bytes) -> None:
        with pytest.raises(InvalidValue, match=r"^SDP origin: "):
            rewrite_origin(RFC8866, line)

    def test_same_media(self) -> None:
        offer = body(*HEAD, "m=audio 4 RTP/AVP 0", "a=sendrecv")
        again = body(
            *("v=0", "o=x 9 9 IN IP4 h", "s=other", HEAD[3], "t=1 2"),
            *("m=audio 4 RTP/AVP 0", "a=sendrecv"),
        )
        assert same_media(offer, offer)
        assert same_media(offer, again)
        assert same_media(offer, again.replace(b"s=other\r\n", b""))
        assert not same_media(offer, offer.replace(b"audio 4", b"audio 5"))
        assert not same_media(offer, offer.replace(b"sendrecv", b"sendonly"))
        assert not same_media(offer, offer.replace(HEAD[3].encode(), b"c=IN IP4 0.0.0.0"))
        assert not same_media(offer, body(*HEAD))
        assert same_media(body(*HEAD), body(*HEAD[:4], "t=1 2"))
        assert not same_media(b"v=0\r\nm=", b"v=0\r\n\r\n")

    @given(
        st.lists(st.sampled_from(["o=a", "o=b", "s=x", "t=0 0", "c=1", "c=2", "a=o=a", "a=x"])),
        st.lists(st.sampled_from(["o=a", "o=b", "s=x", "t=0 0", "c=1", "c=2", "a=o=a", "a=x"])),
        st.sampled_from(["m=1", "m=2"]),
    )
    @relaxed
    def test_same_media_means_equal_but_for_o_s_and_t(
        self, one: list[str], other: list[str], media: str
    ) -> None:
        kept = [[line for line in lines if line[0] not in "ost"] for lines in (one, other)]
        expected = kept[0] == kept[1] and media == "m=1"
        assert same_media(body("v=0", *one, "m=1"), body("v=0", *other, media)) is expected
