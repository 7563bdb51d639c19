"""The IVR service: it has the VXML gateway run the applications of the ICM scripts.

What goes to the gateway and what comes back is in `simulator.script_messages`. A gateway
that does not take part plays what it likes: its BYE ends the application then.
"""

from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.leg import Leg
from simulator.script_messages import (
    INFO_PACKAGE,
    JSON,
    RunScript,
    ScriptResult,
    accepts,
)
from sip.errors import PeerError, SipError
from sip.events import Requested, Responded
from sip.message import Response

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.treatment import Treatment

MICROAPP: Final = "user.microapp."
_TO: Final = f"{MICROAPP}ToExtVXML["
_FROM: Final = "FromExtVXML["
_MICRO_RESULTS: Final = ("caller_input", "error_code", "input_type")


class Ivr:
    """The applications of one call.

    `applications`, `timeouts` (no input) and `errors` (input that did not match, and
    applications that failed) are those of the CDR. `leg` leads to a gateway that takes
    RUN_SCRIPT_REQ.
    """

    __slots__ = (
        "applications",
        "asked",
        "call",
        "due",
        "errors",
        "leg",
        "number",
        "timeouts",
        "untaken",
    )

    def __init__(self, call: "Call") -> None:
        self.call = call
        self.applications = 0
        self.timeouts = 0
        self.errors = 0
        self.leg: Leg | None = None
        self.due = ""  # the application that waits until the caller is joined to the gateway
        self.asked = 0  # the number of the last request
        self.number = 0  # of the request that a result is awaited for
        # Leg, number, timeouts and errors as they were before `take_over`.
        self.untaken: tuple[Leg | None, int, int, int] = (None, 0, 0, 0)

    def run(self, application: str, now: float) -> None:
        """RUN_SCRIPT_REQ, where the gateway takes it: once the ACK of the caller is through."""
        self.applications += 1
        self.due = application
        if self.call.work is None:
            self.go_on(now)

    def go_on(self, now: float) -> None:
        """The caller and the gateway are joined."""
        application, self.due = self.due, ""
        leg = self.leg
        if not application or leg is None or leg is not self.call.peer or not leg.up:
            return
        self.number = self.asked = self.asked + 1
        request = RunScript(self.number, application, variables_for(self.call))
        try:
            leg.session.request(now, "INFO", INFO_PACKAGE, request.to_body(), JSON, request)
        except SipError as error:
            self.call.log(now, "application_not_run", f"{application}: {error}")

    def responded(self, leg: Leg, request: RunScript, event: Responded, now: float) -> None:
        """The gateway runs it, or does not: then the application has failed."""
        status = event.status
        call = self.call
        if status < 300 or call.state == "ended":
            return
        call.log(now, "application_not_run", f"{request.application}: SIP {status}")
        if leg is not self.leg or request.number != self.number:
            return  # its time was over
        self.number = 0
        self.errors += 1
        if status in (408, 481):
            return  # the leg is lost
        for script in self._scripts():
            if script.application_refused(status, now):
                return

    def _scripts(self) -> "list[Treatment]":
        """Whose application may run: what brings the gateway here may bring its script along."""
        work = self.call.work
        run = work.run if isinstance(work, Connection) else None
        return [script for script in (self.call.treatment, run) if script is not None]

    def take_over(self, other: "Ivr") -> None:
        """The caller is coming to the gateway of another call, in its place."""
        self.untaken = (self.leg, self.number, self.timeouts, self.errors)
        self.leg = other.leg
        self.asked = max(self.asked, other.asked)
        self.number = other.number

    def give_back(self, other: "Ivr") -> None:
        """It has not come about: what the gateway has said meanwhile was for the other call."""
        other.number = self.number
        other.asked = max(self.asked, other.asked)
        self.leg, self.number, timeouts, errors = self.untaken
        other.timeouts += self.timeouts - timeouts
        other.errors += self.errors - errors
        self.timeouts, self.errors = timeouts, errors

    def result(self, leg: Leg, event: Requested, now: float) -> None:
        """RUN_SCRIPT_RESULT of a gateway."""
        try:
            found = ScriptResult.parse(event.request.body)
        except PeerError as error:
            event.transaction.respond(error.status, now, reason=error.reason)
            return
        event.transaction.respond(200, now, self.call.server.server_line)
        if found.number != self.number or found.number == 0:
            self.call.log(now, "result_dropped", f"of application {found.number}")
            return
        self.number = 0
        self.timeouts += found.timeouts
        self.errors += found.errors + found.failed
        values = {_full_name(name): value for name, value in found.values.items()}
        for script in self._scripts():
            if script.application_result(values, now, failed=found.failed):
                return
        self.call.log(now, "result_dropped", "no application is running")


def run_script(call: "Call", application: str, now: float) -> None:
    """The caller is with the VXML gateway, and a script wants `application` to be run."""
    ivr_of(call).run(application, now)


def ivr_of(call: "Call") -> Ivr:
    """The call's applications."""
    if call.ivr is None:
        call.ivr = Ivr(call)
    return call.ivr


def note_gateway(call: "Call", leg: Leg, response: Response) -> None:
    """A VXML gateway has answered: whether it takes RUN_SCRIPT_REQ."""
    if accepts(response):
        ivr_of(call).leg = leg


def script_result(call: "Call", leg: Leg, event: Requested, now: float) -> None:
    """INFO of our package: from the gateway it is a result, from others it is nothing."""
    ivr = call.ivr
    if ivr is None or ivr.leg is not leg:
        event.transaction.respond(469, now, "Recv-Info:\r\n")  # RFC 6086 section 4.2.2
    else:
        ivr.result(leg, event, now)


def variables_for(call: "Call") -> dict[str, str]:
    """What an application may use: numbers, variables, and what ToExtVXML says.

    Its elements are ``name=value``, several of them separated by semicolons [CG-ICM].
    """
    found = {"ani": call.calling, "dnis": call.route.number, "callid": call.guid}
    variables = call.variables
    if variables is None:
        return found
    ecc = variables.ecc
    found |= variables.call
    found |= variables.peripheral
    found |= ecc
    for name, value in ecc.items():
        if name.startswith(_TO):
            for pair in value.split(";"):
                key, equals, text = pair.partition("=")
                if equals and 0 < len(key.strip()) <= 64:
                    found[key.strip()] = text.strip()
    return found


def _full_name(name: str) -> str:
    """The ECC variable that a result of this name is, where it is one [CG-ICM]."""
    micro = name in _MICRO_RESULTS or name.startswith(_FROM)
    return f"{MICROAPP}{name}" if micro else name
