"""sip.auth: digest authentication, with the examples of its RFCs."""

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sip.auth import (
    ALGORITHMS,
    QOPS,
    Challenge,
    Credentials,
    DigestClient,
    DigestServer,
    Verdict,
    digest,
    is_digest,
    make_ha1,
)
from sip.errors import InvalidValue, ParseError
from sip.ids import IdSource
from sip.message import Request, Response, parse
from tests.support.builders import request, response_text

relaxed = settings()

URI = "sip:bob@192.0.2.1"
PASSWORD = "zanzibar-77"
SECRET = b"0123456789abcdef" * 2
SDP = (
    b"v=0\r\no=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\ns=-\r\n"
    b"c=IN IP4 media.biloxi.com\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    b"m=video 51372 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\nm=video 53000 RTP/AVP 32\r\n"
    b"a=rtpmap:32 MPV/90000\r\n"
)
text = st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape"))
quotable = text.map(lambda value: value.replace("\r", "").replace("\n", ""))
tokens = st.text("ab1-.!%*_+`'~", min_size=1)


def ids(seed: int = 7) -> IdSource:
    return IdSource(random.Random(seed).randbytes)


def server(
    algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
    qops: tuple[str, ...] = ("auth",),
    *,
    realm: str = "biloxi.com",
    proxy: bool = False,
    same_uri: bool = False,
    most_nonces: int = 100,
) -> DigestServer:
    return DigestServer(
        realm,
        SECRET,
        {"bob": PASSWORD}.get,
        ids(),
        60,
        algorithms=algorithms,
        qops=qops,
        proxy=proxy,
        same_uri=same_uri,
        most_nonces=most_nonces,
    )


def client(
    *realms: str, password: str = PASSWORD, user: str = "bob", integrity: bool = False
) -> DigestClient:
    users = {realm: (user, password) for realm in realms or ("biloxi.com",)}
    return DigestClient(users, ids(8), integrity=integrity)


def invite(lines: str = "", body: str = "", method: str = "INVITE", uri: str = URI) -> Request:
    made = request(method, body=body, uri=uri)
    made.head += "".join(["\r\n" + line for line in lines.split("\r\n") if line])
    again = parse(made.to_bytes())
    assert isinstance(again, Request)
    assert again.defect is None
    return again


def refusal(to: Request, lines: str, status: int = 401) -> Response:
    message = parse(response_text(to, status, "b", lines))
    assert isinstance(message, Response)
    return message


def challenges(*values: Challenge | str, header: str = "WWW-Authenticate") -> str:
    return "".join([f"{header}: {value}\r\n" for value in values])


def answers(client: DigestClient, *values: Challenge | str) -> bool:
    """Whether the client answers these challenges to a new request."""
    return client.challenged(invite(), refusal(invite(), challenges(*values)), {})


def credentials(lines: str) -> Credentials:
    return Credentials.parse(lines.partition(": ")[2].removesuffix("\r\n"))


def converse(
    asker: DigestClient, asked: DigestServer, body: str = "", now: float = 0.0, source: str = ""
) -> tuple[Verdict, int]:
    """One request until its end: the last verdict, and how often it was sent."""
    tries: dict[tuple[str, str], int] = {}
    for sent in range(1, 9):
        message = invite(asker.lines("INVITE", URI, body.encode()), body)
        verdict = asked.verify(message, now, source)
        if verdict.user is not None or not asker.challenged(
            message, refusal(message, verdict.lines, verdict.status), tries
        ):
            return verdict, sent
    raise AssertionError("it never ends")


class TestVectors:
    # RFC 7616 section 3.9.1; its password is "Circle of Life" (erratum 4495).
    @pytest.mark.parametrize(
        ("algorithm", "response"),
        [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ],
    )
    def test_rfc_7616_3_9_1(self, algorithm: str, response: str) -> None:
        value = Credentials.parse(
            'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
            f'algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
            'nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
            f'response="{response}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        ha1 = make_ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
        assert digest(value, ha1, "GET") == value.response == response

    # Section 3.9.2 as erratum 4897 corrects it: SHA-512/256, not SHA-512 cut short.
    def test_rfc_7616_3_9_2(self) -> None:
        value = Credentials.parse(
            'Digest username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b", '
            'realm="api@example.org", uri="/doe.json", algorithm=SHA-512-256, '
            'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", nc=00000001, '
            'cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", qop=auth, '
            'response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5", '
            'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", userhash=true'
        )
        ha1 = make_ha1("SHA-512-256", "Jäsøn Doe", "api@example.org", "Secret, or not?")
        assert digest(value, ha1, "GET") == value.response

    def test_rfc_2617_3_5(self) -> None:
        value = Credentials.parse(
            'Digest username="Mufasa", realm="testrealm@host.com", '
            'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, '
            'nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
            'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
        )
        ha1 = make_ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
        assert digest(value, ha1, "GET") == value.response

    # draft-smith-sipping-auth-examples-01 sections 3.1 to 3.6: an INVITE with SDP.
    @pytest.mark.parametrize(
        ("algorithm", "qop", "response"),
        [
            ("MD5", None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
            ("MD5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
            ("MD5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
            ("MD5", "auth-int", "bdbeebb2da6adb6bca02599c2239e192"),
            ("MD5-sess", "auth-int", "91984da2d8663716e91554859c22ca70"),
        ],
    )
    def test_sip_examples(self, algorithm: str, qop: str | None, response: str) -> None:
        nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
        plain = Credentials("bob", "biloxi.com", nonce, "sip:bob@biloxi.com", "", algorithm)
        value = replace(plain, qop=qop, nc=1, cnonce="0a4f113b")
        ha1 = make_ha1(algorithm, "bob", "biloxi.com", "zanzibar")
        assert digest(value, ha1, "INVITE", SDP) == response

    # RFC 8760 section 2.6: H(entity-body) without a body is the hash of nothing.
    @pytest.mark.parametrize(
        ("algorithm", "python", "empty"),
        [
            ("MD5", "md5", "d41d8cd98f00b204e9800998ecf8427e"),
            (
                "SHA-256",
                "sha256",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "SHA-512-256",
                "sha512_256",
                "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a",
            ),
        ],
    )
    def test_rfc_8760_2_6(self, algorithm: str, python: str, empty: str) -> None:
        value = Credentials("u", "r", "n", "sip:b@c", "", algorithm, "auth-int", 1, "c")
        a2 = hashlib.new(python, f"BYE:sip:b@c:{empty}".encode()).hexdigest()
        whole = hashlib.new(python, f"ha1:n:00000001:c:auth-int:{a2}".encode()).hexdigest()
        assert digest(value, "ha1", "BYE") == whole


class TestValues:
    # RFC 3261 sections 20.44, 20.27 and 20.7.
    def test_the_examples_of_rfc_3261(self) -> None:
        value = Challenge.parse(
            'Digest realm="atlanta.com",\t domain="sip:boxesbybob.com sip:b", qop="auth,auth-int", '
            'nonce="f84f1cec41e6cbe5aea9c8e88d359", opaque="", stale=FALSE, algorithm=MD5'
        )
        nonce, domain = "f84f1cec41e6cbe5aea9c8e88d359", ("sip:boxesbybob.com", "sip:b")
        assert value == Challenge("atlanta.com", nonce, "MD5", QOPS, "", False, domain)
        answer = Credentials.parse(
            'Digest username="Alice", realm="atlanta.com", '
            'nonce="84a4cc6f3082121f32b42a2187831a9e", '
            'response="7587245234b3434cc3412213e5f113a5432", uri="sip:a@b"'
        )
        assert (answer.username, answer.algorithm, answer.qop, answer.nc) == (
            "Alice",
            "MD5",
            None,
            None,
        )

    def test_what_is_quoted_and_what_is_not(self) -> None:
        challenge = Challenge('a"b', "n", "SHA-256", QOPS, "o", True, ("sip:a", "sip:b"))
        assert str(challenge) == (
            r'Digest realm="a\"b", nonce="n", opaque="o", qop="auth,auth-int", '
            'domain="sip:a sip:b", stale=true, algorithm=SHA-256'
        )
        value = Credentials("u", "r", "n", "sip:a", "0f", "MD5-sess", "auth", 26, "c", "o")
        assert str(value) == (
            'Digest username="u", realm="r", nonce="n", uri="sip:a", response="0f", '
            'cnonce="c", opaque="o", algorithm=MD5-sess, qop=auth, nc=0000001a'
        )

    def test_spelling_does_not_matter_to_the_reader(self) -> None:
        value = Challenge.parse(
            ' dIGEST REALM=r , Nonce = "n",qop=AUTH,algorithm="sha-256-SESS",stale="TRUE",x="y"'
        )
        assert value == Challenge("r", "n", "SHA-256-sess", ("auth",), None, True)
        assert Challenge.parse('Digest realm="", nonce="", qop=""') == Challenge("", "")

    @given(quotable, quotable, tokens, st.lists(tokens), st.none() | quotable, st.booleans())
    @relaxed
    def test_challenges_round_trip(
        self, realm: str, nonce: str, algorithm: str, qop: list[str], opaque: str | None, old: bool
    ) -> None:
        value = Challenge(realm, nonce, algorithm, tuple(qop), opaque, old, ("sip:a", "sips:b"))
        assert Challenge.parse(str(value)) == value

    @given(*[quotable] * 6, tokens, tokens, st.integers(1, 2**32 - 1))
    @relaxed
    def test_credentials_round_trip(
        self, a: str, b: str, c: str, d: str, e: str, f: str, name: str, qop: str, nc: int
    ) -> None:
        value = Credentials(a, b, c, d, "00ff", name, qop, nc, e, f)
        assert Credentials.parse(str(value)) == value

    @given(text | text.map("Digest ".__add__) | text.map('Digest realm="r", nonce="n", '.__add__))
    @relaxed
    def test_any_other_text_is_a_parse_error(self, value: str) -> None:
        for read in (Challenge.parse, Credentials.parse):
            try:
                made = read(value)
            except ParseError:
                continue
            assert read(str(made)) == made

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Digest",
            "Digest ",
            "Digest realm",
            'Basic realm="r", nonce="n"',
            'Digest realm="r"',
            'Digest nonce="n"',
            'Digest realm="r", nonce="n',
            'Digest realm="r", nonce="n",',
            'Digest realm="r", nonce="n", nonce="m"',
            'Digest realm="r", NONCE="n", nonce="n"',
            'Digest realm="r", nonce=a b',
            'Digest realm="r" nonce="n"',
            'Digest realm="r", nonce="n", algorithm="a b"',
            'Digest realm="r", nonce="n", qop="auth,,auth-int"',
            'Digest realm="r", nonce="n", qop="a b"',
            'Digest realm="r", nonce="n", Digest realm="s", nonce="m"',
        ],
    )
    def test_malformed_challenges(self, value: str) -> None:
        with pytest.raises(ParseError):
            Challenge.parse(value)

    @pytest.mark.parametrize(
        "change",
        [
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=0000000A"),
            ("nc=00000001", "nc=00000000"),
            ("nc=00000001, ", ""),
            ('cnonce="c", ', ""),
            ("qop=auth", 'qop="a b"'),
            ('response="0f"', 'response="xyz"'),
            ('response="0f"', 'response="0f'),
            ('username="u", ', ""),
            ('uri="sip:a", ', ""),
            ("Digest", "Bearer"),
        ],
    )
    def test_malformed_credentials(self, change: tuple[str, str]) -> None:
        value = (
            'Digest username="u", realm="r", nonce="n", uri="sip:a", response="0f", '
            'cnonce="c", nc=00000001, qop=auth'
        )
        Credentials.parse(value)
        with pytest.raises(ParseError):
            Credentials.parse(value.replace(*change))

    def test_a_value_that_cannot_be_written_is_not_made(self) -> None:
        for realm in ("a\r\nb", "\ud800"):
            with pytest.raises(InvalidValue):
                Challenge(realm, "n")
        for domain in ("", "a b", "\t"):
            with pytest.raises(InvalidValue, match="domain"):
                Challenge("r", "n", domain=(domain,))

    def test_the_scheme_is_seen(self) -> None:
        assert is_digest('digest realm="r"')
        assert not is_digest('Bearer realm="r"')


class TestTogether:
    @pytest.mark.parametrize("qops", [("auth",), ("auth-int",), QOPS, ()])
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("integrity", [False, True])
    def test_every_algorithm_and_qop(
        self, algorithm: str, qops: tuple[str, ...], integrity: bool
    ) -> None:
        asker, asked = client(integrity=integrity), server((algorithm,), qops)
        if not qops and algorithm.endswith("-sess"):  # RFC 2069 has no cnonce to make A1 of
            assert converse(asker, asked) == (asked_again(asked), 1)
            return
        assert converse(asker, asked, "hello") == (Verdict("bob"), 2)
        # The nonce is used again, with nc + 1; without qop it is good only once.
        assert converse(asker, asked, "again") == (Verdict("bob"), 1 if qops else 2)

    @given(text, text, st.text(min_size=1), st.text(), st.sampled_from(QOPS))
    @relaxed
    def test_whatever_the_account(
        self, user: str, password: str, realm: str, body: str, qop: str
    ) -> None:
        assume(not set("\r\n") & set(user + realm))
        asked = DigestServer(realm, SECRET, {user: password}.get, ids(), qops=(qop,))
        asker = DigestClient(lambda _realm: (user, password), ids(3))
        verdict = asked.challenge(0)
        assert asker.challenged(invite(), refusal(invite(), verdict.lines), {})
        octets = body.encode()
        message = invite(asker.lines("INVITE", URI, octets))
        message.body = octets
        assert asked.verify(message, 1).user == user
        assert asked.verify(message, 1).stale

    def test_a_wrong_password_is_the_end(self) -> None:
        asker = client(password="guess")
        assert converse(asker, server()) == (Verdict(None, 403, heard=True), 2)
        assert converse(client(user="eve"), server()) == (Verdict(None, 403, heard=True), 2)

    def test_a_lost_server_is_met_again_with_one_more_request(self) -> None:
        asker = client()
        converse(asker, server())
        other = DigestServer("biloxi.com", SECRET[::-1], {"bob": PASSWORD}.get, ids())
        assert converse(asker, other) == (Verdict("bob"), 2)

    def test_an_old_nonce_is_stale_and_answered_once(self) -> None:
        asker, asked = client(), server()
        assert converse(asker, asked, now=100)[1] == 2
        assert converse(asker, asked, now=160)[1] == 1
        assert converse(asker, asked, now=160.001) == (Verdict("bob"), 2)
        assert converse(asker, asked, now=100) == (Verdict("bob"), 2)  # from the future

    def test_a_nonce_belongs_to_its_source(self) -> None:
        asker, asked = client(), server()
        assert converse(asker, asked, source="192.0.2.7")[1] == 2
        assert converse(asker, asked, source="192.0.2.8") == (Verdict("bob"), 2)

    def test_proxies_use_their_own_fields(self) -> None:
        asker, asked = client(), server(proxy=True)
        verdict = asked.verify(invite(), 0)
        assert verdict.status == 407
        assert verdict.lines.startswith("Proxy-Authenticate: Digest ")
        assert asker.challenged(invite(), refusal(invite(), verdict.lines, 407), {})
        lines = asker.lines("INVITE", URI)
        assert lines.startswith("Proxy-Authorization: Digest ")
        assert asked.verify(invite(lines), 0) == Verdict("bob")
        assert server().verify(invite(lines), 0).status == 401


def asked_again(asked: DigestServer) -> Verdict:
    """The first verdict of a server like this one."""
    like = server(asked._algorithms, asked._qops)
    return like.challenge(0)


class TestClient:
    CHALLENGE = Challenge("biloxi.com", "n1", "SHA-256", ("auth",), "o")

    def test_nothing_before_the_first_challenge(self) -> None:
        assert client().lines("INVITE", URI) == ""

    def test_nc_counts_each_request_with_the_nonce(self) -> None:
        asker = client()
        assert answers(asker, self.CHALLENGE)
        made = [credentials(asker.lines("BYE", URI)) for _ in range(3)]
        assert [value.nc for value in made] == [1, 2, 3]
        assert {(v.nonce, v.opaque, v.realm, v.username, v.uri) for v in made} == {
            ("n1", "o", "biloxi.com", "bob", URI)
        }
        assert len({value.response for value in made}) == 3

    def test_a_new_nonce_counts_from_one_and_the_same_goes_on(self) -> None:
        asker = client()
        for nonce, count in (("n1", 1), ("n1", 2), ("n2", 1)):
            assert answers(asker, replace(self.CHALLENGE, nonce=nonce))
            value = credentials(asker.lines("BYE", URI))
            assert (value.nonce, value.nc) == (nonce, count)

    # RFC 8760 section 2.4: the topmost; local policy: MD5 only where there is no other.
    @pytest.mark.parametrize(
        ("offered", "taken"),
        [
            (("MD5", "SHA-256", "SHA-512-256"), "SHA-256"),
            (("SHA-512-256", "SHA-256", "MD5"), "SHA-512-256"),
            (("SHA-1", "MD5", "MD5-sess"), "MD5"),
            (("MD5-sess", "SHA-256-sess"), "SHA-256-sess"),
            (("SHA-3", "AKAv1-MD5"), None),
        ],
    )
    def test_the_strongest_of_several(self, offered: tuple[str, ...], taken: str | None) -> None:
        asker = client()
        made = [replace(self.CHALLENGE, algorithm=name, nonce=name) for name in offered]
        assert answers(asker, *made) is (taken is not None)
        if taken is not None:
            value = credentials(asker.lines("INVITE", URI))
            assert (value.algorithm, value.nonce) == (taken, taken)

    def test_what_it_cannot_answer_is_passed_over(self) -> None:
        odd = ('Basic realm="biloxi.com"', "Digest broken", 'Bearer realm="x"')
        assert not answers(client(), *odd)
        assert not answers(client(), replace(self.CHALLENGE, qop=("auth-conf",)))
        assert not answers(client(), Challenge("elsewhere", "n"))
        assert answers(client(), *odd, self.CHALLENGE)
        reply = refusal(invite(), challenges(self.CHALLENGE), 403)
        assert not client().challenged(invite(), reply, {})

    def test_several_realms_at_once(self) -> None:
        asker = client("a", "b")
        lines = challenges(Challenge("a", "1"), Challenge("c", "3")) + challenges(
            Challenge("b", "2"), header="Proxy-Authenticate"
        )
        assert asker.challenged(invite(), refusal(invite(), lines, 407), {})
        first, second, end = asker.lines("INVITE", URI).split("\r\n")
        assert end == ""
        assert first.startswith('Authorization: Digest username="bob", realm="a"')
        assert second.startswith('Proxy-Authorization: Digest username="bob", realm="b"')

    def test_one_realm_after_the_other(self) -> None:
        asker = client("a", "b")
        tries: dict[tuple[str, str], int] = {}
        for realm in ("a", "b"):
            message = invite(asker.lines("INVITE", URI))
            reply = refusal(message, challenges(Challenge(realm, realm, qop=("auth",))))
            assert asker.challenged(message, reply, tries)
        message = invite(asker.lines("INVITE", URI))
        made = [Credentials.parse(value) for value in message.all("authorization")]
        assert [(value.realm, value.nc) for value in made] == [("a", 2), ("b", 1)]

    def resend(self, asker: DigestClient, tries: dict[tuple[str, str], int], c: Challenge) -> bool:
        message = invite(asker.lines("INVITE", URI))
        return asker.challenged(message, refusal(message, challenges(c)), tries)

    def test_the_same_nonce_again_is_the_end(self) -> None:
        for stale in (False, True):
            asker, tries = client(), dict[tuple[str, str], int]()
            again = replace(self.CHALLENGE, stale=stale)
            assert self.resend(asker, tries, self.CHALLENGE)
            assert not self.resend(asker, tries, again)
            assert asker.lines("INVITE", URI) == ""  # what was refused is not sent again

    def test_a_new_nonce_that_is_not_stale_is_the_end(self) -> None:
        asker, tries = client(), dict[tuple[str, str], int]()
        assert self.resend(asker, tries, self.CHALLENGE)
        assert not self.resend(asker, tries, replace(self.CHALLENGE, nonce="n2"))

    def test_stale_is_answered_once(self) -> None:
        asker, tries = client(), dict[tuple[str, str], int]()
        results = [
            self.resend(asker, tries, replace(self.CHALLENGE, nonce=str(i), stale=True))
            for i in range(3)
        ]
        assert results == [True, True, False]

    def test_a_remembered_nonce_that_fails_costs_no_answer(self) -> None:
        asker = client()
        assert answers(asker, self.CHALLENGE)
        assert self.resend(asker, {}, replace(self.CHALLENGE, nonce="n2"))
        assert not self.resend(asker, {}, replace(self.CHALLENGE, nonce="n2"))

    def test_a_peer_that_asks_for_ever_is_given_up(self) -> None:
        asker = DigestClient(lambda _realm: ("bob", PASSWORD), ids())
        tries: dict[tuple[str, str], int] = {}
        sent = 0
        while self.resend(asker, tries, Challenge(f"realm {sent}", "n", stale=True)):
            sent += 1
        assert sent == 8
        assert answers(asker, Challenge("another", "n"))  # the oldest makes room
        assert asker.lines("INVITE", URI).count("\r\n") == 8

    def test_no_secret_in_repr_or_errors(self) -> None:
        asker, asked = client(), server()
        assert converse(asker, asked)[1] == 2
        held = list(asker._held.values())
        value = credentials(asker.lines("INVITE", URI))
        shown = repr([asker, asked, held, value, asked.challenge(0)])
        for hidden in (PASSWORD, held[0].ha1, SECRET.decode(), value.response, value.cnonce or "?"):
            assert hidden not in shown
        odd = DigestClient({"biloxi.com": ("bob", f"{PASSWORD}\ud800")}, ids())
        with pytest.raises(InvalidValue) as caught:
            answers(odd, self.CHALLENGE)
        assert PASSWORD not in repr(caught.value)
        assert caught.value.__context__ is None


class TestServer:
    def accepted(self, asked: DigestServer) -> tuple[DigestClient, Request]:
        """A client that has a nonce, and a request that the server has not seen."""
        asker = client()
        assert asker.challenged(invite(), refusal(invite(), asked.challenge(0).lines), {})
        return asker, invite(asker.lines("INVITE", URI, b"hello"), "hello")

    def test_one_challenge_for_each_algorithm_in_order(self) -> None:
        asked = server(("SHA-512-256", "SHA-256", "MD5"), QOPS)
        verdict = asked.verify(invite(), 5)
        made = [
            Challenge.parse(line.partition(": ")[2]) for line in verdict.lines.splitlines() if line
        ]
        assert [value.algorithm for value in made] == ["SHA-512-256", "SHA-256", "MD5"]
        assert {(c.realm, c.qop, c.stale) for c in made} == {("biloxi.com", QOPS, False)}
        assert asked.challenge(5).lines != verdict.lines

    def test_a_replay_is_refused(self) -> None:
        asked = server()
        asker, message = self.accepted(asked)
        later = invite(asker.lines("INVITE", URI, b"hello"), "hello")
        assert asked.verify(message, 0) == Verdict("bob")
        assert asked.verify(message, 0).stale
        assert asked.verify(later, 0) == Verdict("bob")
        assert [asked.verify(m, 0).user for m in (message, later)] == [None, None]

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40))
    @relaxed
    def test_no_replay_however_small_the_table(self, order: list[tuple[int, int]]) -> None:
        asked = server(most_nonces=2)
        made: dict[tuple[int, int], Request] = {}
        for who in range(6):
            asker = client()
            lines = asked.challenge(who).lines
            assert asker.challenged(invite(), refusal(invite(), lines), {})
            for number in range(4):
                made[who, number] = invite(asker.lines("INVITE", URI))
        accepted = [which for which in order if asked.verify(made[which], 9).user]
        assert len(accepted) == len(set(accepted))
        for who in range(6):
            counts = [number for w, number in accepted if w == who]
            assert counts == sorted(counts)
        assert len(asked._counts) <= 2

    @pytest.mark.parametrize("qop", QOPS)
    def test_what_was_tampered_with_is_refused(self, qop: str) -> None:
        asked = server(qops=(qop,))
        _, message = self.accepted(asked)
        good = Credentials.parse(message.get("authorization") or "")
        other = "f" if good.response[0] != "f" else "0"
        for bad in (
            replace(good, username="eve"),
            replace(good, realm="atlanta.com"),
            replace(good, nonce=good.nonce[::-1]),
            replace(good, uri="sip:eve@192.0.2.1"),
            replace(good, response=other + good.response[1:]),
            replace(good, response=""),
            replace(good, algorithm="MD5"),
            replace(good, algorithm="SHA-256-sess"),
            replace(good, nc=2),
            replace(good, cnonce="0"),
            replace(good, qop="auth" if qop == "auth-int" else "auth-int"),
            replace(good, qop=None, nc=None, cnonce=None),
        ):
            verdict = asked.verify(invite(f"Authorization: {bad}", "hello"), 0)
            assert (verdict.user, verdict.stale) == (None, False), bad
        line = f"Authorization: {good}"
        assert asked.verify(invite(line, "hello", method="BYE"), 0) == Verdict(
            None, 403, heard=True
        )
        changed = asked.verify(invite(line, "jello"), 0)
        assert (changed.user is None) is (qop == "auth-int")
        if qop == "auth-int":
            assert asked.verify(invite(line, "hello"), 0).user == "bob"

    # RFC 3261 section 22.4: proxies may have changed the Request-URI.
    def test_the_request_uri_may_differ_unless_told(self) -> None:
        for same_uri in (False, True):
            asked = server(same_uri=same_uri)
            _, message = self.accepted(asked)
            line = f"Authorization: {message.get('authorization')}"
            moved = invite(line, "hello", uri="sip:moved@192.0.2.1")
            assert asked.verify(moved, 0).user == (None if same_uri else "bob")

    @pytest.mark.parametrize("length", [0, 27, 59, 60, 61])
    def test_a_foreign_nonce_is_stale_for_who_knows_the_password(self, length: int) -> None:
        asked, asker = server(), client()
        assert answers(asker, Challenge("biloxi.com", "0" * length, "MD5", ("auth",)))
        verdict = asked.verify(invite(asker.lines("INVITE", URI)), 0)
        assert (verdict.user, verdict.status, verdict.stale) == (None, 401, True)

    def test_other_realms_and_schemes_are_not_ours(self) -> None:
        asked = server()
        _, message = self.accepted(asked)
        other = Credentials("x", "elsewhere", "n", "sip:a", "00")
        lines = f"Authorization: Bearer abc\r\nAuthorization: {other}\r\n"
        assert asked.verify(invite(lines), 0).status == 401
        lines += f"Authorization: {message.get('authorization')}"
        assert asked.verify(invite(lines, "hello"), 0) == Verdict("bob")

    def test_malformed_credentials_are_the_peers_fault(self) -> None:
        with pytest.raises(ParseError) as caught:
            server().verify(invite('Authorization: Digest username="bob"'), 0)
        assert caught.value.status == 400

    def test_an_upper_case_response_is_taken(self) -> None:
        asked = server()
        _, message = self.accepted(asked)
        value = Credentials.parse(message.get("authorization") or "")
        value = replace(value, response=value.response.upper())
        assert asked.verify(invite(f"Authorization: {value}", "hello"), 0).user == "bob"

    def test_configuration_is_checked(self) -> None:
        with pytest.raises(InvalidValue, match="secret") as caught:
            DigestServer("r", b"short", lambda _user: None, ids())
        assert "short'" not in str(caught.value)
        with pytest.raises(InvalidValue, match="SHA-1"):
            server(("SHA-1",))
        with pytest.raises(InvalidValue, match="algorithms"):
            server(())
        with pytest.raises(InvalidValue, match="qops"):
            server(qops=("auth-conf",))
        with pytest.raises(InvalidValue, match="realm"):
            server(realm="a\r\nb")
