"""A request that is sent again, changed as its final response asks (RFC 3261 section 8.1.3).

`Endpoint.amendments` says by status who looks at such a response: credentials for 401 and
407, another target for 3xx, a longer interval for 422. An `Amend` returns the `Change` to
make, or None: then the program hears of the response. The request goes out with the next
CSeq and a new branch in the place of the old one: for its user it is the same
transaction, and nothing has happened.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sip.errors import ParseError
from sip.fields import header_key
from sip.message import VERSION, Request, Response
from sip.transaction.client import ClientTransaction
from sip.usage.late import LateAnswer

if TYPE_CHECKING:
    from sip.auth import Place
    from sip.endpoint import Endpoint
    from sip.usage.credentials import Keyring
    from sip.usage.redirect import RedirectTargets
    from sip.usage.session import Session

MOST_REPETITIONS: Final = 10
"""However many reasons there are, a request is not sent again more often than this."""

_MADE_ANEW: Final = frozenset(
    ("via", "cseq", "content-length", "authorization", "proxy-authorization")
)


class Change:
    """How a request is to differ when it is sent again.

    `lines` are added, each ended by CRLF; header fields whose keys are in `without` are
    taken out first. `uri`, if not empty, is the new Request-URI, and where it goes.
    """

    __slots__ = ("lines", "uri", "without")

    def __init__(self, lines: str = "", without: tuple[str, ...] = (), uri: str = "") -> None:
        self.lines = lines
        self.without = without
        self.uri = uri


class Attempts:
    """What a request has been through; its repetitions share it.

    `tries` are those of the digest; `targets` is there once the request was redirected.
    """

    __slots__ = ("count", "keyring", "session", "targets", "tries")

    def __init__(self, session: "Session | None") -> None:
        self.session = session
        self.keyring: Keyring | None = None if session is None else session.keyring
        self.tries: dict[Place, int] = {}
        self.targets: RedirectTargets | None = None
        self.count = 0

    def sign(self, method: str, uri: str, body: bytes) -> str:
        """The lines with credentials for the next repetition; empty without any."""
        credentials = "" if self.keyring is None else self.keyring.lines(method, uri, body)
        if self.session is not None:
            self.session.keyring = self.keyring
            if method == "INVITE":
                self.session.credentials = credentials
        return credentials


Amend = Callable[[ClientTransaction, Attempts, Response, float], Change | None]


def send_again(
    endpoint: "Endpoint", tx: ClientTransaction, response: Response | None, now: float
) -> bool:
    """Repeat the request of `tx` if somebody knows how; False when nobody does.

    No response is a timeout, or no way to send: only another target helps.
    """
    attempts = tx.attempts
    amend = None if response is None else endpoint.amendments.get(response.status)
    request = tx.request
    if (amend is None and attempts is None) or request.method == "CANCEL":
        return False
    if isinstance(tx.user, LateAnswer):
        return False
    session = endpoint.sessions.get(request.from_tag or "")
    if session is not None and not session.may_repeat(request):
        return False
    if attempts is None:
        attempts = tx.attempts = Attempts(session)
    if attempts.count >= MOST_REPETITIONS:
        return False
    change = None
    if amend is not None and response is not None:
        try:
            change = amend(tx, attempts, response, now)
        except ParseError:
            change = None  # it asks for something in a way that cannot be read
    if change is None and attempts.targets is not None:
        change = attempts.targets.next(attempts, response)
    if change is None:
        return False
    attempts.count += 1
    _repeat(endpoint, tx, attempts, change, now)
    return True


def _repeat(
    endpoint: "Endpoint", tx: ClientTransaction, attempts: Attempts, change: Change, now: float
) -> None:
    request = tx.request
    session = attempts.session
    number = request.cseq[0] + 1
    uri = change.uri or request.uri
    if session is not None:
        number = max(number, session.dialog.local_cseq + 1)
        session.repeated(request, number, uri)
    contact = "" if session is None else session.contact
    lines = change.lines + attempts.sign(request.method, uri, request.body)

    def make(via: str) -> Request:
        made = rewrite(request, via, number, uri, lines, change.without)
        if session is not None and session.contact != contact:  # it goes by another listener
            made.head = made.head.replace(contact, session.contact, 1)
        return made

    rerouted = None if session is None else session.rerouted
    endpoint.restart_client(tx, make, now, change.uri, rerouted)


def rewrite(
    request: Request, via: str, number: int, uri: str, lines: str, without: tuple[str, ...]
) -> Request:
    """`request` as `number` to `uri`: without credentials and `without`, with `lines`."""
    kept = [f"Via: {via}"]
    for name, value in request.lines():
        key = header_key(name)
        if key == "cseq":
            kept.append(f"CSeq: {number} {request.method}")
        elif key not in _MADE_ANEW and key not in without:
            kept.append(f"{name}: {value}")
    kept += lines.split("\r\n")[:-1]
    kept.append(f"Content-Length: {len(request.body)}")
    head = "\r\n".join((f"{request.method} {uri} {VERSION}", *kept))
    return Request(request.method, uri, head, request.body)


_OPTIONAL: Final = frozenset(("100rel", "timer"))


def omit_extensions(
    tx: ClientTransaction, _attempts: Attempts, response: Response, _now: float
) -> Change | None:
    """420: without the extensions that the peer lacks (section 8.1.3.5).

    Only what a request can do without: one that needs Replaces would mean something else.
    """
    lacking = {tag.lower() for tag in response.tokens("unsupported")}
    required = tx.request.tokens("require")
    kept = [tag for tag in required if tag.lower() not in lacking]
    if len(kept) == len(required) or not lacking <= _OPTIONAL:
        return None
    return Change(f"Require: {', '.join(kept)}\r\n" if kept else "", without=("require",))
