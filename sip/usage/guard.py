"""Who may send us what: requests that must be authenticated (RFC 3261 section 22)."""

from collections.abc import Callable, Collection

from sip.auth import Credentials, DigestServer, is_digest
from sip.errors import InvalidValue, ParseError, PeerError
from sip.message import Request, reason_phrase
from sip.transport import Address, Listener
from sip.usage.screen import Screen


class Guard:
    """Asks for credentials, with no state until they are right.

    `methods` are those that need them, outside of dialogs and in those that the peer
    began: whom we call need not know our realm. `trusted` says whether a host, an IP
    address, is let through; the `screen` is told of the passwords of those who hear us where
    they say they are. Nobody is asked at the listeners in `free`. ACK and CANCEL are never asked
    (section 22.1). Raises InvalidValue.
    """

    def __init__(
        self,
        server: DigestServer,
        methods: Collection[str],
        trusted: Callable[[str], bool] | None = None,
        screen: Screen | None = None,
    ) -> None:
        if not set(methods).isdisjoint(("ACK", "CANCEL")):
            raise InvalidValue("methods: ACK and CANCEL cannot be challenged; remove them")
        self._server = server
        self._methods = frozenset(methods)
        self._trusted = trusted
        self._screen = screen
        self.free: set[Listener] = set()

    def check(self, request: Request, address: Address, listener: Listener, now: float) -> None:
        """Let a request pass, or raise the PeerError that answers it: 401, 403 or 400."""
        if request.method not in self._methods or listener in self.free:
            return
        if self._trusted is not None and self._trusted(address[0]):
            return
        verdict = self._server.verify(request, now, address[0])
        screen = self._screen
        if verdict.user is None:
            given = self._given(request) if verdict.heard else None
            if given is not None and screen is not None:
                screen.wrong_password(address, given.username, str(given), now)
            raise PeerError(reason_phrase(verdict.status), verdict.status, verdict.lines)
        if screen is not None:
            screen.right_password(address, verdict.user)

    def user_of(self, request: Request, address: Address) -> str | None:
        """The user whose credentials a request bore that `check` let pass.

        None where none were needed: the host is trusted, the method is free.
        """
        if request.method not in self._methods:
            return None
        if self._trusted is not None and self._trusted(address[0]):
            return None
        given = self._given(request)
        return None if given is None else given.username

    def _given(self, request: Request) -> Credentials | None:
        """The credentials for our realm."""
        for text in request.all("authorization"):
            try:
                given = Credentials.parse(text) if is_digest(text) else None
            except ParseError:
                continue
            if given is not None and given.realm == self._server.realm:
                return given
        return None
