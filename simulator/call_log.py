"""What the log says of calls: a line for each event, with the call's GUID and its leg.

The lines are of the logger `simulator.calls`, at level info: as long as that tells nothing, a call
pays one test of `on` an event. `simulator.log_lines` gives them their form.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from simulator.cdr_events import CAUSES
from simulator.cdr_records import COLUMNS, Row
from simulator.leg import CALLERS, Leg
from sip.message import reason_phrase

if TYPE_CHECKING:
    from simulator.call import Call

log = logging.getLogger("simulator.calls")

Fields: TypeAlias = dict[str, object]

PLACED: Final = 1
ANSWERED: Final = 2
OVER: Final = 3

_RESULT: Final = COLUMNS.index("call_result")
_CAUSE: Final = COLUMNS.index("cause_id")


class CallLog:
    """`on` says whether anybody reads; `refresh` finds out."""

    __slots__ = ("_clock", "_since", "on")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.on = False
        self._clock = clock
        self._since = 0.0  # what was before is not told
        self.refresh()

    def refresh(self) -> None:
        """The level of a logger may have changed."""
        on = log.isEnabledFor(logging.INFO)
        if on and not self.on:
            self._since = self._clock()
        self.on = on

    def event(self, call: "Call", event: str, details: str) -> None:
        """A line of the history of `call`, after those of what its legs have become."""
        if event == "ended":  # `ended` knows more, a moment later
            return
        self.look(call)
        text = f"{event}: {details}" if details else event
        if event == "abnormal_end":
            text = details
        self._say(call, _first_leg(call), event, text, {"details": details} if details else {})
        if event in ("offered", "originated"):
            self._routed(call)

    def note(self, call: "Call", event: str, text: str) -> None:
        """What does not stand in the history."""
        self._say(call, _first_leg(call), event, text, {})

    def look(self, call: "Call") -> None:
        """Tell what the legs of `call` have become since it was asked last."""
        for leg in call.legs:
            if leg.logged < PLACED:
                leg.logged = PLACED
                if leg.started >= self._since and leg.kind not in CALLERS:
                    self._leg(call, leg, "leg_placed", "")
            if leg.logged < ANSWERED and leg.answered != 0.0:
                leg.logged = ANSWERED
                if leg.answered >= self._since:
                    self._leg(call, leg, "leg_answered", "")
            if leg.logged < OVER and leg.ended != 0.0:
                leg.logged = OVER
                if leg.ended >= self._since:
                    status = leg.status if leg.answered == 0.0 else 0
                    self._leg(call, leg, "leg_ended", _status(status))

    def ended(self, call: "Call", row: Row, by: Leg | None, now: float) -> None:
        """A call is over; `row` is its CDR, `by` the leg that hung up."""
        self.look(call)
        result, number = row[_RESULT], row[_CAUSE]
        cause = CAUSES.get(number, "") if isinstance(number, int) else ""
        details = ""
        for _, event, said in reversed(call.history):
            if event == "ended":
                details = said
                break
        fields: Fields = {"details": details, "result": result, "causeId": number, "cause": cause}
        if call.error_code:
            fields["sipResponseCode"] = call.error_code
        if by is not None:
            fields["endedBy"] = by.kind
        if call.transfer_destination:
            fields["transferDestination"] = call.transfer_destination
        fields["duration"] = round(now - call.started, 3)
        fields["selfServiceDuration"] = round(call.self_service_time, 3)
        fields["queueDuration"] = round(call.queue_time, 3)
        code = f", {_status(call.error_code)}" if call.error_code else ""
        text = f"ended: {result}, cause {number} {cause}{code}, {now - call.started:.3f} s"
        self._say(call, _first_leg(call), "ended", f"{text}: {details}", fields)

    def _routed(self, call: "Call") -> None:
        route = call.route
        fields: Fields = {"kind": route.kind}
        if route.pattern:
            fields["pattern"] = route.pattern
        where = route.script or route.label or route.correlation_id
        if route.destination is not None:
            where = str(route.destination)
        if where:
            fields["destination"] = where
        if route.application:
            fields["application"] = route.application
        by = f" by {route.pattern}" if route.pattern else ""
        text = f"routed: {call.called}{by}: {route.kind} {where or ''}".rstrip()
        self._say(call, _first_leg(call), "routed", text, fields)

    def _leg(self, call: "Call", leg: Leg, event: str, details: str) -> None:
        text = f"{event}: {leg.kind} {leg.number}".rstrip()
        fields: Fields = {"number": leg.number}
        if details:
            text = f"{text}: {details}"
            fields["details"] = details
        self._say(call, leg, event, text, fields)

    def _say(self, call: "Call", leg: Leg | None, event: str, text: str, more: Fields) -> None:
        fields: Fields = {"event": event, "callGuid": call.guid}
        leg_id = direction = ""
        if leg is not None:
            leg_id = leg.session.dialog.call_id.partition("@")[0]
            direction = "OUTBOUND" if leg.session.outgoing else "INBOUND"
            fields["leg"] = leg.kind
            fields["legId"] = leg_id
            fields["direction"] = direction.lower()
        if event == "offered":
            fields["callingNumber"], fields["calledNumber"] = call.calling, call.called
        fields.update(more)
        extra = {"call": fields, "text": text}
        form = "CALLGUID = %s LEGID = %s - [%s]: %s"
        log.info(form, call.guid, leg_id, direction, text, extra=extra)


def _first_leg(call: "Call") -> Leg | None:
    return call.legs[0] if call.legs else None


def _status(status: int) -> str:
    return f"SIP {status} {reason_phrase(status)}" if status else ""
