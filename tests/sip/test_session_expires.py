"""Session-Expires and Min-SE (RFC 4028 sections 4 and 5)."""

import pytest

from sip.errors import InvalidValue, ParseError
from sip.message import Request, parse
from sip.session_expires import MinSE, SessionExpires
from tests.support.builders import request_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1800", SessionExpires(1800)),
        ("4000;refresher=uac", SessionExpires(4000, "uac")),
        ("90 ; Refresher = UAS ; x=1", SessionExpires(90, "uas", (("x", "1"),))),
        ("4294967295", SessionExpires(4294967295)),
    ],
)
def test_session_expires_is_read(text: str, value: SessionExpires) -> None:
    assert SessionExpires.parse(text) == value
    assert SessionExpires.parse(str(value)) == value


def test_values_are_written() -> None:
    assert str(SessionExpires(1800, "uas", (("x", "1"),))) == "1800;refresher=uas;x=1"
    assert str(MinSE(90, (("x", None),))) == "90;x"
    assert MinSE.parse(" 120;x=y ") == MinSE(120, (("x", "y"),))


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "4294967296", "90, 91", "90;refresher=me"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ParseError):
        SessionExpires.parse(text)
    if "refresher" not in text:
        with pytest.raises(ParseError):
            MinSE.parse(text)


def test_what_cannot_be() -> None:
    with pytest.raises(InvalidValue, match="neither uac nor uas"):
        SessionExpires(90, "me")
    with pytest.raises(InvalidValue, match="Min-SE"):
        MinSE(-1)


def test_the_compact_form() -> None:
    """Section 4: x stands for Session-Expires."""
    request = parse(request_text("INVITE", {"x": "90;refresher=uas"}))
    assert isinstance(request, Request)
    assert request.get("session-expires") == "90;refresher=uas"
