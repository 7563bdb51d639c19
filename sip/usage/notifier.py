"""SUBSCRIBE, served: event packages and the dialogs that subscriptions make (RFC 6665)."""

from typing import TYPE_CHECKING, Final, Protocol

from sip.dialog import Dialog
from sip.errors import PeerError
from sip.events import Referred
from sip.message import Request, Response, reason_phrase
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction
from sip.transport import Listener
from sip.usage.invite import InviteSession
from sip.usage.named import target_dialog
from sip.usage.refer import ReceivedRefer
from sip.usage.session import CONFIRMED, TERMINATED, Session
from sip.usage.subscription import Subject, Subscription, event_of, expires_of

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

_ONE_HOUR: Final = 3600


class Package(Protocol):
    """An event package (section 5). Times are seconds."""

    name: str
    content_type: str
    default_expires: int
    min_expires: int
    max_expires: int

    def subject(self, session: Session, request: Request, now: float) -> Subject:
        """What the SUBSCRIBE `request` asks for. Raises PeerError to refuse it.

        `session` is the dialog that it came in, or that it makes.
        """


class SubscriptionSession(Session):
    """A dialog that SUBSCRIBE has made, or REFER outside of any other (RFC 4538).

    Where the SUBSCRIBE is ours the first NOTIFY makes it; those of other branches of a
    forked SUBSCRIBE find no dialog, and their 481 ends them (RFC 6665 section 5.4.9).
    """

    __slots__ = ()

    @classmethod
    def of(
        cls, endpoint: "Endpoint", tx: ServerTransaction, request: Request
    ) -> "SubscriptionSession":
        """The dialog that answering `request` makes (RFC 3261 section 12.1.1)."""
        assert tx.to_tag is not None
        session = cls(endpoint, Dialog.from_request(request, tx.to_tag), tx.listener)
        session.came_by(tx)
        return session

    def __init__(
        self, endpoint: "Endpoint", dialog: Dialog, listener: Listener, *, outgoing: bool = False
    ) -> None:
        super().__init__(endpoint, dialog, listener, outgoing=outgoing)

    def turn_to(self, request: Request) -> bool:
        """The first NOTIFY makes the dialog, before or after the 2xx."""
        dialog = self.dialog
        if (
            request.method != "NOTIFY"
            or not self.watches
            or dialog.remote_tag is not None
            or request.from_tag is None
            or request.call_id != dialog.call_id
        ):
            return False
        dialog.meet_notifier(request)
        return True

    def enter(self) -> None:
        """The subscription is accepted: the dialog is there, until it ends."""
        self.state = CONFIRMED
        self.endpoint.sessions[self.local_tag] = self

    def usage_over(self) -> None:
        """With the last subscription goes the dialog."""
        if not self.subscriptions and not self.watches:
            self.state = TERMINATED
        super().usage_over()

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """SUBSCRIBE again, or NOTIFY; nothing else belongs here."""
        self.came_by(transaction)
        if request.method == "NOTIFY":
            self.notified(transaction, request, now)
            return
        if request.method == "SUBSCRIBE" and self.state != TERMINATED:
            self.subscribed(transaction, request, now)
        else:
            transaction.respond(481, now)

    def response_received(
        self, transaction: ClientTransaction, response: Response, now: float
    ) -> None:
        """NOTIFYs have users of their own."""

    def transaction_failed(self, transaction: ClientTransaction, status: int, now: float) -> None:
        """NOTIFYs have users of their own."""


class Notifier:
    """Serves SUBSCRIBE by its packages, in dialogs and outside; a `Service` of the endpoint."""

    def __init__(self, endpoint: "Endpoint", *packages: Package) -> None:
        self._endpoint = endpoint
        self._packages = {package.name: package for package in packages}
        names = ", ".join(sorted({*self._packages, "refer"}))
        self.allow_events = f"Allow-Events: {names}\r\n"
        endpoint.serve("SUBSCRIBE", self)
        endpoint.tell(self.allow_events)

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """A SUBSCRIBE that makes a subscription (section 4.2.1)."""
        try:
            self._subscribe(transaction, request, now)
        except PeerError as error:
            lines = self.allow_events if error.status == 489 else ""
            if error.status == 503:
                lines = "Retry-After: 30\r\n"
            elif error.status == 423:
                lines = f"Min-Expires: {self._packages[event_of(request).package].min_expires}\r\n"
            transaction.respond(error.status, now, lines, reason=error.reason)

    def _subscribe(self, tx: ServerTransaction, request: Request, now: float) -> None:
        event = event_of(request)
        package = self._packages.get(event.package)
        if package is None:
            if event.package == "refer":
                raise PeerError("Only a REFER makes such a subscription", 403)
            raise PeerError(reason_phrase(489), 489)
        accept = request.get("accept")
        if accept is not None and not _accepts(request, package.content_type):
            raise PeerError(reason_phrase(406), 406)
        seconds = expires_of(request)
        if seconds is None:
            seconds = package.default_expires
        elif 0 < seconds < min(package.min_expires, _ONE_HOUR):
            raise PeerError(reason_phrase(423), 423)
        seconds = min(seconds, package.max_expires)
        endpoint = self._endpoint
        session = endpoint.sessions.get(request.to_tag) if request.to_tag else None
        made = session is None
        if session is None:
            session = SubscriptionSession.of(endpoint, tx, request)
            session.contact = endpoint.contact_line(tx.listener, tx.address[0], "")
        subject = package.subject(session, request, now)
        subscription = Subscription(session, event, subject)
        if made and isinstance(session, SubscriptionSession):
            session.enter()
        lines = f"{session.contact}Expires: {seconds}\r\n{self.allow_events}"
        tx.respond(200, now, session.dialog.record_route_lines() * made + lines)
        subscription.open(now, seconds)
        subscription.longest = package.max_expires


def _accepts(request: Request, content_type: str) -> bool:
    kinds = {value.partition(";")[0].strip(" \t").lower() for value in request.values("accept")}
    major = content_type.partition("/")[0]
    return bool(kinds & {content_type, f"{major}/*", "*/*"})


class OutOfDialogRefer:
    """Serves REFER outside a dialog, where Target-Dialog names a live one (RFC 4538).

    It makes a dialog of its own, in which the NOTIFYs go; the event names the session of
    Target-Dialog, which is what is to be transferred (RFC 7647 section 4).
    """

    def __init__(self, endpoint: "Endpoint") -> None:
        self._endpoint = endpoint
        endpoint.support("tdialog")
        endpoint.serve("REFER", self)

    def request_received(
        self, transaction: ServerTransaction, request: Request, now: float
    ) -> None:
        """403 for who knows no dialog of ours."""
        endpoint = self._endpoint
        try:
            session = target_dialog(request, endpoint.sessions)
            if not isinstance(session, InviteSession) or session.state != CONFIRMED:
                transaction.respond(403, now, reason="REFER needs a dialog, or Target-Dialog")
                return
            own = SubscriptionSession.of(endpoint, transaction, request)
            own.contact = endpoint.contact_line(transaction.listener, transaction.address[0], "")
            refer = ReceivedRefer(own, transaction, request)
        except PeerError as error:
            transaction.respond(error.status, now, reason=error.reason)
            return
        own.enter()
        endpoint.events.append(Referred(session, request, refer))
