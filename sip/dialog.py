"""Dialogs (RFC 3261 section 12): identifiers, sequence numbers, route set and target.

A dialog knows no method; the INVITE usage and REFER subscriptions stand on it.
"""

from functools import lru_cache
from typing import Final

from sip.errors import ParseError
from sip.message import Message, Request, Response
from sip.uri import PLAIN_SIP_URI, SipUri, parse_uri
from sip.values import NameAddr

_LONGEST_KNOWN: Final = 256


class Dialog:
    """One dialog, early or confirmed.

    `local` and `remote` are the From or To values with their tags, as text; `target`
    is the remote target URI; `routes` the route set in the order of sending.
    """

    __slots__ = (
        "call_id",
        "last_cseq",
        "local",
        "local_cseq",
        "local_tag",
        "max_forwards",
        "remote",
        "remote_cseq",
        "remote_tag",
        "routes",
        "target",
    )

    def __init__(self, call_id: str, local: str, local_tag: str, remote: str, target: str) -> None:
        self.call_id = call_id
        self.local = local
        self.local_tag = local_tag
        self.remote = remote
        self.remote_tag: str | None = None
        self.target = target
        self.routes: tuple[str, ...] = ()
        self.local_cseq = 0
        self.remote_cseq = -1
        self.max_forwards = 70  # of the first request; what follows starts anew
        self.last_cseq = 0  # of the last request either way, ACK aside

    @classmethod
    def from_request(cls, request: Request, local_tag: str) -> "Dialog":
        """The callee's side (section 12.1.1); From stands in for a missing Contact (RFC 2543)."""
        fields = request.fields()
        local = f"{fields.get('to')};tag={local_tag}"
        remote = fields.get("from") or ""
        target = contact_uri(request) or request.from_.uri
        dialog = cls(fields.get("call-id") or "", local, local_tag, remote, target)
        dialog.remote_tag = request.from_tag
        dialog.remote_cseq = dialog.last_cseq = request.cseq[0]
        dialog.routes = tuple(_record_routes(request))
        return dialog

    def meet(self, response: Response) -> None:
        """The caller's side learns its peer from a 1xx or 2xx (section 12.1.2).

        A malformed Record-Route counts as none: a 2xx must be acknowledged all the same.
        """
        tag = response.to_tag
        if tag != self.remote_tag:  # another fork numbers its requests by itself
            self.remote_cseq = -1
        self.remote_tag = tag
        self.remote = response.get("to") or self.remote
        try:
            routes = _record_routes(response)
        except ParseError:
            routes = []
        self.routes = tuple(reversed(routes))
        self.refresh(response)

    def start_over(self, request: Request, uri: str) -> None:
        """The caller's first request goes out again, to `uri`: no peer is known (8.1.3.5)."""
        self.remote = request.get("to") or self.remote
        self.remote_tag = None
        self.remote_cseq = -1
        self.routes = tuple(request.values("route")) if uri == request.uri else ()
        self.target = uri

    def meet_notifier(self, notify: Request) -> None:
        """The subscriber's side learns its peer from the first NOTIFY (RFC 6665 4.4.1)."""
        self.remote_tag = notify.from_tag
        self.remote = notify.get("from") or self.remote
        try:
            self.routes = tuple(_record_routes(notify))
        except ParseError:
            self.routes = ()
        self.refresh(notify)

    def fork(self, response: Response) -> "Dialog":
        """Another early dialog of the same INVITE, seen by the caller."""
        dialog = Dialog(self.call_id, self.local, self.local_tag, self.remote, self.target)
        dialog.local_cseq = self.local_cseq
        dialog.meet(response)
        return dialog

    def refresh(self, message: Message) -> None:
        """Target refresh: the Contact of an INVITE, UPDATE or their 2xx (section 12.2)."""
        uri = contact_uri(message)
        if uri:
            self.target = uri

    def turn_back(self, place: str) -> None:
        """Have its requests go to `place`, ``host:port``, whatever the peer has named."""
        user = contact_user(f"<{self.target}>")
        self.target = f"sip:{user}@{place}" if user else f"sip:{place}"
        self.routes = ()

    def next_hop(self) -> str:
        """The URI whose host the next request is sent to."""
        return route_uri(self.routes[0]) if self.routes else self.target

    def request_uri(self) -> str:
        """The Request-URI of the next request (section 12.2.1.1)."""
        if self.routes and not is_loose(first := route_uri(self.routes[0])):
            return first
        return self.target

    def record_route_lines(self) -> str:
        """The Record-Route of a 2xx that makes this dialog (section 12.1.1)."""
        return "".join([f"Record-Route: {route}\r\n" for route in self.routes])

    def request_head(self, method: str, number: int, via: str, lines: str) -> tuple[str, str]:
        """Request-URI, and the request's head up to Content-Length (section 12.2.1.1).

        `via` is the whole Via value, `lines` further header lines ended by CRLF each.
        """
        uri = self.target
        hops = self.max_forwards if self.remote_tag is None else 70
        routes = ""
        if self.routes:
            first = route_uri(self.routes[0])
            if is_loose(first):
                routes = "".join([f"Route: {route}\r\n" for route in self.routes])
            else:  # a strict router (section 12.2.1.1): it becomes the Request-URI
                routes = "".join([f"Route: {route}\r\n" for route in self.routes[1:]])
                routes += f"Route: <{uri}>\r\n"
                uri = first
        head = (
            f"{method} {uri} SIP/2.0\r\nVia: {via}\r\n{routes}Max-Forwards: {hops}\r\n"
            f"From: {self.local}\r\nTo: {self.remote}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {number} {method}\r\n{lines}"
        )
        return uri, head


def _record_routes(message: Message) -> list[str]:
    """The Record-Route values, each of them well-formed. Raises ParseError."""
    if message.get("record-route") is None:
        return []
    routes = message.values("record-route")
    for route in routes:
        NameAddr.parse(route)
    return routes


def contact_uri(message: Message) -> str | None:
    """The URI of the first Contact, as text; None when there is none."""
    value = message.get("contact")
    if value is None:
        return None
    try:
        return _known_uri(value) if len(value) < _LONGEST_KNOWN else name_addr_uri(value)
    except ParseError:
        return None


def contact_user(line: str) -> str:
    """The user part of the URI in a Contact line of ours, as it stands there."""
    user, at, _ = line.partition("@")
    return user[user.find(":", user.find("<")) + 1 :] if at else ""


def is_sips(uri: str) -> bool:
    """Whether it is a sips: URI."""
    return uri[:5].lower() == "sips:"


def can_name_transport(uri: str) -> bool:
    """Whether a transport parameter may be added to `uri`: it is sip: and names none."""
    return uri[:4].lower() == "sip:" and "?" not in uri and ";transport=" not in uri.lower()


def name_addr_uri(value: str) -> str:
    """The URI of a From, To or (the first) Contact value, as text. Raises ParseError."""
    if '"' not in value:
        _, start, rest = value.partition("<")
        uri, end, _ = rest.partition(">")
        if end:
            return uri
        if not start and "?" not in value and "," not in value:
            # An addr-spec alone: what follows a semicolon is not its own (section 20.10).
            uri = value.partition(";")[0]
            if PLAIN_SIP_URI.fullmatch(uri):
                return uri
    return NameAddr.parse_many(value)[0].uri


_known_uri = lru_cache(maxsize=1024)(name_addr_uri)  # a peer has the same Contact in most calls


def route_uri(value: str) -> str:
    """The URI of a Route or Record-Route value."""
    start = value.rfind("<")
    return value[start + 1 : value.find(">", start)] if start >= 0 else value


def is_loose(uri: str) -> bool:
    """Whether a route URI has ``lr`` (section 16.12)."""
    if ";lr" not in uri.lower():
        return False
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return False
    return isinstance(parsed, SipUri) and parsed.is_loose_router
