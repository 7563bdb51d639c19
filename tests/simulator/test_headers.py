from simulator.headers import refusal_lines, refusal_of, user_part
from sip.message import Response, parse


def response(status: int, *lines: str) -> Response:
    head = [
        f"SIP/2.0 {status} No",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: <sip:a@192.0.2.1>;tag=1",
        "To: <sip:b@192.0.2.2>;tag=2",
        "Call-ID: c",
        "CSeq: 1 INVITE",
    ]
    message = parse("\r\n".join([*head, *lines, "", ""]).encode())
    assert isinstance(message, Response)
    return message


def test_a_redirection_goes_on_with_its_contacts() -> None:
    moved = response(302, "Contact: <sip:c@192.0.2.3>", "Contact: <sip:d@192.0.2.4>", "Server: x")
    contacts = "Contact: <sip:c@192.0.2.3>\r\nContact: <sip:d@192.0.2.4>\r\n"
    assert refusal_of(302, moved, moved=True).lines == contacts
    assert refusal_of(302, moved).lines == refusal_lines(moved) == ""
    assert refusal_of(485, moved, moved=True).lines == ""


def test_warnings_go_on_without_their_hosts() -> None:
    quoted = response(488, 'Warning: 307 10.0.0.1 "a, \\"b\\"" , 399 sbc "c"', "Warning: nonsense")
    lines = refusal_lines(quoted)
    assert lines == 'Warning: 307 callee "a, \\"b\\""\r\nWarning: 399 callee "c"\r\n'


def test_no_response_has_nothing_to_say() -> None:
    assert refusal_lines(None) == ""


def test_user_parts() -> None:
    assert user_part("sip:7001@127.0.0.1:5060") == "7001"
    assert user_part("sip:a%20b;x=y@host;transport=tcp") == "a b"
    assert user_part("tel:+1-408-555-0100") == "+14085550100"
    assert user_part("mailto:a@b") == ""
