"""Transfers: by REST, by a label, by the agent's phone."""

from scenarios.flows import Stage, flow
from scenarios.flows.plan import OTHERWISE


@flow()
def blind_transfer(stage: Stage) -> None:
    """POST transfer, blind: the old leg stays until the target answers; then the caller is
    joined to the target by re-INVITE, and the old leg gets BYE.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("1002")
    stage.reach("transfer_completed")
    caller.hang_up()


@flow()
def blind_transfer_fails(stage: Stage) -> None:
    """The target is busy: the call goes on with the first agent, untouched."""
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("9486")
    stage.reach("transfer_failed")
    caller.hang_up()


@flow()
def transfer_by_refer(stage: Stage) -> None:
    """Label with the prefix rf: REFER to the caller, who reports success and leaves."""
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer(label="rf1002")
    stage.reach("transferring")
    caller.accept_refer()
    stage.rest("the caller calls the target")
    caller.notify(200)
    stage.reach("notified", 2)
    caller.hang_up()


@flow()
def refer_fails(stage: Stage) -> None:
    """The caller's gateway reports 486 in NOTIFY: the call goes on with the agent."""
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer(label="rf1002")
    stage.reach("transferring")
    caller.accept_refer()
    stage.rest("the caller calls the target, which is busy")
    caller.notify(486)
    stage.reach("transfer_failed")
    caller.hang_up()


@flow()
def vru_return(stage: Stage) -> None:
    """The agent's call is moved back into a script: the VXML gateway takes the agent's place
    by VRU label and correlation id.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("3000")
    stage.reach("self_service")
    caller.hang_up()


@flow()
def phone_blind_transfer(stage: Stage) -> None:
    """The agent's phone sends REFER to the call server, which calls the target, joins the
    caller to it, and tells the phone by NOTIFY.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.refer(stage.line("1001"), "1002")
    stage.reach("transfer_completed")
    caller.hang_up()


@flow()
def phone_attended_transfer(stage: Stage) -> None:
    """The agent calls a colleague through the call server (a call of its own), then sends
    REFER with Replaces: the caller takes the agent's place in that call.
    """
    stage.dial("6000")
    stage.reach("connected")
    agent = stage.line("1001")
    agent.offer("sendonly")
    stage.reach("on_hold")
    second = stage.dial_from("1001", "6002")
    stage.until(lambda: 200 in second.statuses, "the colleague")
    stage.refer(agent, "6002", second)
    stage.reach("transfer_completed")
    stage.line("1002").hang_up()


@flow()
def consultation(stage: Stage) -> None:
    """POST transfer, consultation: the caller is held, the target called, and both are joined
    as soon as the target answers.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("1002", "consultation")
    stage.reach("transfer_completed")
    caller.hang_up()


@flow(**OTHERWISE)
def consultation_completed(stage: Stage) -> None:
    """The agent talks to the target while the caller is held; POST transfer/complete joins the
    caller to the target, and the agent is out.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("1002", "consultation")
    stage.reach("consulting")
    stage.extension("transfer/complete")
    stage.reach("transfer_completed")
    caller.hang_up()


@flow(**OTHERWISE)
def consultation_cancelled(stage: Stage) -> None:
    """POST transfer/cancel: the target is released, the agent has the caller back."""
    stage.agent("1001", think=0.1)
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer("1002", "consultation")
    stage.reach("consulting")
    stage.extension("transfer/cancel")
    stage.reach("connected", 2)
    caller.hang_up()


@flow()
def digits_to_the_gateway(stage: Stage) -> None:
    """Label DTMF*8,,,444: each digit is an INFO, each comma a pause; then the gateway, which
    takes the call away, says BYE.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.transfer(label="DTMF*8,,,444")
    stage.until(lambda: [r.method for r in caller.requests].count("INFO") == 5, "five digits")
    stage.pause(0.5)
    caller.hang_up()


@flow()
def hold_by_rest(stage: Stage) -> None:
    """POST hold and resume: both far ends are held by the call server, and taken back."""
    stage.agent("1001", think=0.1)
    caller = stage.dial("6000")
    stage.reach("connected")
    stage.extension("hold")
    stage.reach("on_hold")
    stage.extension("resume")
    stage.reach("connected", 2)
    caller.hang_up()
