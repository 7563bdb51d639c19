"""What the endpoint reports to the program above it, in the order it happened.

Every event carries the session that it is about and the message that caused it
(None where a timer or a dead connection did).
"""

from typing import TYPE_CHECKING

from sip.message import Request, Response

if TYPE_CHECKING:
    from sip.transaction.server import ServerTransaction
    from sip.usage.invite import InviteSession
    from sip.usage.refer import ReceivedRefer, SentRefer
    from sip.usage.session import Session
    from sip.usage.subscriber import SentSubscription
    from sip.values import SubscriptionState


class SessionEvent:
    """An event of any session."""

    __slots__ = ("session",)

    def __init__(self, session: "Session") -> None:
        self.session = session


class SessionRequestEvent(SessionEvent):
    """An event of any session, caused by a request of the peer."""

    __slots__ = ("request",)

    def __init__(self, session: "Session", request: Request) -> None:
        self.session = session
        self.request = request


class InviteEvent:
    """An event of a session that was set up by INVITE."""

    __slots__ = ("session",)

    def __init__(self, session: "InviteSession") -> None:
        self.session = session


class InviteRequestEvent(InviteEvent):
    """An event of such a session, caused by a request that only such a session has."""

    __slots__ = ("request",)

    def __init__(self, session: "InviteSession", request: Request) -> None:
        self.session = session
        self.request = request


Event = InviteEvent | SessionEvent
"""Any event of a session."""

RequestEvent = InviteRequestEvent | SessionRequestEvent
"""Any that a request of the peer caused."""


class ResponseEvent(InviteEvent):
    """An event caused by a response of the peer."""

    __slots__ = ("response",)

    def __init__(self, session: "InviteSession", response: Response) -> None:
        self.session = session
        self.response = response


class Invited(InviteRequestEvent):
    """A new call: answer it by `ring`, `answer` or `reject` on the session."""

    __slots__ = ()


class Progressed(ResponseEvent):
    """A provisional response above 100 to our INVITE; its To tag tells the early dialog.

    A reliable one has been acknowledged by PRACK, unless it holds an offer: then `prack` it
    on the session.
    """

    __slots__ = ()


class Answered(ResponseEvent):
    """The 2xx to our INVITE or re-INVITE: `acknowledge` it on the session."""

    __slots__ = ()


class Refused(InviteEvent):
    """Our INVITE or re-INVITE failed.

    `status` is the final response's code, or 408 and 503 of our own (no response, no
    way to send), then `response` is None. A refused re-INVITE leaves the session up.
    """

    __slots__ = ("reason", "response", "status")

    def __init__(
        self, session: "InviteSession", status: int, reason: str, response: Response | None
    ) -> None:
        self.session = session
        self.status = status
        self.reason = reason
        self.response = response


class Acknowledged(InviteRequestEvent):
    """The ACK to our 2xx arrived (of the INVITE or a re-INVITE)."""

    __slots__ = ()


class Pracked(InviteRequestEvent):
    """PRACK to a reliable provisional response; its body answers our offer in that (RFC 3262).

    The 200 has been sent. One with an offer is `Requested` instead.
    """

    __slots__ = ()


class Cancelled(InviteRequestEvent):
    """The caller gave up before the answer; 200 and 487 have been sent."""

    __slots__ = ()


class Hungup(InviteRequestEvent):
    """BYE arrived. The session is over; `confirm_bye` on it sends the 200."""

    __slots__ = ()


class Lost(InviteEvent):
    """The session ended without BYE from the peer; `status` says how.

    408: our 2xx was never acknowledged, a request in the dialog got no response, or nobody
    refreshed the session in time (RFC 4028); 481: the peer does not know the dialog any
    more. BYE has been sent; or 504, where the call was not answered yet and a reliable
    response got no PRACK.
    """

    __slots__ = ("status",)

    def __init__(self, session: "InviteSession", status: int) -> None:
        self.session = session
        self.status = status


class Closed(InviteEvent):
    """Nothing of the session is left: our BYE is answered or given up."""

    __slots__ = ()


class Reinvited(InviteRequestEvent):
    """A re-INVITE: `answer` or `reject` it on the session."""

    __slots__ = ()


class Withdrawn(InviteRequestEvent):
    """The re-INVITE last reported was cancelled, or our reliable response to it got no PRACK.

    Its final response has been sent.
    """

    __slots__ = ()


class RefreshDue(InviteEvent):
    """The session is to be refreshed by re-INVITE (RFC 4028 section 10).

    Call `reinvite` on it with the description sent last, unchanged.
    """

    __slots__ = ()


class Requested(SessionRequestEvent):
    """INFO, UPDATE or another request in the dialog: respond on `transaction`.

    PRACK only where it holds an offer.
    """

    __slots__ = ("transaction",)

    def __init__(
        self, session: "Session", request: Request, transaction: "ServerTransaction"
    ) -> None:
        super().__init__(session, request)
        self.transaction = transaction


class Responded:
    """The final response to a request sent with `context`; see `Refused` for `status`.

    `session` is None for a request outside a dialog (OPTIONS).
    """

    __slots__ = ("context", "response", "session", "status")

    def __init__(
        self,
        session: "Session | None",
        context: object,
        status: int,
        response: Response | None,
    ) -> None:
        self.session = session
        self.context = context
        self.status = status
        self.response = response


class Referred(SessionRequestEvent):
    """REFER arrived: `accept` or `reject` it on `refer`."""

    __slots__ = ("refer",)

    def __init__(self, session: "Session", request: Request, refer: "ReceivedRefer") -> None:
        super().__init__(session, request)
        self.refer = refer


class PeerOddity(SessionEvent):
    """The peer did something against an RFC that does no harm; once for each `oddity`, a text."""

    __slots__ = ("oddity",)

    def __init__(self, session: "Session", oddity: str) -> None:
        self.session = session
        self.oddity = oddity


class ReferProgressed(SessionEvent):
    """News of a REFER that we sent.

    `status` and `reason` are the response's (`notified` False) or those of the
    sipfrag in a NOTIFY; `final` when no more will come.
    """

    __slots__ = ("final", "notified", "reason", "refer", "status")

    def __init__(
        self, refer: "SentRefer", status: int, reason: str, *, notified: bool, final: bool
    ) -> None:
        self.session = refer.session
        self.refer = refer
        self.status = status
        self.reason = reason
        self.notified = notified
        self.final = final


class Notified(SessionRequestEvent):
    """A NOTIFY of a subscription of ours; its 200 has been sent."""

    __slots__ = ("state", "subscription")

    def __init__(
        self, subscription: "SentSubscription", request: Request, state: "SubscriptionState"
    ) -> None:
        super().__init__(subscription.session, request)
        self.subscription = subscription
        self.state = state


class Unsubscribed(SessionEvent):
    """A subscription of ours is over: its `status`, `reason` and `retry_after` say why."""

    __slots__ = ("subscription",)

    def __init__(self, subscription: "SentSubscription") -> None:
        super().__init__(subscription.session)
        self.subscription = subscription
