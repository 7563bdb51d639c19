"""Whom the server calls: it rings, or it answers with the responses it is given."""

import re
from collections import deque
from typing import Final

from sip.message import Request
from tests.fuzz.seeds import CHALLENGE, SDP
from tests.support.builders import response_text

_CONTACT: Final = "Contact: <sip:callee@CALLEE>\r\n"
# Status, header lines, body; CALLEE is where it can be reached.
RESPONSES: Final = (
    (183, f"{_CONTACT}Require: 100rel\r\nRSeq: 1\r\nContent-Type: application/sdp\r\n", SDP),
    (
        200,
        f"{_CONTACT}Record-Route: <sip:CALLEE;lr>\r\nAllow: INVITE, BYE, REFER\r\n"
        "Supported: timer, replaces\r\nRequire: timer\r\nSession-Expires: 1800;refresher=uac\r\n"
        "Content-Type: application/sdp\r\n",
        SDP,
    ),
    (302, "Contact: <sip:x@CALLEE>;q=0.1;expires=60, <sip:z@CALLEE>\r\n", ""),
    (401, f"WWW-Authenticate: {CHALLENGE}\r\n", ""),
    (407, f"Proxy-Authenticate: {CHALLENGE}\r\nRetry-After: 5 (busy);duration=9\r\n", ""),
    (422, "Min-SE: 90\r\n", ""),
    (486, 'Reason: Q.850;cause=17;text="User busy"\r\n', ""),
    (488, 'Warning: 304 example.com "Media type not available"\r\n', ""),
)
_BRANCH: Final = re.compile(r"branch=([^;,\s]+)")


class Callee:
    """The phone that `number` leads to, at `place` (``127.0.0.1:5070;transport=tcp``).

    What it is given in `cases` are responses to its first call.
    """

    def __init__(self, number: str, place: str) -> None:
        self.number = number
        self.place = place
        self.cases: deque[bytes] = deque()
        self.refuses = False  # calls for which there is no case
        self._first: Request | None = None
        self._invites: dict[str, Request] = {}

    def __call__(self, request: Request) -> list[bytes]:
        """What is sent back for a request."""
        match request.method:
            case "INVITE":
                return self._invited(request)
            case "ACK":
                return []
            case "CANCEL" if invite := self._invites.get(request.call_id):
                ended = response_text(invite, 487, "callee")
                return [response_text(request, 200, "callee"), ended]
            case _:
                return [response_text(request, 200, "callee")]

    def response(self, status: int, lines: str, body: str) -> bytes:
        """A response to the first call, for `cases`."""
        assert self._first is not None, "nobody has called"
        return response_text(
            self._first, status, "callee", lines.replace("CALLEE", self.place), body
        )

    def _invited(self, request: Request) -> list[bytes]:
        again = request.call_id in self._invites
        self._invites[request.call_id] = request
        if self._first is None:
            self._first = request
        busy = response_text(request, 486, "callee")
        if self.cases and not again:
            return [self._fitted(self.cases.popleft(), request), busy]
        return [busy if self.refuses or again else response_text(request, 180, "callee")]

    def _fitted(self, response: bytes, request: Request) -> bytes:
        """A response to the first call becomes one to this call."""
        assert self._first is not None
        for old, new in zip(_ids(self._first), _ids(request), strict=True):
            response = response.replace(old, new)
        return response


def _ids(request: Request) -> list[bytes]:
    """What tells a request from another: branch, Call-ID, the caller's tag."""
    ids = (_BRANCH.findall(request.top_via)[0], request.call_id, request.from_tag or "")
    return [one.encode() for one in ids]
