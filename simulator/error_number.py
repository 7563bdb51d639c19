"""The abnormal end of a call: nobody could be reached, or the other party is lost [CAG8, TN178].

1. The caller's gateway has a survivability script: the call is rejected, or ended by BYE,
   with the reason, and the script goes on.
2. Otherwise, with ``sip.error_refer``, the caller is sent to the error number: by REFER
   once it is answered, by 302 before.
3. Without a route to the error number: 404.
4. Without ``sip.error_refer`` the code of the refusal is passed on.
"""

from typing import TYPE_CHECKING, Final

from simulator.abnormal import survivable
from simulator.errors import CallStateError
from simulator.headers import CalleeRefusal
from simulator.leg import Leg
from simulator.refer import ReferTransfer
from simulator.states import NORMAL, TRANSFER
from sip.errors import SipError

if TYPE_CHECKING:
    from simulator.call import Call

PATIENCE: Final = 10.0
"""Seconds that the caller has for telling the outcome of the REFER."""


class ErrorRefer(ReferTransfer):
    """The caller is asked to call the error number. Whatever comes of it, the call is over."""

    __slots__ = ("_failure", "_why")

    def __init__(self, call: "Call", number: str, status: int, reason: str) -> None:
        super().__init__(call, number)
        self._failure = status
        self._why = reason

    def caller_left(self, now: float) -> bool:
        """That is what it was asked for; or it does not want to."""
        self.stop_timer()
        return True

    def departed(self, now: float, by: Leg | None) -> None:
        """It has gone there, or hears BYE now."""
        self.call.refuse(now, self._failure, self._why, by=by)

    def failed(self, now: float) -> None:
        """It does not call the error number: BYE."""
        self.call.log(now, "error_refer_failed", f"SIP {self.status} {self.reason}")
        self.departed(now, None)


class Refusal:
    """A call that is given up when its time is over, unless something else happens first."""

    __slots__ = ("_call", "_peer", "_reason", "_status")

    def __init__(self, call: "Call", status: int, reason: str) -> None:
        self._call = call
        self._peer = call.peer  # a ringtone, if anything
        self._status = status
        self._reason = reason

    def timer_fired(self, _what: int, now: float) -> None:
        """Nothing else has happened."""
        call = self._call
        unchanged = call.peer is None or call.peer is self._peer
        if call.work is None and unchanged and call.state != "ended":
            call.fail(now, self._status, self._reason)
            call.server.stack.pump(now)


def end_abnormally(call: "Call", status: int, reason: str, now: float) -> None:
    """End a call that has failed with this SIP code."""
    server = call.server
    if call.route.kind == "direct":  # there is no ICM, and no script at the gateway
        call.refuse(now, status, reason)
        return
    marked = survivable(call)
    if marked is None:
        call.log(now, "no_rpid", "no Remote-Party-ID header: no survivability in use")
    if marked or not server.config.sip.error_refer:
        call.refuse(now, status, reason)
        return
    number = server.config.services.error
    uri = server.way_to_service(call, "error number", number, now)
    if uri is None:
        call.refuse(now, 404, f"no route to the error number, after SIP {status} {reason}")
        return
    uri = server.server_groups.concrete(uri, now)
    if call.caller.answered:
        _refer(call, number, uri, status, reason, now)
        return
    call.log(now, "redirected", f"302 to {number}")
    call.error_code = status
    call.refusal = CalleeRefusal(302, f"Contact: <{uri}>\r\n")
    header = f"SIP;cause={status}"
    call.end(now, "error", f"SIP {status} {reason}", reason=header, status=302)


def _refer(call: "Call", number: str, uri: str, status: int, reason: str, now: float) -> None:
    """The others are released, and the caller is asked to call the error number."""
    try:
        call.enter(TRANSFER, now, f"error number {number}")
    except CallStateError:
        call.refuse(now, status, reason)
        return
    call.leave_all_but_the_caller(now, NORMAL)
    work = ErrorRefer(call, number, status, reason)
    call.work = work
    try:
        work.start(uri, PATIENCE, now)
    except SipError:  # it is ending by itself
        call.refuse(now, status, reason)
