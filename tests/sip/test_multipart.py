"""The session description among the parts of a body (RFC 2046, RFC 5621)."""

from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.multipart import sdp_part
from tests.support.growth import least_growth

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
HEAD = b"Content-Type: application/sdp\r\n"


def mixed(*parts: bytes, boundary: bytes = b"x") -> bytes:
    return b"".join([b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts]) + (
        b"--" + boundary + b"--\r\n"
    )


def test_the_body_itself() -> None:
    assert sdp_part("application/SDP; charset=utf-8", SDP) == SDP
    assert sdp_part("", SDP) == SDP


def test_a_part_of_multipart() -> None:
    """As gateways send it, beside what ISUP says."""
    body = mixed(HEAD + b"\r\n" + SDP, b"Content-Type: application/gtd\r\n\r\nIAM")
    assert sdp_part('multipart/mixed; boundary="x"', body) == SDP
    turned = mixed(b"Content-Type: application/gtd\r\n\r\nIAM", HEAD + b"\r\n" + SDP)
    assert sdp_part("Multipart/Mixed;boundary=x", turned) == SDP


@pytest.mark.parametrize(
    "body",
    [
        b"preamble\r\n" + mixed(HEAD + b"\r\n" + SDP) + b"epilogue",
        mixed(HEAD + b"\r\n" + SDP).replace(b"--x\r\n", b"--x \t\r\n"),
        mixed(HEAD + b"\r\n" + SDP).removesuffix(b"\r\n--x--\r\n"),
        mixed(b"content-type:\r\n application/sdp\r\nContent-ID: <a>\r\n\r\n" + SDP),
        mixed(b"\r\nplain text", HEAD + b"\r\n" + SDP),
        mixed(b"\r\n--xy is no delimiter of x", HEAD + b"\r\n" + SDP),
        mixed(b"\r\nneither is this: --x", HEAD + b"\r\n" + SDP),
        mixed(b"Content-Type: multipart/alternative;boundary=xx\r\n\r\n"
              + mixed(HEAD + b"\r\n" + SDP, boundary=b"xx")),
    ],
)  # fmt: skip
def test_spellings(body: bytes) -> None:
    assert sdp_part("multipart/mixed;boundary=x", body) == SDP


def test_line_feeds_alone() -> None:
    body = mixed(HEAD + b"\r\n" + SDP).replace(b"\r\n", b"\n")
    assert sdp_part("multipart/mixed;boundary=x", body) == SDP.replace(b"\r\n", b"\n")


def test_encodings() -> None:
    encoded = b"Content-Transfer-Encoding: base64\r\n" + HEAD + b"\r\ndj0wDQo="
    assert sdp_part("multipart/mixed;boundary=x", mixed(encoded)) == b"v=0\r\n"
    broken = encoded.replace(b"dj0wDQo=", b"dj0wDQ")
    assert sdp_part("multipart/mixed;boundary=x", mixed(broken)) == b""
    printable = b"Content-Transfer-Encoding: Quoted-Printable\r\n" + HEAD + b"\r\nv=3D0"
    assert sdp_part("multipart/mixed;boundary=x", mixed(printable)) == b"v=0"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"hello"),
        ("multipart/mixed; boundary=x", mixed(b"\r\nhello")),
        ("multipart/mixed; boundary=x", b""),
        ("multipart/mixed; boundary=x", b"--x"),
        ("multipart/mixed", mixed(HEAD + b"\r\n" + SDP)),
        ("multipart/mixed; boundary", mixed(HEAD + b"\r\n" + SDP)),
        ("multipart/mixed; boundary=<", mixed(HEAD + b"\r\n" + SDP)),
        (f"multipart/mixed; boundary={'x' * 71}", mixed(HEAD + b"\r\n" + SDP)),
        ("multipart/mixed; boundary=x", mixed(HEAD) + mixed(HEAD + b"\r\n" + SDP)),
    ],
)
def test_no_description(content_type: str, body: bytes) -> None:
    assert sdp_part(content_type, body) == b""


def test_parts_within_parts_have_an_end() -> None:
    body = HEAD + b"\r\n" + SDP
    for depth in range(20):
        name = f"d{depth}".encode()
        body = (
            b"Content-Type: multipart/mixed;boundary="
            + name
            + b"\r\n\r\n"
            + mixed(body, boundary=name)
        )
    assert sdp_part("multipart/mixed;boundary=x", mixed(body)) == b""


@given(st.lists(st.binary(max_size=30)), st.binary(max_size=30).filter(lambda b: b"--x" not in b))
def test_any_neighbours(others: list[bytes], content: bytes) -> None:
    """Whatever stands beside it, the description comes back octet by octet."""
    plain = [b"Content-Type: a/b\r\n\r\n" + part.replace(b"--x", b"") for part in others]
    body = mixed(*plain, HEAD + b"\r\n" + content)
    assert sdp_part("multipart/mixed;boundary=x", body) == content


@pytest.mark.parametrize("piece", [b"--x", b"--x\r\n", b"--x \r\n\r\n", b"\n", b"\r\n ", b":\r\n"])
def test_it_takes_linear_time(piece: bytes) -> None:
    def cost(length: int) -> float:
        body = b"--x\r\n" + piece * (length // len(piece))
        started = thread_time()
        sdp_part("multipart/mixed;boundary=x", body)
        return thread_time() - started

    # 8 where it is linear, 64 where it is quadratic
    assert least_growth(lambda: cost(400_000), lambda: cost(50_000), 24) < 24
