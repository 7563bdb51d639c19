"""A traced call as SIPp scenarios: for each leg its far end, which plays what it played then.

What the far end sent is sent again, with this run's addresses, tags, branches and Call-ID in the
place of those; what the server sent is waited for. Retransmissions are left out: SIPp has its own.
A far end behind proxies becomes one without. Answers to challenges want a password in the file.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from simulator.trace_views import TracedMessage
from sip.errors import ParseError
from sip.message import Request, Response, parse

LONGEST_PAUSE: Final = 10.0
"""Seconds that a scenario waits at most where the far end had waited."""

_SHORTEST_PAUSE: Final = 0.02

_TAG: Final = ";tag=t[pid]-[call_number]"
_HERE: Final = "[local_ip]:[local_port]"
_SERVER: Final = "[remote_ip]:[remote_port]"

# Header fields that are made anew, by their compact names too.
_OURS: Final = frozenset(
    "via v from f to t call-id i cseq contact m content-length l route record-route rack "
    "authorization proxy-authorization".split()
)
_HOST: Final = re.compile(r"(sips?:(?:[^@\s<>\"]*@)?)(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(\d+))?", re.A)
_HEADER_TAG: Final = re.compile(r"\s*;\s*tag\s*=\s*[^;,\s]*", re.IGNORECASE)
_BRANCH: Final = re.compile(r";\s*branch\s*=\s*([^;,\s]*)", re.IGNORECASE)
_TRANSPORT: Final = re.compile(r";\s*transport=\w+", re.IGNORECASE)
_USER: Final = re.compile(r"username\s*=\s*\"([^\"\\]*)\"", re.IGNORECASE)
_MEDIA: Final = re.compile(r"IN IP[46] (?!0\.0\.0\.0)\S+")
_PLAIN: Final = re.compile(r"[^\x20-\x7e]|[\[\\]|\](?=\]>)")


@dataclass(slots=True)
class _Step:
    """One message; `kept` are what later answers need of a request that came, by header name."""

    traced: TracedMessage
    message: Request | Response
    played: bool
    kept: str = ""
    remembers: list[str] = field(default_factory=list)

    @property
    def transaction(self) -> tuple[int, str]:
        number, method = self.message.cseq
        return number, "INVITE" if method == "ACK" else method


def sipp_scenarios(messages: Sequence[TracedMessage]) -> dict[str, str]:
    """The scenarios of a call as XML, by a file name each; the caller's is the first."""
    legs: dict[str, list[TracedMessage]] = {}
    for one in messages:
        if one.data:
            legs.setdefault(one.call_id, []).append(one)
    found: dict[str, str] = {}
    for number, leg in enumerate(legs.values(), start=1):
        steps = list(_steps(leg))
        first = steps[0].message if steps else None
        if isinstance(first, Request) and first.method == "INVITE":
            name = f"{number}-{leg[0].leg or 'far-end'}"
            found[f"{name}.xml"] = _Scenario(name, steps).xml()
    return found


def _steps(leg: list[TracedMessage]) -> Iterator[_Step]:
    seen: set[tuple[str, bytes]] = set()
    for one in leg:
        if (one.direction, one.data) in seen:
            continue
        seen.add((one.direction, one.data))
        try:
            yield _Step(one, parse(one.data), one.direction == "in")
        except ParseError:  # nobody could play it by words
            continue


class _Scenario:
    """The far end of one leg; `calls` where it is the one that sent the INVITE."""

    def __init__(self, name: str, steps: list[_Step]) -> None:
        self._name = name
        self._steps = steps
        self._calls = steps[0].played
        self._branches: dict[str, int] = {}
        self._answered: dict[int, int] = {}  # final responses to its INVITEs, by CSeq
        self._first = {steps[0].message.cseq[0]} if self._calls else set()
        self._remember()

    def _remember(self) -> None:
        """Mark the requests whose answers come after something else has come."""
        requests: dict[tuple[int, str], _Step] = {}
        last: _Step | None = None
        for number, step in enumerate(self._steps):
            if not step.played:
                last = step
                if isinstance(step.message, Request) and step.message.method != "ACK":
                    requests[step.transaction] = step
            elif isinstance(step.message, Response):
                asked = requests.get(step.transaction)  # nosec B113 # a dictionary
                if asked is not None and asked is not last:
                    step.kept = asked.kept = asked.kept or str(number)
                    asked.remembers = ["Via", "From", "To", "CSeq"]

    def xml(self) -> str:
        """The file."""
        parts = [
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<!-- The {'caller' if self._calls else 'callee'} of a recorded call. -->\n"
            f'<scenario name="{self._name}">'
        ]
        before = self._steps[0].traced.time
        for place, step in enumerate(self._steps):
            gap = min(step.traced.time - before, LONGEST_PAUSE)
            before = step.traced.time
            if not step.played:
                parts.append(self._recv(place, step))
                continue
            if gap >= _SHORTEST_PAUSE:
                parts.append(f'<pause milliseconds="{round(gap * 1000)}"/>')
            parts.append(self._send(step))
        return "\n".join([*parts, "</scenario>\n"])

    # What the server sent.

    def _recv(self, place: int, step: _Step) -> str:
        message = step.message
        remembers = [(name, f"{name.lower()}{step.kept}") for name in step.remembers]
        if isinstance(message, Request):
            known = f'request="{message.method}"'
            if message.method == "INVITE":
                known += ' rrs="true"'
            if place == 0 and self._asks:
                remembers += [("From", "remote"), ("To", "local")]
        else:
            known = f'response="{message.status}"'
            if message.cseq[1] == "INVITE":
                reliable = message.get("rseq") is not None
                if reliable:
                    remembers.append(("RSeq", "rseq"))
                if message.status >= 200:
                    self._answered[message.cseq[0]] = message.status
                elif not reliable and self._more_comes(place):
                    known += ' optional="true"'
                if reliable or 200 <= message.status < 300:
                    known += ' rrs="true"'
            if message.status in (401, 407):
                known += ' auth="true"'
                self._first.add(message.cseq[0] + 1)
        if not remembers:
            return f"<recv {known}/>"
        actions = [
            f'    <ereg regexp="[^ ].*" search_in="hdr" header="{name}:" check_it="true" '
            f'assign_to="{variable}"/>'
            for name, variable in remembers
        ]
        return "\n".join([f"<recv {known}>", "  <action>", *actions, "  </action>", "</recv>"])

    @property
    def _asks(self) -> bool:
        """Whether it sends requests of its own."""
        return any(step.played and isinstance(step.message, Request) for step in self._steps)

    def _more_comes(self, place: int) -> bool:
        """Whether the server sends something else that it must before the far end does."""
        for step in self._steps[place + 1 :]:
            if step.played:
                return False
            if isinstance(step.message, Request) or step.message.status >= 200:
                return True
        return False

    # What the far end sent.

    def _send(self, step: _Step) -> str:
        message = step.message
        if isinstance(message, Request):
            lines = self._request(step, message)
            again = message.method != "ACK"
        else:
            lines = self._response(step, message)
            again = message.cseq[1] == "INVITE" and message.status >= 200
        head = step.traced.data.lstrip(b"\r\n").partition(b"\r\n\r\n")
        for name, value in _fields(head[0]):
            lower = name.lower()
            if lower in ("contact", "m"):
                lines.append(f"Contact: {self._contact(step, value)}")
            elif lower in ("authorization", "proxy-authorization"):
                found = _USER.search(value)
                user = _escaped(found[1]) if found is not None else ""
                lines.append(f"[authentication username={user} password=PASSWORD]")
            elif lower == "rack":
                lines.append(f"RAck: [$rseq] {value.partition(' ')[2]}")
            elif lower not in _OURS:
                lines.append(f"{_escaped(name)}: {self._placed(step, value)}")
        lines += ["Content-Length: [len]", ""]
        body = head[2].decode("utf-8", "surrogateescape")
        if body:
            lines += _body(body).split("\r\n")
        text = "\n".join(lines)
        way = ' retrans="500"' if again and step.traced.transport == "UDP" else ""
        return f"<send{way}><![CDATA[\n\n{text}\n]]></send>"

    def _request(self, step: _Step, request: Request) -> list[str]:
        number, method = request.cseq
        found = _BRANCH.search(request.top_via)
        branch = found[1] if found is not None else f"{number} {method}"
        serial = self._branches.setdefault(branch, len(self._branches) + 1)
        outside = request.to_tag is None or (
            method in ("ACK", "CANCEL")
            and number in self._first
            and not 200 <= self._answered.get(number, 0) < 300
        )
        uri = "[next_url]"
        if outside:
            uri = _HOST.sub(lambda one: f"{_escaped(one[1])}{_SERVER}", request.uri, count=1)
        if self._calls:
            from_ = self._placed(step, _HEADER_TAG.sub("", request.get("from") or "")) + _TAG
            to = self._placed(step, _HEADER_TAG.sub("", request.get("to") or ""))
            to += "[peer_tag_param]" * (request.to_tag is not None)
        else:
            from_, to = f"[$local]{_TAG}", "[$remote]"
        return [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] {_HERE};branch=z9hG4bK-[pid]-[call_number]-{serial};rport",
            f"From: {from_}",
            f"To: {to}",
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
        ]

    def _response(self, step: _Step, response: Response) -> list[str]:
        asked = self._asked(step)
        tag = asked is None or asked.message.to_tag is None
        own = _TAG if tag and response.status > 100 else ""
        status = f"SIP/2.0 {response.status} {_escaped(response.reason)}"
        if step.kept:
            kept = [f"{name}: [${name.lower()}{step.kept}]" for name in ("Via", "From", "To")]
            kept[2] += own
            return [status, *kept, "Call-ID: [call_id]", f"CSeq: [$cseq{step.kept}]"]
        named = ["[last_Via:]", "[last_From:]", f"[last_To:]{own}", "[last_Call-ID:]"]
        return [status, *named, "[last_CSeq:]"]

    def _asked(self, step: _Step) -> _Step | None:
        """The request that a response answers."""
        for other in self._steps:
            request = other.message
            if other.played or not isinstance(request, Request) or request.method == "ACK":
                continue
            if other.transaction == step.transaction:
                return other
        return None

    def _contact(self, step: _Step, value: str) -> str:
        status = step.message.status if isinstance(step.message, Response) else 0
        if 300 <= status < 400 or value.strip() == "*":
            return self._placed(step, value)
        value = _TRANSPORT.sub("", value)
        found = _HOST.search(value)
        if found is None:
            return f"<sip:{_HERE};transport=[transport]>"
        begin, end = _escaped(value[: found.end(1)]), _escaped(value[found.end() :])
        if not end.startswith((">", ";")) or "<" not in begin:
            return f"{begin}{_HERE}{end}"
        return f"{begin}{_HERE};transport=[transport]{end}"

    def _placed(self, step: _Step, text: str) -> str:
        """`text` for a scenario: the hosts of both ends in URIs are those of the run."""
        parts: list[str] = []
        at = 0
        for found in _HOST.finditer(text):
            place = _place(step.traced, found[2].strip("[]"), found[3])
            if place:
                parts += [_escaped(text[at : found.end(1)]), place]
                at = found.end()
        return "".join([*parts, _escaped(text[at:])])


def _place(traced: TracedMessage, host: str, port: str | None) -> str:
    """What a host in a URI is in the run; empty where it is neither end."""
    here, there = traced.peer, traced.local
    if host == here[0] and port == str(here[1]):
        return _HERE
    if host == there[0] and port == str(there[1]):
        return _SERVER
    if port is None and here[0] != there[0] and host in (here[0], there[0]):
        return _HERE if host == here[0] else _SERVER
    return ""


def _fields(head: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of the header fields, folded ones in one line."""
    text = re.sub(r"\r?\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _body(text: str) -> str:
    """A body for a scenario; media are where SIPp has its own."""
    parts: list[str] = []
    at = 0
    for found in _MEDIA.finditer(text):
        parts += [_escaped_lines(text[at : found.start()]), "IN IP[media_ip_type] [media_ip]"]
        at = found.end()
    return "".join([*parts, _escaped_lines(text[at:])])


def _escaped_lines(text: str) -> str:
    return "\r\n".join([_escaped(line) for line in text.split("\r\n")])


def _escaped(text: str) -> str:
    r"""`text` as SIPp sends it as it is: no keyword in it, nothing that ends a CDATA section."""
    return _PLAIN.sub(_octets, text)


def _octets(found: re.Match[str]) -> str:
    return "".join([f"\\x{octet:02x}" for octet in found[0].encode("utf-8", "surrogateescape")])
