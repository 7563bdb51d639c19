"""A call: its state, its legs and its history.

The state is a table; a command that it has no row for is refused (409 at the API).
Between a check and a change nothing is awaited, so that nothing needs a lock. What events
on the legs mean is in `simulator.call_events`.
"""

from typing import TYPE_CHECKING

from simulator.abnormal import note_abnormal_end
from simulator.bridge import held_by, is_hold
from simulator.call_events import HANDLERS
from simulator.cdr_records import CallResult
from simulator.connection import Connection
from simulator.ended import let_go
from simulator.error_number import ErrorRefer, Refusal, end_abnormally
from simulator.errors import CallStateError
from simulator.headers import NO_REFUSAL
from simulator.hold import Hold
from simulator.ivr import Ivr
from simulator.leg import RINGTONE, Leg
from simulator.news import LINES
from simulator.origin import NO_ORIGIN
from simulator.origination import Origination
from simulator.refer import Departure
from simulator.router import IcmContext
from simulator.routing import Route
from simulator.states import (
    CONNECT,
    HELD_FROM,
    HOLD,
    INPUT_NAMES,
    NORMAL,
    STATES,
    TRANSFER,
    possible_when,
)
from simulator.takeover import Handover
from simulator.transfer_log import NO_TRANSFER
from simulator.treatment import Treatment
from simulator.variables import Variables
from sip.events import Event, Responded
from sip.message import reason_phrase

if TYPE_CHECKING:
    from simulator.announcements import Announcement
    from simulator.server import CallServer


Work = Connection | Departure | Handover | Origination


class Call:
    """One call of `server`, from the INVITE of its caller to its CDR.

    `peer` is the leg that the caller talks to, `work` what is under way to change that
    (a connection or a transfer), `treatment` the ICM script that the call runs.
    """

    __slots__ = (
        "_before_hold",
        "_before_transfer",
        "_entered",
        "application",
        "called",
        "caller",
        "calling",
        "epoch",
        "error_code",
        "greeting",
        "guid",
        "history",
        "hold",
        "holds",
        "hops",
        "icm",
        "icm_agent",
        "icm_label",
        "icm_skill_group",
        "ivr",
        "legs",
        "origin",
        "passed",
        "peer",
        "queue_time",
        "refusal",
        "result",
        "route",
        "self_service_time",
        "serial",
        "server",
        "started",
        "state",
        "steps",
        "transfer_destination",
        "transfers",
        "treatment",
        "variables",
        "vru_number",
        "work",
    )

    def __init__(
        self, server: "CallServer", guid: str, calling: str, called: str, route: Route, now: float
    ) -> None:
        self.server = server
        self.guid = guid
        self.calling = calling
        self.called = called
        self.route = route
        self.application = route.application or ""
        self.state: str = "ringing"
        self._before_transfer = self._before_hold = self.state
        self.started = now
        self.epoch = server.epoch  # all its times of day are by the clock as it was then
        self.serial = 0  # rises from call to call
        self.hold: Hold | None = None  # by a command
        self.holds = 0
        self.hops = 70  # the caller's Max-Forwards
        self.caller: Leg
        self.peer: Leg | None = None
        self.work: Work | None = None
        self.treatment: Treatment | None = None
        self.ivr: Ivr | None = None  # once an application was run
        self.legs: list[Leg] = []
        self.origin = NO_ORIGIN
        self.history: list[tuple[float, str, str]] = []
        self.variables: Variables | None = None
        self.passed = ""  # header lines of the caller that the other legs get as well
        self.vru_number = ""  # label and correlation id, by which a return finds this call
        self.icm: IcmContext | None = None  # once ICM routes the call
        self.icm_label = ""
        self.icm_skill_group = ""
        self.icm_agent = ""
        self.greeting: Announcement | None = None  # of the agent, while it is played
        self.transfer_destination = ""
        self.transfers = 0
        self.steps = NO_TRANSFER  # of the present transfer, or the last one
        self.result: CallResult = "completed"
        self.error_code = 0
        self.refusal = NO_REFUSAL  # how a callee refused last
        self.self_service_time = self.queue_time = 0.0
        self._entered = now

    def __repr__(self) -> str:
        return f"<Call {self.guid} {self.state}>"

    # State and history.

    def log(self, now: float, event: str, details: str = "") -> None:
        """Add a line to the history."""
        self.history.append((now, event, details))
        server = self.server
        if server.call_log.on:
            server.call_log.event(self, event, details)
        if server.events.on:
            tell = LINES.get(event)
            if tell is not None:
                tell(self, now, event, details)
        if server.watch is not None:
            server.watch(self, now, event, details)

    def check(self, what: int) -> str:
        """The state that input `what` leads to. Raises CallStateError without a row."""
        state = STATES[self.state].get(what)
        if state is None:
            raise CallStateError(
                f"the call is {self.state}: {INPUT_NAMES[what]} is not possible now, only when "
                f"{possible_when(what)}"
            )
        if self.treatment is not None and self.treatment.callback is not None:
            raise CallStateError("the caller has left, to be called back: wait, or terminate")
        if what == TRANSFER and isinstance(self.work, Connection) and self.work.joining:
            raise CallStateError("the caller is being joined to another leg: try again")
        return state

    def enter(self, what: int, now: float, details: str = "") -> None:
        """Take an input of the table. Raises CallStateError, and nothing has changed."""
        self._set_state(self.check(what), now, details)

    def _set_state(self, state: str, now: float, details: str = "") -> None:
        spent = now - self._entered
        settled = self.settled_state  # who is on hold, or about to be moved, waits all the same
        if settled == "self_service":
            self.self_service_time += spent
        elif settled == "queued":
            self.queue_time += spent
        self._entered = now
        if state == "transferring":
            self._before_transfer = self.state
        elif state == "on_hold" and self.state != "transferring":
            self._before_hold = self.state
            self.holds += 1
        self.server.index.move(self, state)
        self.state = state
        self.log(now, state, details)

    def go_back(self, now: float, details: str = "") -> None:
        """Return to the state that the transfer or hold left."""
        state = self._before_transfer if self.state == "transferring" else "on_hold"
        if state == "on_hold":
            state = self._before_hold
        if state in HELD_FROM and held_by(self):  # held meanwhile, or still
            self._before_hold = state
            state = "on_hold"
        self._set_state(state, now, details)

    def note_holder(self, now: float) -> None:
        """The call has moved on, and a far end may hold it still."""
        holder = held_by(self)
        if holder and self.state in HELD_FROM:
            self.enter(HOLD, now, f"by the {holder}")

    @property
    def settled_state(self) -> str:
        """The state, beneath a transfer that is under way or a hold."""
        state = self._before_transfer if self.state == "transferring" else self.state
        return self._before_hold if state == "on_hold" else state

    # Work: connections and transfers.

    def connected(self, work: Connection, now: float) -> None:
        """The target of `work` has become the caller's peer."""
        self.peer = work.target
        if self.greeting is not None:
            self.greeting.stop(now)
            self.greeting = None
        self.hold = None
        self.steps.completed(now)
        self.server.statistics.answered(now - work.target.started)
        if work.transfer:
            self.transferred(now, work.destination)
            if self.treatment is not work.run:
                self.drop_treatment(now)
        if work.run is not None:
            self.treatment = work.run
        if self.treatment is not None and self.treatment.connected(work, now):
            return
        self.enter(CONNECT, now, work.target.number)
        caller = self.caller
        caller.holding = caller.holding and is_hold(caller.received)
        self.note_holder(now)

    def connect_failed(
        self, work: Connection | Departure, status: int, reason: str, now: float
    ) -> None:
        """`work` has come to nothing; the legs are as they were before it."""
        self.work = None
        if self.ivr is not None and not isinstance(self.caller.ack_user, Connection):
            self.ivr.go_on(now)
        self.steps.failed(status, reason, now)
        self.server.statistics.failed(in_dialog=self.caller.answered != 0.0)
        details = f"SIP {status} {reason}"
        if work.transfer:
            self.log(now, "transfer_failed", f"{work.destination}: {details}")
            if self.state == "transferring":
                self.go_back(now, details)
            if isinstance(work, Departure) and work.by_icm and self.treatment is not None:
                self.treatment.failed(status, reason, now)
                return
            peer = self.peer
            if (peer is not None and peer.kind != RINGTONE) or self.standalone:
                if self.treatment is not None:
                    self.treatment.resume(now)
            elif self.treatment is not None and self.state == "queued":
                self.treatment.failed(status, reason, now)
            else:
                self.fail(now, status, reason)
            return
        self.log(now, "connect_failed", f"{work.destination}: {details}")
        if self.treatment is not None:
            self.treatment.failed(status, reason, now)
        else:
            self.give_up(now, status, reason)

    @property
    def standalone(self) -> bool:
        """Whether the call server itself is the far end."""
        return self.treatment is not None and self.treatment.standalone

    def departed(self, work: Departure, now: float, *, by: Leg | None = None) -> None:
        """A transfer that the caller leaves us by has succeeded; without `by` it is sent off."""
        self.work = None
        if isinstance(work, ErrorRefer):
            work.departed(now, by)
            return
        self.transferred(now, work.destination, work.how)
        self.end(now, "transferred", f"transferred{work.how}", by=by, beside=work.parting)

    def transferred(self, now: float, destination: str, how: str = "") -> None:
        """A transfer has come to its end; `how` is for the history."""
        self.transfers += 1
        self.transfer_destination = destination
        self.steps.completed(now)
        self.log(now, "transfer_completed", f"{destination}{how}")

    def drop_treatment(self, now: float) -> None:
        """The script has no more to say."""
        if self.treatment is not None:
            self.treatment.stop(now)
            self.treatment = None

    # The end.

    def give_up(self, now: float, status: int, reason: str) -> None:
        """`fail`, after the time that ICM has for other instructions [TN178]."""
        wait = self.server.config.icm.wait
        if wait == 0.0 or self.route.kind == "direct":
            self.fail(now, status, reason)
            return
        self.log(now, "waiting_for_icm", f"{wait:g} s")
        refusal = Refusal(self, status, reason)
        self.server.stack.endpoint.wheel.start(now, wait, refusal, 0)

    def fail(self, now: float, status: int, reason: str) -> None:
        """No one could be reached: the end that the configuration has for that."""
        end_abnormally(self, status, reason, now)

    def refuse(self, now: float, status: int, reason: str, by: Leg | None = None) -> None:
        """End the call with this code: an unanswered caller gets it, others BYE."""
        self.error_code = status
        header = f'SIP;cause={status};text="{reason_phrase(status)}"'
        if self.refusal.status == status and self.refusal.reason:  # RFC 6432
            header = self.refusal.reason
        self.end(now, "error", f"SIP {status} {reason}", reason=header, status=status, by=by)

    def leave_all_but_the_caller(self, now: float, reason: str) -> None:
        """Nothing goes on but what the caller is told: the other legs end."""
        if self.work is not None:
            self.work.abandon(now)
            self.work = None
        self.drop_treatment(now)
        self.peer = None
        for leg in self.legs:
            if leg is not self.caller and leg.ended == 0.0 and leg.call is self:
                leg.hang_up(now, reason)

    def end(
        self,
        now: float,
        result: CallResult,
        details: str,
        *,
        reason: str = NORMAL,
        status: int = 480,
        by: Leg | None = None,
        beside: str = "",
    ) -> None:
        """End every leg, write the CDR and leave the table; once.

        `result` is that of the CDR; `reason` the Reason header of each BYE and CANCEL;
        `status` what an unanswered caller gets; `by` the leg that hung up; `beside` are
        header lines that go with the reason.
        """
        if self.state == "ended":
            return
        caller = self.caller
        if caller.answered == 0.0 and caller.terminated and by is not caller:
            # Its CANCEL has been answered, and is told next: that is how the call ended.
            result, details = "abandoned", "the caller gave up before the answer"
            self.error_code = 487
        if self.treatment is not None:
            self.treatment.ending(result, now)
        if result == "error":
            note_abnormal_end(self, reason, now)
        self.result = "transferred" if self.transfer_destination and result != "error" else result
        self._set_state("ended", now, details)
        if self.work is not None:
            self.work.abandon(now)
            self.work = None
        self.drop_treatment(now)
        if self.greeting is not None:
            self.greeting.stop_timer()
        for leg in self.legs:
            if leg.ended == 0.0 and leg is not by and leg.call is self:
                leg.hang_up(now, reason, status, beside)
        self.server.finished(self, by, now)

    # Events.

    def handle(self, leg: Leg, event: Event | Responded, now: float) -> None:
        """One event of one leg."""
        leg.touched = now
        if self.steps.on:
            self.steps.heard(leg, event, now)
        handler = HANDLERS.get(type(event))
        if handler is not None:
            handler(self, leg, event, now)
            dialogs = self.server.dialogs
            if dialogs.watched and leg.ended == 0.0:
                dialogs.changed(leg, now)
        if self.server.call_log.on:
            self.server.call_log.look(self)
        if self.state == "ended":
            let_go(self)
