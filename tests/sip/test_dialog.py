"""Dialogs: route sets, targets and numbers (RFC 3261 section 12)."""

import pytest

from sip.dialog import Dialog, contact_uri, is_loose, route_uri
from sip.errors import ParseError
from tests.support.builders import request, response

LOOSE = "<sip:p1.example.com;lr>"
STRICT = "<sip:p1.example.com>"


def caller(*routes: str, contact: str = "<sip:bob@192.0.2.9>") -> Dialog:
    """A caller's dialog whose INVITE went by `routes`, nearest first."""
    dialog = Dialog("call", "<sip:a@b>;tag=a", "a", "<sip:bob@example.com>", "sip:bob@example.com")
    lines = "".join([f"Record-Route: {route}\r\n" for route in reversed(routes)])
    dialog.meet(response(request(), 200, "bob", f"{lines}Contact: {contact}\r\n"))
    return dialog


def test_the_callee_side() -> None:
    invite = request(
        headers={"Record-Route": f"{LOOSE}, <sip:p2.example.com;lr>", "CSeq": "7 INVITE"}
    )
    dialog = Dialog.from_request(invite, "ours")
    assert dialog.local == "<sip:bob@192.0.2.1>;tag=ours"
    assert dialog.remote == "<sip:carol@example.org>;tag=carol"
    assert (dialog.local_tag, dialog.remote_tag, dialog.call_id) == (
        "ours",
        "carol",
        invite.call_id,
    )
    assert (dialog.remote_cseq, dialog.last_cseq, dialog.local_cseq) == (7, 7, 0)
    assert dialog.routes == (LOOSE, "<sip:p2.example.com;lr>")
    assert dialog.target == "sip:carol@198.51.100.9:5060"
    assert dialog.next_hop() == "sip:p1.example.com;lr"


def test_from_stands_in_for_a_missing_contact() -> None:
    bare = request(headers={"Contact": None, "From": "sip:carol@example.org;tag=x"})
    assert Dialog.from_request(bare, "ours").target == "sip:carol@example.org"
    with pytest.raises(ParseError):
        Dialog.from_request(request(headers={"Contact": None, "From": "<sip:a@b"}), "ours")


def test_the_caller_side_reverses_the_route_set() -> None:
    dialog = caller(LOOSE, "<sip:p2.example.com;lr>")
    assert dialog.routes == (LOOSE, "<sip:p2.example.com;lr>")
    assert dialog.remote_tag == "bob"
    assert dialog.remote == "<sip:bob@192.0.2.1>;tag=bob"
    assert dialog.target == "sip:bob@192.0.2.9"


def test_loose_routing() -> None:
    uri, head = caller(LOOSE, "<sip:p2.example.com;lr>").request_head("BYE", 2, "V", "X: y\r\n")
    assert uri == "sip:bob@192.0.2.9"
    assert head == (
        "BYE sip:bob@192.0.2.9 SIP/2.0\r\nVia: V\r\nRoute: <sip:p1.example.com;lr>\r\n"
        "Route: <sip:p2.example.com;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=a\r\n"
        "To: <sip:bob@192.0.2.1>;tag=bob\r\nCall-ID: call\r\nCSeq: 2 BYE\r\nX: y\r\n"
    )


def test_strict_routing() -> None:  # section 12.2.1.1
    dialog = caller(STRICT, "<sip:p2.example.com;lr>")
    uri, head = dialog.request_head("BYE", 2, "V", "")
    assert uri == "sip:p1.example.com"
    assert dialog.next_hop() == "sip:p1.example.com"
    assert "Route: <sip:p2.example.com;lr>\r\nRoute: <sip:bob@192.0.2.9>\r\n" in head


def test_no_routes() -> None:
    dialog = caller()
    assert dialog.next_hop() == "sip:bob@192.0.2.9"
    assert "Route:" not in dialog.request_head("BYE", 2, "V", "")[1]


def test_max_forwards_of_the_first_request_only() -> None:
    dialog = Dialog("call", "<sip:a@b>;tag=a", "a", "<sip:b@c>", "sip:b@c")
    dialog.max_forwards = 12
    assert "Max-Forwards: 12\r\n" in dialog.request_head("INVITE", 1, "V", "")[1]
    dialog.meet(response(request(), 180, "bob"))
    assert "Max-Forwards: 70\r\n" in dialog.request_head("BYE", 2, "V", "")[1]


def test_target_refresh() -> None:
    dialog = caller()
    dialog.refresh(request(headers={"Contact": "<sip:new@192.0.2.7>"}))
    assert dialog.target == "sip:new@192.0.2.7"
    dialog.refresh(request(headers={"Contact": None}))
    assert dialog.target == "sip:new@192.0.2.7"


def test_another_fork_numbers_its_requests_by_itself() -> None:
    dialog = caller()
    dialog.remote_cseq = 5000
    dialog.meet(response(request(), 183, "bob"))
    assert dialog.remote_cseq == 5000
    dialog.meet(response(request(), 183, "other"))
    assert (dialog.remote_cseq, dialog.remote_tag) == (-1, "other")


def test_a_fork_is_a_dialog_of_its_own() -> None:
    dialog = caller(LOOSE)
    dialog.local_cseq = 3
    fork = dialog.fork(response(request(), 200, "other", "Contact: <sip:o@192.0.2.5>\r\n"))
    assert (fork.remote_tag, fork.target, fork.routes) == ("other", "sip:o@192.0.2.5", ())
    assert (fork.local_tag, fork.local_cseq) == ("a", 3)
    assert dialog.remote_tag == "bob"


def test_a_malformed_record_route_counts_as_none() -> None:
    dialog = caller()
    dialog.meet(response(request(), 200, "bob", 'Record-Route: <sip:p;lr>, "open\r\n'))
    assert dialog.routes == ()


@pytest.mark.parametrize(
    ("contact", "uri"),
    [
        ("<sip:a@b;x=y>;q=1", "sip:a@b;x=y"),
        ("sip:a@b;q=1", "sip:a@b"),
        ('"A > B" <sip:a@b>', "sip:a@b"),
        ("<sip:a@b>, <sip:c@d>", "sip:a@b"),
        ("*", None),
        ("<sip:a@b", None),
        ('"open <sip:a@b>', None),
    ],
)
def test_contact_uri(contact: str, uri: str | None) -> None:
    assert contact_uri(request(headers={"Contact": contact})) == uri


def test_no_contact() -> None:
    assert contact_uri(request(headers={"Contact": None})) is None


@pytest.mark.parametrize(
    ("uri", "loose"),
    [
        ("sip:p;lr", True),
        ("sip:p;LR=on", True),
        ("sip:p", False),
        ("sip:p;lrx", False),
        ("tel:+1;lr", False),
        ("sip:;lr", False),
    ],
)
def test_is_loose(uri: str, loose: bool) -> None:
    assert is_loose(uri) == loose


def test_route_uri() -> None:
    assert route_uri('"P" <sip:p;lr>;x=y') == "sip:p;lr"
    assert route_uri("sip:p") == "sip:p"
