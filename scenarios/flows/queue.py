"""Comprehensive flows: self-service and queue at the VXML gateway, then an agent."""

from scenarios.flows import Stage, flow


@flow()
def comprehensive(stage: Stage) -> None:
    """Self-service, queue, agent: TEMPORARY_CONNECT to the VXML gateway, whose answer is the
    first the caller gets; then CONNECT: the gateway is released, and the caller is joined by
    re-INVITE to the ringtone service and, at its answer, to the agent. The agent's 180 is
    absorbed: the caller is answered already.
    """
    caller = stage.dial("7000")
    stage.reach("connected")
    caller.hang_up()


@flow()
def self_service_only(stage: Stage) -> None:
    """The caller is done with the application and hangs up: completed."""
    caller = stage.dial("3000")
    stage.reach("self_service")
    caller.hang_up()


@flow()
def self_service_by_digits(stage: Stage) -> None:
    """RUN_SCRIPT_REQ has the gateway run an application, which collects a digit: the caller's
    INFO goes through to the gateway. RUN_SCRIPT_RESULT brings the choice back, and the script
    goes on by it, here to the label of an agent.
    """
    stage.gateway(lines="Recv-Info: callsim-ivr\r\n")
    caller = stage.dial("7960")
    stage.reach("RUN_SCRIPT_REQ")
    caller.request("INFO", b"Signal=2\r\nDuration=100\r\n", "application/dtmf-relay")
    stage.reach("RUN_SCRIPT_RESULT")
    stage.reach("connected")
    caller.hang_up()


@flow()
def caller_leaves_the_queue(stage: Stage) -> None:
    """The caller hangs up while waiting: abandoned."""
    caller = stage.dial("7100")
    stage.reach("queued")
    caller.hang_up()


@flow()
def busy_and_requery(stage: Stage) -> None:
    """The longest available agent is busy: the router is asked again, the caller waits at the
    VXML gateway meanwhile, and the next agent takes the call.
    """
    stage.agent("1011", refuse=486, answer=0.0)
    caller = stage.dial("7200")
    stage.reach("connected")
    caller.hang_up()


@flow()
def no_answer_and_requery(stage: Stage) -> None:
    """The first agent lets it ring beyond the RNA timer: CANCEL, requery, next agent."""
    stage.agent("1021", answer=None)
    caller = stage.dial("7300")
    stage.reach("connected")
    caller.hang_up()


@flow()
def courtesy_callback(stage: Stage) -> None:
    """The caller takes the offer: BYE to caller and gateway, while the call keeps its place in
    the queue. When an agent is near, INVITE to the caller with the call server's own media;
    once back, the caller confirms at the VXML gateway, is the next in the queue, and gets the
    agent.
    """
    stage.dial("7500")
    back = stage.line("5551234")
    stage.reach("connected")
    back.hang_up()


@flow()
def gateway_refuses(stage: Stage) -> None:
    """The VXML gateway refuses the call: CONNECT_FAILURE, and the caller gets its 404."""
    stage.gateway(refuse=404)
    stage.dial("3000")
