"""sip.grammar: the ABNF fragments of RFC 3261 section 25."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import grammar
from sip.errors import InvalidValue, ParseError
from tests.support.injection import CONTROLS, INJECTIONS, SURROGATES, placed

relaxed = settings()

TOKEN_CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~"  # section 25.1
)
tokens = st.text(TOKEN_CHARACTERS, min_size=1)
# Any text a datagram can decode to: no lone surrogates but those of surrogateescape.
wire_text = st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape"))
quotable = wire_text.map(lambda text: text.replace("\r", "").replace("\n", ""))


class TestSafeText:
    def test_harmless_text_comes_back(self) -> None:
        assert grammar.safe_text("Zoë \U0001f600 \udcff", "displayName") == "Zoë \U0001f600 \udcff"

    @pytest.mark.parametrize("character", list("\r\n\0\t\x1b\x7f\x85\ud800"))
    def test_control_characters_are_refused_by_name(self, character: str) -> None:
        with pytest.raises(InvalidValue, match=r"destination: character U\+.* at position 3"):
            grammar.safe_text(f"100{character}Via: x", "destination")

    @given(st.text(st.characters()))
    @relaxed
    def test_what_passes_can_be_written_on_one_line(self, text: str) -> None:
        try:
            octets = grammar.safe_text(text, "x").encode("utf-8", "surrogateescape")
        except InvalidValue:
            return
        assert not set(octets) & set(b"\r\n\0")


class TestTokensAndQuotes:
    @pytest.mark.parametrize("text", ["INVITE", "-.!%*_+`'~", "a" * 5000])
    def test_tokens(self, text: str) -> None:
        assert grammar.is_token(text)
        assert grammar.check_token(text, "method") == text

    @pytest.mark.parametrize("text", ["", "a b", "a\n", "a@b", '"a"', "é", "a/b", "a:b"])
    def test_no_tokens(self, text: str) -> None:
        assert not grammar.is_token(text)
        with pytest.raises(InvalidValue, match=r"^method: "):
            grammar.check_token(text, "method")

    def test_quoted_pairs(self) -> None:
        assert grammar.quote('say "hi" \\ bye') == r'"say \"hi\" \\ bye"'
        assert grammar.unquote(r'"\a\"\\"') == 'a"\\'

    def test_control_characters_become_quoted_pairs(self) -> None:
        assert grammar.quote("BEL:\x07 NUL:\0 DEL:\x7f") == '"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f"'

    @pytest.mark.parametrize("text", ["a\rb", "a\nb", "\ud800"])
    def test_what_no_quoted_string_holds(self, text: str) -> None:
        with pytest.raises(InvalidValue):
            grammar.quote(text)

    @pytest.mark.parametrize(
        "text", ["", '"', "a", '"a', 'a"', '"a"b"', '"a\\"', '"\n"', '"\\\n"', '"\0"', '"a" ']
    )
    def test_no_quoted_string(self, text: str) -> None:
        assert not grammar.is_quoted(text)
        with pytest.raises(ParseError):
            grammar.unquote(text)

    @given(quotable)
    @relaxed
    def test_quote_round_trip(self, text: str) -> None:
        quoted = grammar.quote(text)
        assert grammar.is_quoted(quoted)
        assert grammar.unquote(quoted) == text
        assert grammar.split_values(f"{quoted}, {quoted}") == [quoted, quoted]

    def test_unfold(self) -> None:
        assert grammar.unfold("a,\r\n b\n\t c") == "a, b c"


class TestNumbers:
    @pytest.mark.parametrize(("text", "number"), [("0", 0), ("0009", 9), ("4294967295", 2**32 - 1)])
    def test_digits(self, text: str, number: int) -> None:
        assert grammar.parse_int(text, "x") == number

    @pytest.mark.parametrize(
        "text",
        ["", "+1", "-1", " 1", "1 ", "1_0", "٣", "²", "0x1", "1\n", "4294967296", "9" * 5000],
    )
    def test_anything_else(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"^Malformed Expires$"):
            grammar.parse_int(text, "Expires")

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0),
            ("3600", 3600),
            (" 120 (in a meeting)", 120),
            ("120(in a meeting)", 120),
            ("18000;duration=3600", 18000),
            ("4294967295", 2**32 - 1),
            ("9" * 5000, 2**32 - 1),
            *[(text, None) for text in (None, "", "-1", "1.5", "1x", "٣", ";1")],
        ],
    )
    def test_seconds(self, text: str | None, seconds: int | None) -> None:
        """RFC 3261 sections 20.19 and 20.33."""
        assert grammar.delta_seconds(text) == seconds

    @pytest.mark.parametrize(
        ("text", "q"),
        [(None, 1.0), ("0", 0.0), ("0.75", 0.75), (".5", 0.5), ("1.", 1.0), ("7", 1.0)],
    )
    def test_q(self, text: str | None, q: float) -> None:
        assert grammar.q_value(text) == q

    @pytest.mark.parametrize("text", ["", "-0.1", "high", "nan", "inf", "1e1", "0,5", "."])
    def test_what_is_no_q(self, text: str) -> None:
        with pytest.raises(ParseError, match="Malformed q"):
            grammar.q_value(text)

    def test_range_of_a_local_number(self) -> None:
        assert grammar.check_int(70, "Max-Forwards", 255) == 70
        for number in (-1, 256):
            with pytest.raises(InvalidValue, match=r"^Max-Forwards: .*use 0 to 255"):
                grammar.check_int(number, "Max-Forwards", 255)


class TestHosts:
    @pytest.mark.parametrize(
        "text",
        [
            "example.com",
            "example.com.",
            "3com.example",
            "localhost",
            "xn--bcher-kva.example",
            "a-b.c",
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "2001:db8::10",
            "::",
            "::ffff:192.0.2.1",
            "agent_1",
            "3f2a9b1c4d5e",
        ],
    )
    def test_hosts(self, text: str) -> None:
        assert grammar.is_host(text)
        assert grammar.check_host(text, "host") == text
        assert grammar.parse_host_port(grammar.format_host_port(text, 5060)) == (text, 5060)
        assert grammar.parse_host_port(grammar.format_host_port(text, None)) == (text, None)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a b",
            "a\n",
            "é.example",
            "256.0.0.1",
            "1.2.3",
            "010.0.0.1",
            "1.2.3.4a",
            "5060",
            "fe80::1%eth0",
            ":::",
            "1:2:3:4:5:6:7:8:9",
            "[::1]",
            "a" * 64,
            "a." * 127 + "a",
        ],
    )
    def test_no_hosts(self, text: str) -> None:
        assert not grammar.is_host(text)
        with pytest.raises(InvalidValue, match=r"^Via host: "):
            grammar.check_host(text, "Via host")

    def test_addresses(self) -> None:
        assert grammar.is_ipv4("192.0.2.1")
        assert not grammar.is_ipv4("example.com")
        assert grammar.is_ipv6("::1")
        assert not grammar.is_ipv6("192.0.2.1")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":5060",
            "a:",
            "a:b",
            "a:65536",
            "a:-1",
            "a :1",
            "::1",
            "[::1",
            "::1]",
            "[1.2.3.4]",
            "[::1]x",
            "[]:1",
            "a:1:2",
            "a:٣",
        ],
    )
    def test_no_host_port(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"^Malformed Via host"):
            grammar.parse_host_port(text, "Via host")

    @given(st.ip_addresses(v=6).map(str), st.none() | st.integers(0, 65535))
    @relaxed
    def test_ipv6_reference_round_trip(self, host: str, port: int | None) -> None:
        text = grammar.format_host_port(host, port)
        assert text.startswith("[")
        assert grammar.parse_host_port(text) == (host, port)


class TestParams:
    def test_forms(self) -> None:
        text = ' ; a = b;lr ;c="d;e, \\"f";received=[2001:db8::9:255] '
        params = grammar.parse_params(text)
        assert params == (
            ("a", "b"),
            ("lr", None),
            ("c", '"d;e, \\"f"'),
            ("received", "[2001:db8::9:255]"),
        )
        assert grammar.format_params(params) == (';a=b;lr;c="d;e, \\"f";received=[2001:db8::9:255]')
        assert grammar.find_param(params, "C") == '"d;e, \\"f"'
        assert grammar.param_text(params, "C") == 'd;e, "f'
        assert grammar.find_param(params, "LR") == grammar.param_text(params, "lr") == ""
        assert grammar.find_param(params, "x") is grammar.param_text(params, "x") is None

    def test_none(self) -> None:
        assert grammar.parse_params("") == grammar.parse_params(" \t") == ()

    @pytest.mark.parametrize(
        "text",
        [
            ";",
            ";;a",
            ";a;",
            "a",
            ";a=",
            ";=b",
            ";a b",
            ';a="b',
            ';a="b"c',
            ";a=b c",
            ";a=é",
            ";a=b@c",
            ";a=1;A=2",
            ";a,b",
            ";a\n",
            ";a\r\n;b",
            ";a=<b>",
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"^Malformed Via parameters$"):
            grammar.parse_params(text, "Via parameters")

    @pytest.mark.parametrize(
        "params",
        [
            (("a b", None),),
            (("", None),),
            (("a", "b c"),),
            (("a", '"b'),),
            (("a", ""),),
            (("a", "1"), ("A", "2")),
            (("a", "b\r\nVia: x"),),
            (("a", '"\ud800"'),),
        ],
    )
    def test_local_parameters_are_checked(self, params: grammar.Params) -> None:
        with pytest.raises(InvalidValue, match=r"^Contact"):
            grammar.check_params(params, "Contact")

    @given(
        st.lists(
            st.tuples(tokens, st.none() | tokens | quotable.map(grammar.quote)),
            unique_by=lambda pair: pair[0].lower(),
        ).map(tuple)
    )
    @relaxed
    def test_round_trip(self, params: grammar.Params) -> None:
        grammar.check_params(params, "x")
        assert grammar.parse_params(grammar.format_params(params)) == params

    def test_token_with_parameters(self) -> None:
        assert grammar.parse_token_params(" refer ; id=1", "Event") == ("refer", (("id", "1"),))
        for text in ("", ";id=1", "a b", "refer;"):
            with pytest.raises(ParseError, match=r"^Malformed Event"):
                grammar.parse_token_params(text, "Event")


class TestSplitValues:
    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("a", ["a"]),
            (" a ,\tb ", ["a", "b"]),
            ('"a, b" <sip:c>, d', ['"a, b" <sip:c>', "d"]),
            (r'"a\", b", c', [r'"a\", b"', "c"]),
            ("<sip:a,b@c>;x=1,<sip:d>", ["<sip:a,b@c>;x=1", "<sip:d>"]),
            ("sip:(a@b, c", ["sip:(a@b", "c"]),
        ],
    )
    def test_lists(self, text: str, values: list[str]) -> None:
        assert grammar.split_values(text) == values

    @pytest.mark.parametrize("text", ["", " ", ",", "a,", ",a", "a,,b", '"a', "<a", "a>", "<a<b>>"])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            grammar.split_values(text)

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("18000;duration=3600 (a, (b, c)), d", ["18000;duration=3600 (a, (b, c))", "d"]),
            (r"a (\), b), c", [r"a (\), b)", "c"]),
        ],
    )
    def test_comments(self, text: str, values: list[str]) -> None:
        assert grammar.split_values(text, comments=True) == values

    @pytest.mark.parametrize("text", ["a (b", "a)", "a (b, c", "a \\\n"])
    def test_unbalanced_comments(self, text: str) -> None:
        with pytest.raises(ParseError):
            grammar.split_values(text, comments=True)


class TestEscapes:
    def test_user(self) -> None:
        assert grammar.escape_user("+1 (201);x#\r\n@é") == "+1%20(201)%3Bx%23%0D%0A%40%C3%A9"
        assert grammar.escape_user("a&=+$,?/-_.!~*'()") == "a&=+$,?/-_.!~*'()"

    def test_param_and_header(self) -> None:
        assert grammar.escape_param("a=b;[::1]") == "a%3Db%3B[::1]"
        assert grammar.escape_header("a@b;to-tag=1") == "a%40b%3Bto-tag%3D1"

    def test_lone_surrogate(self) -> None:
        with pytest.raises(InvalidValue, match=r"^user: "):
            grammar.escape_user("\ud800")

    @pytest.mark.parametrize(
        ("escaped", "text"),
        [
            ("a%20b", "a b"),
            ("%c3%a9%E2%82%ac", "é€"),
            ("%2541", "%41"),
            ("a%0d%0aVia:", "a%0D%0AVia:"),
            ("%00%07%7f%C2%85x", "%00%07%7F%C2%85x"),
            ("%ff%41", "%FFA"),
            ("%4", "%4"),
            ("100%zz", "100%zz"),
        ],
    )
    def test_unescape(self, escaped: str, text: str) -> None:
        assert grammar.unescape(escaped) == text

    @given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
    @relaxed
    def test_round_trip(self, text: str) -> None:
        for escape in (grammar.escape_user, grammar.escape_param, grammar.escape_header):
            assert grammar.unescape(escape(text)) == text

    @given(wire_text)
    @relaxed
    def test_unescape_adds_no_control_characters(self, text: str) -> None:
        before = sum(character < " " for character in text)
        assert sum(character < " " for character in grammar.unescape(text)) == before


@pytest.mark.parametrize("piece", [" ", "\t ", ";", "a", '"', "\\", "<", "(", ",", "a=", ".", "%"])
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    """Quadratic patterns would make this test run for minutes."""
    text = piece * 60_000
    for hostile in (text, ";a" + text, f'"{text}', f"a.{text}!"):
        for parse in (
            grammar.parse_params,
            grammar.split_values,
            grammar.parse_host_port,
            grammar.unquote,
            lambda text: grammar.parse_token_params(text, "Event"),
            lambda text: grammar.split_values(text, comments=True),
        ):
            try:
                parse(hostile)
            except ParseError:
                continue
        grammar.unfold(hostile)
        grammar.unescape(hostile)


class TestHeaderLines:
    def test_a_line_is_made(self) -> None:
        assert grammar.header_line("X-Any", 'Zoë, "a"; b') == 'X-Any: Zoë, "a"; b\r\n'

    @pytest.mark.parametrize("bad", [*CONTROLS, *SURROGATES[:3], *INJECTIONS])
    def test_no_text_breaks_out_of_its_line(self, bad: str) -> None:
        for text in placed("text", bad):
            with pytest.raises(InvalidValue, match=r"X-Any: character U\+"):
                grammar.header_line("X-Any", text)
            with pytest.raises(InvalidValue, match="header name"):
                grammar.header_line(text, "1")

    @pytest.mark.parametrize(
        "lines", ["", "A: 1\r\n", "A:\r\nB: 2\r\n", "A: \udcff\r\n", "A: \t\x07\x85\u2028\r\n"]
    )
    def test_lines_that_pass(self, lines: str) -> None:
        grammar.check_header(lines)
        grammar.check_answer(lines, "OK")

    @pytest.mark.parametrize(
        "lines",
        [
            "A: 1",
            "A: 1\n",
            "A: 1\r",
            "A: 1\r\nB: 2",
            "A: 1\rB: 2\r\n",
            "A: 1\nB: 2\r\n",
            "A: 1\r\n\r\n",
            "A: 1\r\n\r\nbody\r\n",
            "\r\nA: 1\r\n",
            "\r\n",
            "\n",
            " A: 1\r\n",
            "\tA: 1\r\n",
            "A: \ud800\r\n",
        ],
    )
    def test_lines_that_would_be_another_message(self, lines: str) -> None:
        with pytest.raises(InvalidValue, match="header lines"):
            grammar.check_header(lines)

    @pytest.mark.parametrize("reason", CONTROLS + INJECTIONS)
    def test_a_reason_phrase(self, reason: str) -> None:
        with pytest.raises(InvalidValue, match="reason phrase"):
            grammar.check_answer("", f"Busy {reason}")
        said = grammar.plain_phrase(f"Busy{reason}Here")
        assert not set(said) & set(CONTROLS)
        assert said.startswith("Busy")

    @given(st.text(st.characters()))
    @relaxed
    def test_what_passes_is_so_many_lines(self, text: str) -> None:
        lines = f"A: {text}\r\nB: 2\r\n"
        try:
            grammar.check_header(lines)
        except InvalidValue:
            return
        octets = lines.encode("utf-8", "surrogateescape")
        assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
        assert b"\r\n\r\n" not in octets
