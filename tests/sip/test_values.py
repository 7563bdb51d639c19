"""sip.values: header field values, with the examples of their RFCs."""

from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import grammar
from sip.errors import InvalidValue, ParseError
from sip.uri import OtherUri, SipUri, TelUri
from sip.values import (
    CSeq,
    EventType,
    MediaType,
    NameAddr,
    Reason,
    SubscriptionState,
    Via,
    WarningValue,
    parse_sipfrag,
    sipfrag,
)

relaxed = settings()

tokens = st.text("aB1-.!%*_+`'~", min_size=1)
wire_text = st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape"))
quotable = wire_text.map(lambda text: text.replace("\r", "").replace("\n", ""))


def params(*reserved: str) -> st.SearchStrategy[grammar.Params]:
    names = tokens.filter(lambda name: name.lower() not in reserved)
    values = st.none() | tokens | quotable.map(grammar.quote)
    return st.lists(st.tuples(names, values), unique_by=lambda p: p[0].lower()).map(tuple)


class Parsed(Protocol):
    @classmethod
    def parse(cls, text: str, /) -> Any: ...


class TestNameAddr:
    # RFC 3261 section 20.10, RFC 4475 sections 3.1.1.2 and 3.1.1.1.
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (
                '"Mr. Watson" <sip:watson@worcester.bell-telephone.com>;q=0.7; expires=3600',
                NameAddr(
                    "sip:watson@worcester.bell-telephone.com",
                    "Mr. Watson",
                    (("q", "0.7"), ("expires", "3600")),
                ),
            ),
            ("<sip:a@b;lr>;lr", NameAddr("sip:a@b;lr", "", (("lr", None),))),
            ("sip:a@b;tag=1", NameAddr("sip:a@b", "", (("tag", "1"),))),
            (" sip:a@b \t; tag = 1 ", NameAddr("sip:a@b", "", (("tag", "1"),))),
            ("Bob Smith\t<sip:b@c>", NameAddr("sip:b@c", "Bob Smith")),
            ("Zoë <sip:b@c>", NameAddr("sip:b@c", "Zoë")),
            (r'"J Rosenberg \\\""   <sip:j@d>', NameAddr("sip:j@d", 'J Rosenberg \\"')),
            ('"a, <b>; c" <sip:j@d>', NameAddr("sip:j@d", "a, <b>; c")),
            ('"" <tel:+1>', NameAddr("tel:+1")),
            (
                '"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f" <sip:a@b>',
                NameAddr("sip:a@b", "BEL:\x07 NUL:\0 DEL:\x7f"),
            ),
            (
                "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
                ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
                NameAddr(
                    "sip:mundane@example.com",
                    "token1~` token2'+_ token3*%!.-",
                    (("fromParam''~+*_!.-%", '"работающий"'), ("tag", "_token~1'+`*%!-.")),
                ),
            ),
        ],
    )
    def test_forms(self, text: str, value: NameAddr) -> None:
        assert NameAddr.parse(text) == value
        assert NameAddr.parse(str(value)) == value

    def test_text(self) -> None:
        value = NameAddr("sip:a@b", 'say "hi"', (("tag", "1"), ("lr", None)))
        assert str(value) == '"say \\"hi\\"" <sip:a@b>;tag=1;lr'
        assert str(NameAddr("sip:a@b")) == "<sip:a@b>"

    # RFC 4475 sections 3.1.2.1, 3.1.2.6 and 3.1.2.13 to 3.1.2.15; RFC 3261 section 20.10.
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "*",
            "Bob",
            "<>",
            "<bob>",
            '"Mr. J. User <sip:j.user@example.com>',
            '"Joe" <sip:joe@example.org>;;;;',
            '"Watson, Thomas" < sip:t.watson@example.org >',
            "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "sip:a,b@c",
            "sip:a;x=y@c",
            "<sip:a@b",
            "sip:a@b>",
            "<sip:a@b>>",
            "<<sip:a@b>>",
            "<sip:a@b> x",
            "<sip:a@b>, <sip:c@d>",
            'a "b" <sip:a@b>',
            'sip:a"@b',
            "<sip:a@b\r\n>",
            "A\r\nB <sip:a@b>",
            "A\0 <sip:a@b>",
            "<sip:a@b>;tag=1;TAG=2",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            NameAddr.parse(text)

    def test_list(self) -> None:
        first, second = NameAddr.parse_many('"A, B" <sip:a,b@c>;x=1 , sip:d@e;y=2')
        assert (first.display_name, first.uri, first.params) == ("A, B", "sip:a,b@c", (("x", "1"),))
        assert (second.uri, second.params) == ("sip:d@e", (("y", "2"),))
        for text in ("", "<sip:a@b>,", '<sip:a@b>, "'):
            with pytest.raises(ParseError):
                NameAddr.parse_many(text)

    def test_address_is_read_when_asked(self) -> None:
        assert isinstance(NameAddr.parse("<sip:a@b>").address, SipUri)
        assert isinstance(NameAddr.parse("<tel:+1>").address, TelUri)
        assert isinstance(NameAddr.parse("<urn:service:sos>").address, OtherUri)
        with pytest.raises(ParseError):
            _ = NameAddr.parse("<sip:a@b@c>").address

    def test_tag_and_parameters(self) -> None:
        value = NameAddr.parse('<sip:a@b>;Tag=x;note="a b";flag')
        assert value.tag == "x"
        assert value.param("NOTE") == "a b"
        assert value.param("flag") == ""
        assert value.param("none") is None
        assert str(value.with_tag("y")) == '<sip:a@b>;note="a b";flag;tag=y'
        assert NameAddr.parse("<sip:a@b>;tag").tag is None
        assert NameAddr.parse("<sip:a@b>").tag is None

    @pytest.mark.parametrize(
        "arguments",
        [
            ("",),
            ("bob",),
            ("sip:a b",),
            ("sip:a>\r\nVia: x",),
            ("sip:a>,<sip:b",),
            ("sip:\ud800",),
            ("sip:a@b", "x\r\ny"),
            ("sip:a@b", "", (("tag", "a b"),)),
        ],
    )
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue):
            NameAddr(*arguments)

    @given(st.builds(NameAddr, st.just("sip:a@b"), quotable, params()))
    @relaxed
    def test_round_trip(self, value: NameAddr) -> None:
        assert NameAddr.parse(str(value)) == value
        assert NameAddr.parse_many(f"{value},{value}") == [value, value]


class TestVia:
    # RFC 3261 section 20.42, RFC 4475 section 3.1.1.1, RFC 5118 section 4.5.
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (
                "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
                Via("UDP", "erlang.bell-telephone.com", 5060, (("branch", "z9hG4bK87asdks7"),)),
            ),
            (
                "SIP / 2.0 / UDP first.example.com: 4000;ttl=16"
                "  ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
                Via(
                    "UDP",
                    "first.example.com",
                    4000,
                    (("ttl", "16"), ("maddr", "224.2.0.1"), ("branch", "z9hG4bKa7c6a8dlze.1")),
                ),
            ),
            (
                "SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8  ",
                Via("TCP", "spindle.example.com", None, (("branch", "z9hG4bK9ikj8"),)),
            ),
            ("sip/2.0/unknown t4.example.com", Via("UNKNOWN", "t4.example.com")),
            (
                "SIP/2.0/UDP [2001:db8::9:1]:5061;received=[2001:db8::9:255]",
                Via("UDP", "2001:db8::9:1", 5061, (("received", "[2001:db8::9:255]"),)),
            ),
        ],
    )
    def test_forms(self, text: str, value: Via) -> None:
        assert Via.parse(text) == value
        assert Via.parse(str(value)) == value

    def test_properties(self) -> None:
        via = Via.parse("SIP/2.0/UDP [::1]:5061;BRANCH=z9;rport=7;received=[2001:db8::9:255]")
        assert via.sent_by == "[::1]:5061"
        assert (via.branch, via.rport, via.received) == ("z9", 7, "2001:db8::9:255")
        assert not via.wants_rport
        bare = Via.parse("SIP/2.0/UDP h;rport;branch")
        assert (bare.sent_by, bare.branch, bare.received, bare.rport) == ("h", None, None, None)
        assert bare.wants_rport
        assert Via.parse("SIP/2.0/UDP h;rport=70000").rport is None
        assert Via.parse("SIP/2.0/UDP h;received=2001:db8::1").received == "2001:db8::1"

    def test_list(self) -> None:
        vias = Via.parse_many("SIP/2.0/UDP a;branch=1, SIP/2.0/TCP b")
        assert [via.host for via in vias] == ["a", "b"]

    # RFC 4475 sections 3.1.2.1 and 3.1.2.3.
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDP ;branch=1",
            "SIP/2.0 h",
            "SIP/7.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/UDPh",
            "SIP/2.0/UDP 192.0.2.15;;",
            "SIP/2.0/UDP a b",
            "SIP/2.0/UDP a:b",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP a:",
            "SIP/2.0/UDP ::1",
            "SIP/2.0/UDP [1.2.3.4]",
            "SIP/2.0/UDP a;branch=1;branch=2",
            "SIP/2.0/UDP a, SIP/2.0/UDP b",
            "SIP/2.0/UDP a\r\n",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            Via.parse(text)

    @pytest.mark.parametrize(
        ("text", "stamped"),
        [
            ("h;branch=1", "h;branch=1;received=192.0.2.1"),
            ("192.0.2.1:5060;branch=1", "192.0.2.1:5060;branch=1"),
            ("192.0.2.1;rport;branch=1", "192.0.2.1;rport=5062;branch=1;received=192.0.2.1"),
            ("h;received=10.0.0.1;rport=1", "h;rport=5062;received=192.0.2.1"),
            ("192.0.2.1;received=10.0.0.1", "192.0.2.1"),
        ],
    )
    def test_stamped(self, text: str, stamped: str) -> None:
        """RFC 3261 section 18.2.1 and RFC 3581 section 4."""
        via = Via.parse(f"SIP/2.0/UDP {text}").stamped("192.0.2.1", 5062)
        assert str(via) == f"SIP/2.0/UDP {stamped}"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("udp", "h"),
            ("U P", "h"),
            ("UDP", "[::1]"),
            ("UDP", "h", 65536),
            ("UDP", "h\r\n"),
            ("UDP", "h", None, (("branch", "a b"),)),
        ],
    )
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue, match=r"^Via "):
            Via(*arguments)

    @given(
        st.builds(
            Via,
            tokens.map(str.upper),
            st.sampled_from(["h.example", "192.0.2.1", "2001:db8::1"]),
            st.none() | st.integers(0, 65535),
            params(),
        )
    )
    @relaxed
    def test_round_trip(self, value: Via) -> None:
        assert Via.parse(str(value)) == value


class TestCSeq:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("4711 INVITE", CSeq(4711, "INVITE")),
            ("0009  INVITE", CSeq(9, "INVITE")),
            (" 0 \t a~b ", CSeq(0, "a~b")),
            ("2147483647 BYE", CSeq(2**31 - 1, "BYE")),
        ],
    )
    def test_forms(self, text: str, value: CSeq) -> None:
        assert CSeq.parse(text) == value
        assert CSeq.parse(str(value)) == value

    # RFC 3261 section 8.1.1.5, RFC 4475 section 3.1.2.4.
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "1",
            "INVITE",
            "1INVITE",
            "-1 INVITE",
            "1 INV ITE",
            "1 INVITE;x",
            "٣ INVITE",
            "2147483648 BYE",
            "36893488147419103232 REGISTER",
            "9" * 5000 + " BYE",
            "1 A\r\n",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            CSeq.parse(text)

    @pytest.mark.parametrize(("number", "method"), [(-1, "A"), (2**31, "A"), (1, ""), (1, "A B")])
    def test_invalid_local_values(self, number: int, method: str) -> None:
        with pytest.raises(InvalidValue, match=r"^CSeq "):
            CSeq(number, method)


class TestReason:
    # RFC 3326 section 2.
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (
                'SIP ;cause=200 ;text="Call completed elsewhere"',
                Reason("SIP", 200, "Call completed elsewhere"),
            ),
            ('Q.850 ;cause=16 ;text="Terminated"', Reason("Q.850", 16, "Terminated")),
            ("preemption", Reason("preemption")),
            (
                "Q.850;Text=Busy;Cause=17;location=LN",
                Reason("Q.850", 17, "Busy", (("location", "LN"),)),
            ),
        ],
    )
    def test_forms(self, text: str, value: Reason) -> None:
        assert Reason.parse(text) == value
        assert Reason.parse(str(value)) == value

    def test_text(self) -> None:
        assert str(Reason.q850(16, 'a "b"')) == 'Q.850;cause=16;text="a \\"b\\""'
        assert str(Reason.q850(31)) == "Q.850;cause=31"

    def test_list(self) -> None:
        reasons = Reason.parse_many('SIP;cause=486;text="a, b", Q.850;cause=17')
        assert [reason.cause for reason in reasons] == [486, 17]

    @pytest.mark.parametrize(
        "text", ["", ";cause=1", "Q.850;cause=x", "Q.850;cause", "Q.850 16", 'Q.850;text="a', "a b"]
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            Reason.parse(text)

    def test_invalid_local_values(self) -> None:
        for cause, text in ((0, None), (128, None), (16, "a\r\nb"), (16, "a\0b")):
            with pytest.raises(InvalidValue, match=r"^Reason "):
                Reason.q850(cause, text)
        for arguments in (("a b",), ("SIP", -1), ("SIP", 1, "\n"), ("SIP", 1, "", (("a", " "),))):
            with pytest.raises(InvalidValue, match=r"^Reason "):
                Reason(*arguments)

    @given(
        st.builds(
            Reason,
            tokens,
            st.none() | st.integers(0, 2**31 - 1),
            st.none() | quotable,
            params("cause", "text"),
        )
    )
    @relaxed
    def test_round_trip(self, value: Reason) -> None:
        assert Reason.parse(str(value)) == value


class TestEventType:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("refer;id=93809823", EventType("refer", "93809823")),
            ("presence.winfo", EventType("presence.winfo")),
            ("dialog ; ID = 1 ;x", EventType("dialog", "1", (("x", None),))),
        ],
    )
    def test_forms(self, text: str, value: EventType) -> None:
        assert EventType.parse(text) == value
        assert EventType.parse(str(value)) == value

    def test_matching_ignores_other_parameters_but_not_case(self) -> None:
        event = EventType("refer", "a")
        assert event.matches(EventType("refer", "a", (("x", None),)))
        assert not event.matches(EventType("Refer", "a"))
        assert not event.matches(EventType("refer", "A"))
        assert not event.matches(EventType("refer"))

    @pytest.mark.parametrize("text", ["", ";id=1", "refer;id", 'refer;id="a b"', "a b", "a,b"])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            EventType.parse(text)

    @pytest.mark.parametrize("arguments", [("",), ("a b",), ("a", ""), ("a", "1", (("", None),))])
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue, match=r"^Event "):
            EventType(*arguments)


class TestSubscriptionState:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("active;expires=60", SubscriptionState("active", 60)),
            ("Terminated ; reason=noresource", SubscriptionState("terminated", None, "noresource")),
            (
                "terminated;retry-after=5;reason=probation;x=1",
                SubscriptionState("terminated", None, "probation", 5, (("x", "1"),)),
            ),
            ("pending", SubscriptionState("pending")),
        ],
    )
    def test_forms(self, text: str, value: SubscriptionState) -> None:
        assert SubscriptionState.parse(text) == value
        assert SubscriptionState.parse(str(value)) == value

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ";expires=1",
            "active;expires",
            "active;expires=-1",
            "active;expires=4294967296",
            "terminated;reason",
            'terminated;reason="a b"',
            "active 60",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            SubscriptionState.parse(text)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("Active",),
            ("",),
            ("active", -1),
            ("active", None, "a b"),
            ("active", 1, None, 2**32),
            ("active", None, None, None, (("a b", None),)),
        ],
    )
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue, match=r"^Subscription-State"):
            SubscriptionState(*arguments)


class TestMediaType:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("application/sdp", MediaType("application", "sdp")),
            (
                " Text / HTML ; charset = ISO-8859-4",
                MediaType("text", "html", (("charset", "ISO-8859-4"),)),
            ),
            (
                'multipart/mixed;boundary="a b"',
                MediaType("multipart", "mixed", (("boundary", '"a b"'),)),
            ),
            (
                "multipart/mixed;boundary=a/b=",
                MediaType("multipart", "mixed", (("boundary", "a/b="),)),
            ),
        ],
    )
    def test_forms(self, text: str, value: MediaType) -> None:
        assert MediaType.parse(text) == value
        assert MediaType.parse(str(value)) == value

    def test_parts(self) -> None:
        value = MediaType.parse('Multipart/Mixed;Boundary="a b"')
        assert value.essence == "multipart/mixed"
        assert value.param("boundary") == "a b"
        assert value.param("charset") is None

    @pytest.mark.parametrize(
        "text", ["", "text", "text/", "/html", "a/b/c", "a b/c", "a/b;", "a/b c"]
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"^Malformed media type"):
            MediaType.parse(text)

    @pytest.mark.parametrize(
        "arguments", [("Text", "html"), ("text", "h/l"), ("", "x"), ("a", "b", (("c", "\n"),))]
    )
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue, match=r"^media type"):
            MediaType(*arguments)


class TestWarning:
    # RFC 3261 section 20.43.
    def test_examples(self) -> None:
        text = """307 isi.edu "Session parameter 'foo' not understood",
            301 isi.edu:5060 "Incompatible network address type 'E.164'", 399 [::1] "a, \\"b\\"" """
        values = WarningValue.parse_many(grammar.unfold(text))
        assert values == [
            WarningValue(307, "isi.edu", "Session parameter 'foo' not understood"),
            WarningValue(301, "isi.edu:5060", "Incompatible network address type 'E.164'"),
            WarningValue(399, "[::1]", 'a, "b"'),
        ]
        assert WarningValue.parse_many(", ".join(map(str, values))) == values
        assert str(WarningValue(399, "call*server", "x")) == '399 call*server "x"'

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "399 a",
            "99 a b",
            '099 a "b"',
            '1234 a "b"',
            '399 a "b',
            '399 a b "c"',
            '399 a/b "c"',
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            WarningValue.parse(text)

    @pytest.mark.parametrize(
        "arguments", [(99, "a", "b"), (1000, "a", "b"), (399, "a b", "c"), (399, "a", "b\r\nc")]
    )
    def test_invalid_local_values(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidValue, match=r"^Warning "):
            WarningValue(*arguments)


class TestSipfrag:
    # RFC 3515 section 4.1, RFC 3420 section 3.2.
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"SIP/2.0 100 Trying", (100, "Trying")),
            (b"SIP/2.0 200 OK\r\n", (200, "OK")),
            (b"SIP/2.0 603 Declined\r\nReason: Q.850;cause=21\r\n\r\n", (603, "Declined")),
            (b"sip/2.0 503 \n", (503, "")),
            (b"SIP/2.0 503", (503, "")),
            ("SIP/2.0 486 Occupé".encode(), (486, "Occupé")),
            (b"SIP/2.0 486 \xff", (486, "\udcff")),
        ],
    )
    def test_status_lines(self, body: bytes, status: tuple[int, str]) -> None:
        assert parse_sipfrag(body) == status

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"OK",
            b"\r\nSIP/2.0 200 OK",
            b"SIP/2.0 99 x",
            b"SIP/2.0 099 x",
            b"SIP/2.0 700 x",
            b"SIP/2.0 2000 x",
            b"SIP/3.0 200 OK",
            b"SIP/2.0 200OK",
            b"SIP/2.0 200 O\0K",
            b"SIP/2.0 200 O\rK",
            b"INVITE sip:a@b SIP/2.0",
            b"From: <sip:a@b>\r\n",
        ],
    )
    def test_no_status_line(self, body: bytes) -> None:
        assert parse_sipfrag(body) is None

    def test_writing(self) -> None:
        assert sipfrag(200, "OK") == b"SIP/2.0 200 OK\r\n"
        assert parse_sipfrag(sipfrag(486, "Occupé \udcff")) == (486, "Occupé \udcff")

    @pytest.mark.parametrize(
        ("status", "reason"), [(99, "x"), (700, "x"), (200, "OK\r\nVia: x"), (200, "\0")]
    )
    def test_invalid_local_values(self, status: int, reason: str) -> None:
        with pytest.raises(InvalidValue, match=r"^sipfrag "):
            sipfrag(status, reason)


KINDS: tuple[type[Parsed], ...] = (
    NameAddr,
    Via,
    CSeq,
    Reason,
    EventType,
    SubscriptionState,
    MediaType,
    WarningValue,
)


@given(st.text('sip:a@b<>;,"=/[]: 10\r\n\\é') | wire_text)
@relaxed
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"a;{text}", f"SIP/2.0/UDP a{text}", f'399 a "{text}"'):
        for kind in KINDS:
            try:
                value = kind.parse(candidate)
            except ParseError:
                continue
            assert "\n" not in str(value)
            assert kind.parse(str(value)) == value


@pytest.mark.parametrize("piece", [" ", ";", "a", '"', "\\", "<", "1", "/", ":"])
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    """Quadratic patterns would make this test run for minutes."""
    text = piece * 60_000
    for candidate in (text, f"a{text}", f'"{text}', f"SIP/2.0/UDP {text}", f"1 {text}<"):
        for kind in KINDS:
            with pytest.raises(ParseError):
                kind.parse(candidate + "\0")
