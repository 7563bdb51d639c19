"""sip.uri: RFC 3261 section 19.1, RFC 3966, RFC 4475 and RFC 5118 examples."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import grammar
from sip.errors import InvalidValue, ParseError
from sip.uri import OtherUri, SipUri, TelUri, parse_uri

relaxed = settings()

plain_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
hosts = st.sampled_from(["example.com", "192.0.2.1", "2001:db8::1", "localhost"])
sip_uris = st.builds(
    SipUri,
    user=st.none() | plain_text.map(grammar.escape_user),
    host=hosts,
    port=st.none() | st.integers(0, 65535),
    scheme=st.sampled_from(["sip", "sips"]),
    params=st.dictionaries(
        plain_text.map(lambda text: grammar.escape_param(text).lower()),
        st.none() | plain_text.map(grammar.escape_param),
    ).map(lambda table: tuple(table.items())),
    headers=st.lists(
        st.tuples(plain_text.map(grammar.escape_header), st.text("abc")),
    ).map(tuple),
)


class TestSipUri:
    # RFC 3261 section 19.1.3, RFC 4475 sections 3.1.1.2, 3.1.1.6 and 3.1.1.9, RFC 5118.
    @pytest.mark.parametrize(
        "text",
        [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sips:1212@gateway.com",
            "sip:alice@192.0.2.4",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
            ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "sip:sips%3Auser%40example.com@example.net",
            "sip:null-%00-null@example.com",
            "sip:user@example.com;unknownparam=[x]/:&+$",
            "sip:[2001:db8::10]",
            "sip:user@[2001:db8::10]:5070;maddr=[2001:db8::1]",
            "sip:user@host?Subject=foo&Call-Info=",
            "sip:user:@host",
            "sip:bigbox3.site3.atlanta.com;lr",
        ],
    )
    def test_round_trip(self, text: str) -> None:
        uri = parse_uri(text)
        assert isinstance(uri, SipUri)
        assert str(uri) == text
        assert SipUri.parse(str(uri)) == uri

    def test_parts(self) -> None:
        uri = SipUri.parse(
            "SIPS:a%20b;x=1:pw@[2001:DB8::1]:05061;Transport=TLS;lr?Subject=a%20b&X="
        )
        assert uri == SipUri(
            user="a%20b;x=1",
            host="2001:DB8::1",
            port=5061,
            scheme="sips",
            password="pw",
            params=(("Transport", "TLS"), ("lr", None)),
            headers=(("Subject", "a%20b"), ("X", "")),
        )
        assert uri.number == "a b"
        assert uri.transport == "tls"
        assert uri.is_loose_router
        assert uri.param("TRANSPORT") == "TLS"
        assert uri.param("lr") == ""
        assert uri.param("ttl") is None
        assert uri.header("subject") == "a b"
        assert uri.header("x") == ""
        assert uri.header("y") is None

    def test_absent_parts(self) -> None:
        uri = SipUri.parse("sip:example.com")
        assert uri == SipUri(None, "example.com")
        assert uri.number == ""
        assert uri.transport is None
        assert not uri.is_loose_router

    def test_number_keeps_control_characters_escaped(self) -> None:
        assert SipUri.parse("sip:1%0d%0aVia@h").number == "1%0D%0AVia"

    # RFC 4475 sections 3.1.2.7, 3.1.2.8 and 3.1.2.13, RFC 5118 section 4.2.
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "sip",
            "sip:",
            "sip:@host",
            "sip::pw@host",
            "sip:user@",
            "sip:us er@host",
            "sip:user@host; lr",
            "sip:user@ho st",
            " sip:user@host",
            "sip:user@host ",
            "sip:user@host\r\n",
            "<sip:user@host>",
            "sip:a@b@c",
            "sip:a%4@b",
            "sip:a%zz@b",
            "sip:a#b@c",
            "sip:a:b:c@d",
            "sip:é@b",
            "sip:user@host:",
            "sip:user@host :5060",
            "sip:user@host:65536",
            "sip:user@host:٥٠٦٠",
            "sip:user@host;",
            "sip:user@host;;lr",
            "sip:user@host;a=",
            "sip:user@host;=a",
            "sip:user@host;a=b=c",
            "sip:user@host;a=1;A=2",
            'sip:user@host;a="b"',
            "sip:user@host?",
            "sip:user@host?a",
            "sip:user@host?=a",
            "sip:user@host?a=b=c",
            "sip:user@host?a=b&",
            "sip:user@host?a=b;c",
            "sip:2001:db8::10",
            "sip:[2001:db8::10",
            "sip:user@256.1.1.1",
            "tel:+1",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError) as caught:
            SipUri.parse(text)
        assert caught.value.status == 400
        assert caught.value.reason.startswith("Malformed ")

    @pytest.mark.parametrize(
        "change",
        [
            {"scheme": "SIP"},
            {"scheme": "tel"},
            {"user": ""},
            {"user": "a b"},
            {"user": "a\r\nVia: x"},
            {"user": "a@b"},
            {"user": None, "password": "x"},
            {"password": "a@b"},
            {"host": ""},
            {"host": "[::1]"},
            {"host": "h;lr"},
            {"port": -1},
            {"port": 65536},
            {"params": (("a", ""),)},
            {"params": (("a b", None),)},
            {"params": (("a", "1"), ("A", "1"))},
            {"headers": (("", "x"),)},
            {"headers": (("a", "b c"),)},
            {"headers": (("a&b", "c"),)},
        ],
    )
    def test_invalid_local_values(self, change: dict[str, object]) -> None:
        good = SipUri("bob", "example.com")
        with pytest.raises(InvalidValue, match=r"^URI "):
            dataclasses.replace(good, **change)  # type: ignore[arg-type]

    def test_with_params(self) -> None:
        uri = SipUri.parse("sip:a@b;Transport=udp;x=1")
        assert str(uri.with_params(transport="tcp", lr=None)) == "sip:a@b;x=1;transport=tcp;lr"
        assert str(uri.without_params("TRANSPORT", "y")) == "sip:a@b;x=1"
        with pytest.raises(InvalidValue):
            uri.with_params(x="a b")

    def test_with_headers_escapes(self) -> None:
        uri = SipUri("a", "b").with_headers(Replaces="1@h;to-tag=2;from-tag=3")
        assert str(uri) == "sip:a@b?Replaces=1%40h%3Bto-tag%3D2%3Bfrom-tag%3D3"
        assert SipUri.parse(str(uri)).header("replaces") == "1@h;to-tag=2;from-tag=3"

    @given(sip_uris)
    @relaxed
    def test_any_value_round_trips(self, uri: SipUri) -> None:
        assert parse_uri(str(uri)) == uri
        assert uri.equivalent(uri)

    @given(printable)
    @relaxed
    def test_any_number_survives_as_user(self, text: str) -> None:
        uri = SipUri(grammar.escape_user(text), "h")
        assert SipUri.parse(str(uri)).number == text


class TestEquivalence:
    # RFC 3261 section 19.1.4, both lists of examples.
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0:0:0:0:0:1]"),
            ("sip:a%3a@b", "sip:a%3A@b"),
        ],
    )
    def test_equivalent(self, one: str, other: str) -> None:
        assert SipUri.parse(one).equivalent(SipUri.parse(other))
        assert SipUri.parse(other).equivalent(SipUri.parse(one))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@b", "sips:a@b"),
            ("sip:a@b", "sip:b"),
            ("sip:a:x@b", "sip:a:X@b"),
            ("sip:a@b", "sip:a@b;maddr=192.0.2.1"),
            ("sip:a@b;method=INVITE", "sip:a@b;method=invite"),
            ("sip:a,b@c", "sip:a%2Cb@c"),
            ("sip:a@[::1]", "sip:a@[::2]"),
        ],
    )
    def test_not_equivalent(self, one: str, other: str) -> None:
        assert not SipUri.parse(one).equivalent(SipUri.parse(other))
        assert not SipUri.parse(other).equivalent(SipUri.parse(one))


class TestTelUri:
    # RFC 3966 section 6.
    @pytest.mark.parametrize(
        ("text", "number", "is_global"),
        [
            ("tel:+1-201-555-0123", "+12015550123", True),
            ("tel:7042;phone-context=example.com", "7042", False),
            ("tel:863-1234;phone-context=+1-914-555", "8631234", False),
            ("tel:*70#;phone-context=example.com", "*70#", False),
            ("tel:+1(201)555.0123;ext=7;isub=1/2", "+12015550123", True),
        ],
    )
    def test_examples(self, text: str, number: str, is_global: bool) -> None:
        uri = parse_uri(text)
        assert isinstance(uri, TelUri)
        assert str(uri) == text
        assert uri.number == number
        assert uri.is_global is is_global

    def test_parameters(self) -> None:
        uri = TelUri.parse("TEL:+1;Ext=7;flag")
        assert (uri.param("ext"), uri.param("flag"), uri.param("x")) == ("7", "", None)

    @pytest.mark.parametrize(
        "text",
        [
            "tel:",
            "tel:+",
            "tel:+-",
            "tel:1234",
            "tel:+1;",
            "tel:+1;ext=a b",
            "tel:+1a",
            "tel:()",
            "tel:1;phone-context",
            "tel:+1;a=1;A=2",
            "tel:x;phone-context=a",
            "tel:+٣",
            "sip:+1",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            TelUri.parse(text)

    @pytest.mark.parametrize("number", ["", "12 34", "+1\r\n", "1234"])
    def test_invalid_local_values(self, number: str) -> None:
        with pytest.raises(InvalidValue, match=r"^tel URI number: "):
            TelUri(number)

    # RFC 3966 section 4.
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("tel:+1-201-555-0123", "tel:+1(201)5550123", True),
            ("tel:+1;a=x;ext=1-2", "tel:+1;EXT=12;A=X", True),
            ("tel:1;phone-context=+1-2", "tel:1;phone-context=+12", True),
            ("tel:1;phone-context=a-b.example", "tel:1;phone-context=ab.example", False),
            ("tel:+1", "tel:+1;ext=1", False),
            ("tel:+12", "tel:+13", False),
        ],
    )
    def test_equivalence(self, one: str, other: str, same: bool) -> None:
        assert TelUri.parse(one).equivalent(TelUri.parse(other)) is same


class TestOtherUri:
    # RFC 4475 sections 3.3.2 and 3.3.3.
    @pytest.mark.parametrize(
        "text",
        [
            "nobodyKnowsThisScheme:totallyopaquecontent",
            "soap.beep://192.0.2.103:3002",
            "urn:service:sos",
            "http://[::1]/a?b#c",
            "name:John_Smith",
        ],
    )
    def test_round_trip(self, text: str) -> None:
        uri = parse_uri(text)
        assert isinstance(uri, OtherUri)
        scheme, _, rest = text.partition(":")
        assert (uri.scheme, uri.rest) == (scheme.lower(), rest)
        assert str(uri).lower() == text.lower()

    @pytest.mark.parametrize(
        "text", ["", ":", "a", "a:", "1a:b", "a b:c", "a:b c", "a:\r\n", "a:<b>"]
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            parse_uri(text)

    @pytest.mark.parametrize("scheme", ["sip", "sips", "tel", "URN", ""])
    def test_invalid_scheme(self, scheme: str) -> None:
        with pytest.raises(InvalidValue, match=r"^URI scheme: "):
            OtherUri(scheme, "x")


@given(st.text("sip:tel@;?&=%[]1a.+-é \r\n") | st.text())
@relaxed
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"sip:{text}", f"tel:{text}", f"sip:a@{text}"):
        reason = ""
        try:
            uri = parse_uri(candidate)
        except ParseError as error:
            reason = error.reason
        else:
            assert parse_uri(str(uri)) == uri
        assert reason.isascii()
        assert reason.isprintable()
