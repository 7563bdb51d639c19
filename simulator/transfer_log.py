"""What became of each transfer, step by step: who said what on which leg, and the outcome.

A call that is not transferred has `NO_TRANSFER`, whose `on` is False: that is all it costs.
The records of a call stay for a while after its end.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sip.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Event,
    Hungup,
    Lost,
    Progressed,
    ReferProgressed,
    Referred,
    Refused,
    Reinvited,
    Requested,
    Responded,
)
from sip.message import reason_phrase
from sip.usage.session import CONFIRMED, EARLY, INITIAL

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.leg import Leg

KEPT: Final = 1000
"""Ended calls whose transfers are kept."""

KEPT_FOR: Final = 3600.0
"""Seconds that they are kept at most."""

MOST_STEPS: Final = 200
"""Steps of one transfer that are kept; of further ones only the outcome is."""

MOST_TRANSFERS: Final = 100
"""Transfers of one call that are kept, the last ones."""

# Who wanted a transfer, besides the phone on a leg, which is named by the leg's kind.
REST: Final = "rest"
ICM: Final = "icm"
PHONE: Final = "phone"  # one that has called in

# How it is done.
REINVITE: Final = "reinvite"
REFER: Final = "refer"
REPLACES: Final = "replaces"
OUTPULSE: Final = "outpulse"

SENT: Final = "sent"
RECEIVED: Final = "received"


class Step(NamedTuple):
    """One message of a transfer; `status` 0 where it has none.

    `message` is a method, or a status and a method. A NOTIFY has the status it tells.
    """

    time: float
    leg: str
    number: str
    session_id: str
    direction: str
    message: str
    status: int
    reason: str


Outcomes = dict[tuple[str, str], int]
"""How many transfers there were of a kind with an outcome."""


class TransferRecord:
    """One transfer. `state` is pending, then completed, failed or cancelled, with a SIP code.

    `outcomes` gets one more then.
    """

    __slots__ = (
        "_old",
        "_outcomes",
        "by",
        "destination",
        "ended",
        "kind",
        "label",
        "method",
        "on",
        "reason",
        "started",
        "state",
        "status",
        "steps",
    )

    def __init__(
        self,
        kind: str,
        method: str,
        by: str,
        destination: str,
        label: str,
        now: float,
        outcomes: Outcomes,
    ) -> None:
        self.kind = kind  # blind, consultation or attended
        self.method = method
        self.by = by
        self.destination = destination
        self.label = label
        self.started = now
        self.ended = 0.0
        self.on = True
        self.state = "pending"
        self.status = 0
        self.reason = ""
        self.steps: list[Step] = []
        self._old: Leg | None = None
        self._outcomes = outcomes

    # What happens on the legs.

    def heard(self, leg: "Leg", event: Event | Responded, now: float) -> None:
        """An event of a leg of the call."""
        read = _READ.get(type(event))
        if read is not None and self._concerns(leg):
            message, status, reason = read(event)
            self._add(leg, RECEIVED, message, status, reason, now)

    def received(self, leg: "Leg", message: str, now: float, reason: str = "") -> None:
        """A request that the transfer began with."""
        self._add(leg, RECEIVED, message, 0, reason, now)

    def sent(self, leg: "Leg", message: str, now: float, status: int = 0, reason: str = "") -> None:
        """We send something on a leg."""
        if self._concerns(leg):
            self._add(leg, SENT, message, status, reason, now)

    def leaving(self, leg: "Leg", reason: str, status: int, now: float) -> None:
        """We are about to end a leg, in the way that its state asks for."""
        state = leg.session.state
        if state == CONFIRMED:
            self.sent(leg, "BYE", now, 0, reason)
        elif state not in (INITIAL, EARLY):
            return
        elif leg.session.outgoing:
            self.sent(leg, "CANCEL", now, 0, reason)
        else:
            self.sent(leg, f"{status} INVITE", now, status, reason_phrase(status))

    def _concerns(self, leg: "Leg") -> bool:
        """After the outcome only the legs that leave."""
        return self.state == "pending" or (self.on and leg.ended != 0.0) or leg is self._old

    def _add(
        self, leg: "Leg", direction: str, message: str, status: int, reason: str, now: float
    ) -> None:
        if len(self.steps) < MOST_STEPS:
            tag = leg.session.dialog.local_tag
            self.steps.append(
                Step(now, leg.kind, leg.number, tag, direction, message, status, reason)
            )

    def leaves(self, leg: "Leg | None") -> None:
        """`leg` is the one that success is the end of."""
        self._old = leg

    # The outcome, once.

    def completed(self, now: float) -> None:
        """The caller has the target."""
        self._over("completed", 200, reason_phrase(200), now)

    def failed(self, status: int, reason: str, now: float) -> None:
        """It has come to nothing."""
        self._over("failed", status, reason, now)

    def cancelled(self, reason: str, now: float) -> None:
        """Somebody did not want it any more."""
        self._over("cancelled", 487, reason, now)

    def _over(self, state: str, status: int, reason: str, now: float) -> None:
        if self.state == "pending":
            self.state = state
            self.status = status
            self.reason = reason
            self.ended = now
            known = self.kind, state
            self._outcomes[known] = self._outcomes.get(known, 0) + 1


NO_TRANSFER: Final = TransferRecord("", "", "", "", "", 0.0, {})
"""What is known of the transfers of a call that had none: it takes nothing in."""
NO_TRANSFER.on = False
NO_TRANSFER.state = "none"


class TransferLog:
    """The transfers of all calls, and of those that ended a while ago."""

    __slots__ = ("_ended", "_known", "outcomes")

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}
        self._known: dict[str, tuple[float, list[TransferRecord]]] = {}
        self._ended: deque[tuple[float, str, list[TransferRecord]]] = deque()

    def begin(
        self,
        call: "Call",
        kind: str,
        method: str,
        by: str,
        destination: str,
        now: float,
        label: str = "",
    ) -> TransferRecord:
        """A transfer of `call` begins: what happens from now on are its steps."""
        if call.steps.on:
            call.steps.cancelled("another transfer came first", now)
        record = TransferRecord(kind, method, by, destination, label, now, self.outcomes)
        record.leaves(call.peer)
        self._add(call, record)
        call.steps = record
        return record

    def refused(
        self, call: "Call", leg: "Leg", refer_to: str, status: int, reason: str, now: float
    ) -> None:
        """A phone has asked for a transfer that cannot be: what is under way goes on."""
        record = TransferRecord("blind", REINVITE, leg.kind, refer_to, "", now, self.outcomes)
        record.received(leg, "REFER", now, refer_to)
        record.sent(leg, f"{status} REFER", now, status, reason)
        record.failed(status, reason, now)
        self._add(call, record)
        if not call.steps.on:
            call.steps = record

    def _add(self, call: "Call", record: TransferRecord) -> None:
        records = self._records(call)
        if records is None:
            self._known[call.guid] = (call.started, [record])
        else:
            if len(records) == MOST_TRANSFERS:
                del records[0]
            records.append(record)

    def closed(self, call: "Call", now: float) -> None:
        """A call that had transfers has ended."""
        call.steps.cancelled("the call ended", now)
        call.steps.leaves(None)
        records = self._records(call)
        if records is not None:
            self._ended.append((now, call.guid, records))
        self._forget(now)

    def of(self, guid: str, call: "Call | None", now: float) -> list[TransferRecord] | None:
        """The transfers of a call, `call` while it is active; None where nothing is known."""
        self._forget(now)
        if call is not None:
            return self._records(call) or []
        known = self._known.get(guid)
        return None if known is None else known[1]

    def _records(self, call: "Call") -> list[TransferRecord] | None:
        """Not those of an earlier call whose GUID the caller uses again."""
        known = self._known.get(call.guid)
        return known[1] if known is not None and known[0] == call.started else None

    def _forget(self, now: float) -> None:
        ended = self._ended
        while ended and (len(ended) > KEPT or ended[0][0] <= now - KEPT_FOR):
            _, guid, records = ended.popleft()
            known = self._known.get(guid)
            if known is not None and known[1] is records:
                del self._known[guid]


# What events say: message, status, reason.
_Said = tuple[str, int, str]


def _response(event: Progressed | Answered) -> _Said:
    response = event.response
    return f"{response.status} INVITE", response.status, response.reason


def _refused(event: Refused) -> _Said:
    return f"{event.status} INVITE", event.status, event.reason


def _request(event: Acknowledged | Cancelled | Hungup | Reinvited | Requested) -> _Said:
    return event.request.method, 0, event.request.get("reason") or ""


def _lost(event: Lost) -> _Said:
    return "", event.status, "the far end is lost"


def _responded(event: Responded) -> _Said:
    response = event.response
    if response is None:
        return "", event.status, reason_phrase(event.status)
    return f"{event.status} {response.cseq[1]}", event.status, response.reason


def _referred(event: Referred) -> _Said:
    return "REFER", 0, event.request.get("refer-to") or ""


def _refer_progressed(event: ReferProgressed) -> _Said:
    if event.notified:
        return "NOTIFY", event.status, event.reason
    return f"{event.status} REFER", event.status, event.reason


_READ: Final[Mapping[type[Event | Responded], Callable[[Any], _Said]]] = {
    Progressed: _response,
    Answered: _response,
    Refused: _refused,
    Acknowledged: _request,
    Cancelled: _request,
    Hungup: _request,
    Reinvited: _request,
    Requested: _request,
    Lost: _lost,
    Responded: _responded,
    Referred: _referred,
    ReferProgressed: _refer_progressed,
}
