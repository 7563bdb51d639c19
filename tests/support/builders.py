"""Messages as text for tests: only what differs from the usual is named."""

from collections.abc import Mapping

from sip.message import Request, Response, parse

HEADERS = {
    "Via": "SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKtest;rport",
    "Max-Forwards": "70",
    "From": "<sip:carol@example.org>;tag=carol",
    "To": "<sip:bob@192.0.2.1>",
    "Call-ID": "call@198.51.100.9",
    "CSeq": "1 {method}",
    "Contact": "<sip:carol@198.51.100.9:5060>",
}
PEER = ("198.51.100.9", 5060)


def request_text(
    method: str = "INVITE",
    headers: Mapping[str, str | None] | None = None,
    body: str = "",
    uri: str = "sip:bob@192.0.2.1",
) -> bytes:
    """A request; `headers` replace the usual ones, None leaves one out."""
    lines: dict[str, str | None] = {**HEADERS, **(headers or {})}
    lines.setdefault("Content-Length", str(len(body)))
    fields = [f"{k}: {v.format(method=method)}\r\n" for k, v in lines.items() if v is not None]
    return f"{method} {uri} SIP/2.0\r\n{''.join(fields)}\r\n{body}".encode(
        "utf-8", "surrogateescape"
    )


def request(
    method: str = "INVITE",
    headers: Mapping[str, str | None] | None = None,
    body: str = "",
    uri: str = "sip:bob@192.0.2.1",
) -> Request:
    """The same, parsed."""
    message = parse(request_text(method, headers, body, uri))
    assert isinstance(message, Request)
    return message


def response_text(
    to: Request, status: int, tag: str = "", lines: str = "", body: str = "", reason: str = "Test"
) -> bytes:
    """A response to a request as a plain peer would write it."""
    vias = "".join([f"Via: {via}\r\n" for via in to.all("via")])
    to_value = to.get("to") or ""
    if tag and ";tag=" not in to_value:
        to_value += f";tag={tag}"
    return (
        f"SIP/2.0 {status} {reason}\r\n{vias}From: {to.get('from')}\r\nTo: {to_value}\r\n"
        f"Call-ID: {to.call_id}\r\nCSeq: {to.get('cseq')}\r\n{lines}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("utf-8", "surrogateescape")


def response(
    to: Request, status: int, tag: str = "", lines: str = "", body: str = "", reason: str = "Test"
) -> Response:
    """The same, parsed."""
    message = parse(response_text(to, status, tag, lines, body, reason))
    assert isinstance(message, Response)
    return message
