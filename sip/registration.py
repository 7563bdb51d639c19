"""Our own registration with somebody else's registrar (RFC 3261 section 10.2)."""

from collections.abc import Callable
from typing import Final

from sip.endpoint import Endpoint
from sip.errors import ParseError
from sip.grammar import delta_seconds, find_param
from sip.inspection import check_lines
from sip.message import Request, Response, build_request, reason_phrase
from sip.timers import Timer
from sip.transaction.client import ClientTransaction
from sip.uri import SipUri, parse_uri
from sip.usage.credentials import Keyring
from sip.values import NameAddr

# States.
IDLE: Final = "idle"
REGISTERING: Final = "registering"
REGISTERED: Final = "registered"
FAILED: Final = "failed"  # and tried again later
UNREGISTERING: Final = "unregistering"

FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 1800.0
"""Seconds before a failed registration is tried again: doubled each time, up to the longest."""

_MOST_BRIEF: Final = 3  # 423 in a row

Report = Callable[["Registration", float], None]


class Registration:
    """Keeps `aor`, a URI, registered at `registrar`, a URI, until `stop`.

    `state` and `status`, that of the last final response (408, 503: there was none), say
    how it stands; `report` is called when they change. `expires` is what is asked for,
    in seconds. All requests have one Call-ID and one From tag; the credentials that the
    registrar wanted are sent with each refresh. Raises InvalidValue when the registrar's
    URI cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        registrar: str,
        aor: str,
        *,
        expires: int = 3600,
        report: Report | None = None,
    ) -> None:
        check_lines(registrar, aor)
        self.registrar = registrar
        self.aor = aor
        self.state = IDLE
        self.status = 0
        self._endpoint = endpoint
        self._report = report
        host, self._listener = endpoint.way_to(registrar)
        parsed = parse_uri(aor)
        user = parsed.user or "" if isinstance(parsed, SipUri) else ""
        self._contact = endpoint.contact_line(self._listener, host, user)
        self._call_id = f"{endpoint.ids.hex(32)}@{self._listener.local_host(host)}"
        self._tag = endpoint.new_tag()
        self._cseq = 0
        self._expires = expires
        self._granted = 0
        self._keyring: Keyring | None = None
        self._timer: Timer | None = None
        self._failures = 0
        self._brief = 0

    def start(self, now: float) -> None:
        """Register, and stay so."""
        self._move(REGISTERING, self.status, now)
        self._send(now, self._expires)

    def stop(self, now: float) -> None:
        """Unregister (section 10.2.2), if there is anything to take back."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.state in (REGISTERED, REGISTERING):
            self._move(UNREGISTERING, self.status, now)
            self._send(now, 0)
        elif self.state == FAILED:
            self._move(IDLE, self.status, now)

    def _send(self, now: float, expires: int) -> None:
        self._cseq += 1
        number = self._cseq
        uri = self.registrar
        endpoint = self._endpoint
        contact = self._contact.replace(">\r\n", f">;expires={expires}")
        lines = "" if self._keyring is None else self._keyring.lines("REGISTER", uri, b"")

        def make(via: str) -> Request:
            return build_request(
                "REGISTER",
                uri,
                [
                    f"Via: {via}",
                    "Max-Forwards: 70",
                    f"From: <{self.aor}>;tag={self._tag}",
                    f"To: <{self.aor}>",
                    f"Call-ID: {self._call_id}",
                    f"CSeq: {number} REGISTER",
                    contact,
                    f"Expires: {expires}",
                    f"{endpoint.capability_lines}{endpoint.user_agent_line}{lines}".rstrip("\r\n"),
                ],
            )

        endpoint.start_client_at(uri, "REGISTER", make, self._listener, self, now, expires)

    # What the transaction reports.

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """The registrar's answer."""
        if response.status < 200:
            return
        self._cseq = max(self._cseq, transaction.request.cseq[0])
        if transaction.attempts is not None and transaction.attempts.keyring is not None:
            self._keyring = transaction.attempts.keyring
        if self._keyring is not None:
            self._keyring.answered(response)
        if not self._is_wanted(transaction):
            return
        brief = delta_seconds(response.get("min-expires")) if response.status == 423 else None
        if response.status < 300:
            self._accepted(response, now)
        elif brief is not None and brief > self._expires and self._brief < _MOST_BRIEF:
            self._brief += 1
            self._expires = brief  # section 10.2.8
            self._send(now, self._expires if self.state != UNREGISTERING else 0)
        else:
            self._refused(response.status, delta_seconds(response.get("retry-after")), now)

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """No answer."""
        if self._is_wanted(transaction):
            self._refused(status, None, now)

    def _is_wanted(self, transaction: ClientTransaction) -> bool:
        """Whether this is the answer that is awaited: not to a refresh after `stop`."""
        return (transaction.context == 0) == (self.state == UNREGISTERING)

    def _accepted(self, response: Response, now: float) -> None:
        self._failures = self._brief = 0
        if self.state == UNREGISTERING:
            self._granted = 0
            self._move(IDLE, response.status, now)
            return
        self._granted = self._granted_by(response)
        # Early enough for a refresh that is lost for a while, also of a short interval.
        pause = max(self._granted * 0.5, self._granted - 300.0)
        self._timer = self._endpoint.wheel.start(now, pause, self, 0)
        self._move(REGISTERED, response.status, now)

    def _granted_by(self, response: Response) -> int:
        """The interval of our contact in a 200, or of the whole (section 10.2.4)."""
        ours = self._contact[self._contact.find("<") + 1 : self._contact.rfind(">")]
        for line in response.all("contact"):
            try:
                contacts = NameAddr.parse_many(line)
            except ParseError:
                continue
            for contact in contacts:
                seconds = delta_seconds(find_param(contact.params, "expires"))
                if contact.uri == ours and seconds:
                    return seconds
        return delta_seconds(response.get("expires")) or self._expires

    def _refused(self, status: int, retry_after: int | None, now: float) -> None:
        if self.state == UNREGISTERING:
            self._move(IDLE, status, now)
            return
        self._brief = 0
        pause = min(FIRST_PAUSE * 2.0**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        # Not all at once after an outage.
        pause *= 0.5 + self._endpoint.ids.below(501) / 1000
        pause = max(pause, min(float(retry_after or 0), LONGEST_PAUSE))
        self._timer = self._endpoint.wheel.start(now, pause, self, 0)
        self._move(FAILED, status, now)

    def _move(self, state: str, status: int, now: float) -> None:
        changed = (state, status) != (self.state, self.status)
        self.state, self.status = state, status
        if changed and self._report is not None:
            self._report(self, now)

    def timer_fired(self, _what: int, now: float) -> None:
        """Time to refresh, or to try again."""
        self._timer = None
        self._send(now, self._expires)

    def __str__(self) -> str:
        told = f", {self.status} {reason_phrase(self.status)}" if self.status >= 300 else ""
        granted = f" for {self._granted} s" if self.state == REGISTERED else ""
        return f"{self.aor} at {self.registrar}: {self.state}{granted}{told}"
