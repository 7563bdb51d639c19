"""What test suites and demos need: to make calls, to end many, to begin anew."""

from typing import Final

from api.idempotency import Answers
from api.keys import CallServer
from api.log_levels import LogLevels
from api.logins import FailedLogins
from api.models import CallOperationResult
from api.models_transfers import OriginateRequest, TerminateCallsRequest, TerminatedCalls
from api.operations import Operations
from simulator.audit_trail import Requester
from simulator.views import CallFilter

lab: Final = Operations("Lab", "/sim/v1")


@lab.add(
    "POST",
    "/calls",
    "the first party is being called",
    status=202,
    errors={503: "no new call is taken now"},
    role="control",
    once=True,
)
async def originate_call(server: CallServer, body: OriginateRequest) -> CallOperationResult:
    """Make a call: the calling number is called, and when it has answered, connected.

    202 means that it is being called; what comes of it stands in the call's state and
    callHistory, in the end in its record.
    """
    guid = server.originate(body.calling_number, body.destination)
    return CallOperationResult(
        call_guid=guid,
        operation="originate",
        status="pending",
        message=f"{body.calling_number} is being called",
    )


@lab.add("POST", "/calls/terminate", "the calls have ended", role="control")
async def terminate_calls(server: CallServer, body: TerminateCallsRequest) -> TerminatedCalls:
    """End all calls that match every filter that is given.

    The answer comes when their records are stored.
    """
    wanted = CallFilter(
        body.state, body.called_number, body.calling_number, body.application_name, body.leg
    )
    return TerminatedCalls(terminated_calls=await server.terminate_all(wanted, body.reason))


@lab.add("POST", "/reset", "as after the start")
async def reset_server(
    server: CallServer,
    who: Requester,
    answers: Answers,
    logins: FailedLogins,
    log_levels: LogLevels,
) -> TerminatedCalls:
    """End all calls, so that the next test finds nothing.

    Idempotency keys, failed logins and bans are forgotten, the levels of the log put back. Faults
    and the states of agents are those of the configuration again, no fault has fired, and agents'
    phones ring as long as after the start. The trace is on or off as configured; what it has of
    ended calls stays.
    """
    server.faults.reset()
    try:
        ended = await server.terminate_all(CallFilter(), "administrative")
    finally:
        server.desk.reset()  # after the calls that waited: none of them gets an agent
    answers.clear()
    logins.clear()
    log_levels.restore()
    server.trace.restore()
    server.administration.server.sources.screen.forget()
    after = {"terminatedCalls": ended}
    await server.administration.trail.record(who, "reset", "server", after=after)
    return TerminatedCalls(terminated_calls=ended)
