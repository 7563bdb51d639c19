"""Transfer by REFER: the caller is asked to call the target itself [CG-XFER].

NOTIFY decides. A BYE of the caller after 202 or a 2xx NOTIFY is success; without a BYE
two seconds after success the call server says it. A failure leaves the call as it was.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from simulator.headers import CalleeRefusal
from sip.events import ReferProgressed
from sip.grammar import escape_user
from sip.message import reason_phrase
from sip.timers import Timer
from sip.usage.refer import SentRefer

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.connection import Connection

# States.
SENT: Final = 0
ACCEPTED: Final = 1
SUCCEEDED: Final = 2
DONE: Final = 3
FAILED: Final = 4

# Inputs.
ACCEPT: Final = 0  # 2xx to the REFER
REFUSE: Final = 1
NEWS: Final = 2  # NOTIFY with a provisional status
SUCCESS: Final = 3  # NOTIFY with 2xx
FAILURE: Final = 4  # NOTIFY with 300 and above, or the end of the subscription without an outcome
CALLER_LEFT: Final = 5
NO_NEWS: Final = 6
NO_BYE: Final = 7

# Q.850 causes of SIP codes (RFC 3398 section 8.2.6.1), for our BYE after a failed REFER [AG].
CAUSES: Final[Mapping[int, int]] = {
    400: 41,
    401: 21,
    402: 21,
    403: 21,
    404: 1,
    405: 63,
    406: 79,
    407: 21,
    408: 102,
    410: 22,
    415: 79,
    480: 18,
    481: 41,
    482: 25,
    483: 25,
    484: 28,
    485: 1,
    486: 17,
    500: 41,
    501: 79,
    502: 38,
    503: 41,
    504: 102,
    580: 47,
    600: 17,
    603: 21,
    604: 1,
}
INTERWORKING: Final = 127

Effect = Callable[[Any, float], Any]
Table = Mapping[int, Mapping[int, tuple[int, tuple[Effect, ...]]]]

BYE_WAIT: Final = 2.0
"""Seconds that the caller has for its BYE after success."""


class Departure:
    """A transfer by which the caller leaves us: its BYE is the success.

    `how` is for the history; `status` and `reason` are the last that were heard; `parting`
    are header lines for our BYE. `beneath` is the connection that it is a step of, if any.
    """

    __slots__ = (
        "_table",
        "_timer",
        "beneath",
        "by_icm",
        "call",
        "destination",
        "how",
        "parting",
        "reason",
        "state",
        "status",
    )

    transfer: Final = True

    def __init__(
        self, call: "Call", destination: str, how: str, table: Table, *, by_icm: bool
    ) -> None:
        self._table = table
        self.call = call
        self.beneath: Connection | None = None
        self.destination = destination
        self.how = how
        self.parting = ""
        self.by_icm = by_icm  # ICM's own CONNECT: a failure is its script's to deal with
        self.state = SENT
        self.status = 0
        self.reason = ""
        self._timer: Timer | None = None

    def apply(self, what: int, now: float) -> bool:
        """Take one input; False when the state has no row for it."""
        row = self._table[self.state].get(what)
        if row is None:
            return False
        self.state = row[0]
        for effect in row[1]:
            effect(self, now)
        return True

    def caller_left(self, now: float) -> bool:
        """The caller's BYE; whether that is the success of this transfer."""
        raise NotImplementedError

    def abandon(self, now: float) -> None:
        """The call ends: so does this."""
        self.state = FAILED if self.state != DONE else DONE
        self.stop_timer()

    def failed(self, now: float) -> None:
        """The caller is still here."""
        self.call.connect_failed(self, self.status, self.reason, now)

    def start_timer(self, now: float, delay: float, what: int) -> None:
        """`timer_fired` in `delay` seconds, and not what it was set for before."""
        self.stop_timer()
        self._timer = self.call.server.stack.endpoint.wheel.start(now, delay, self, what)

    def stop_timer(self) -> None:
        """It is not needed any more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def timer_fired(self, what: int, now: float) -> None:
        """The time set by `start_timer` is over."""
        raise NotImplementedError


class ReferTransfer(Departure):
    """A REFER on the caller's leg."""

    __slots__ = ("refer",)

    def __init__(self, call: "Call", destination: str, *, by_icm: bool = False) -> None:
        super().__init__(call, destination, " by REFER", TABLE, by_icm=by_icm)
        self.refer: SentRefer

    def start(self, uri: str, patience: float, now: float) -> None:
        """Send the REFER; without an outcome after `patience` seconds it has failed."""
        server = self.call.server
        session = self.call.caller.session
        here = session.listener.sent_by(session.remote_address[0])
        by = f"Referred-By: <sip:{escape_user(self.call.called)}@{here}>\r\n"
        self.refer = session.refer(
            now, uri, by + server.agent_line, subscribe=server.config.transfer.refer_news
        )
        self.call.steps.sent(self.call.caller, "REFER", now, 0, uri)
        self.start_timer(now, patience, NO_NEWS)

    def progressed(self, event: ReferProgressed, now: float) -> None:
        """News of the REFER."""
        status = event.status
        self.status = status or 487
        self.reason = event.reason or reason_phrase(self.status)
        self.call.log(
            now, "notified" if event.notified else "refer_answered", f"SIP {status} {event.reason}"
        )
        if not event.notified:
            self.apply(ACCEPT if status < 300 else REFUSE, now)
        elif 200 <= status < 300:
            self.apply(SUCCESS, now)
        else:
            self.apply(FAILURE if event.final else NEWS, now)

    def caller_left(self, now: float) -> bool:
        """The caller's BYE; whether that is the success of this transfer."""
        return self.apply(CALLER_LEFT, now)

    def timer_fired(self, what: int, now: float) -> None:
        """No outcome in time, or no BYE after success."""
        self._timer = None
        if what == NO_NEWS:
            self.status, self.reason = 408, "no NOTIFY told an outcome"
        self.apply(what, now)

    def failed(self, now: float) -> None:
        """The caller has not left, and will not."""
        self.call.refusal = CalleeRefusal(self.status, "", f"Q.850;cause={self._cause()}")
        super().failed(now)

    def _cause(self) -> int:
        """What the code of the failure is in Q.850: as configured, or as in RFC 3398."""
        configured = self.call.server.config.transfer.causes
        return configured.get(self.status, CAUSES.get(self.status, INTERWORKING))


# Effects.


def stop(work: Departure, _now: float) -> None:
    """Wait for nothing any more."""
    work.stop_timer()


def _wait_for_bye(work: ReferTransfer, now: float) -> None:
    work.start_timer(now, BYE_WAIT, NO_BYE)


def _report_success(work: ReferTransfer, now: float) -> None:
    work.call.departed(work, now)


def report_failure(work: Departure, now: float) -> None:
    """It has come to nothing."""
    work.stop_timer()
    work.failed(now)


TABLE: Final[Table] = {
    SENT: {
        ACCEPT: (ACCEPTED, ()),
        REFUSE: (FAILED, (report_failure,)),
        NEWS: (ACCEPTED, ()),  # NOTIFY overtook the 202
        SUCCESS: (SUCCEEDED, (_wait_for_bye,)),
        FAILURE: (FAILED, (report_failure,)),
        NO_NEWS: (FAILED, (report_failure,)),
    },
    ACCEPTED: {
        ACCEPT: (ACCEPTED, ()),
        REFUSE: (FAILED, (report_failure,)),
        NEWS: (ACCEPTED, ()),
        SUCCESS: (SUCCEEDED, (_wait_for_bye,)),
        FAILURE: (FAILED, (report_failure,)),
        CALLER_LEFT: (DONE, (stop,)),
        NO_NEWS: (FAILED, (report_failure,)),
    },
    SUCCEEDED: {
        CALLER_LEFT: (DONE, (stop,)),
        NO_BYE: (DONE, (_report_success,)),
    },
    DONE: {},
    FAILED: {},
}
