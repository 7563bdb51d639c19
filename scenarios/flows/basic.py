"""Flows without a queue: answered here, by a label, by a route; refused, given up."""

from scenarios.flows import Stage, flow
from scenarios.flows.plan import OTHERWISE


@flow()
def standalone(stage: Stage) -> None:
    """The call server itself is the far end: no second leg. The caller hangs up."""
    caller = stage.dial("5000")
    stage.reach("connected")
    caller.hang_up()


@flow()
def call_director(stage: Stage) -> None:
    """A label leads straight to an agent: switching only, no VXML leg. His 180 is relayed,
    the caller's description goes through unchanged, and his ACK waits for the caller's.
    """
    caller = stage.dial("6000")
    stage.reach("connected")
    caller.hang_up()


@flow()
def agent_hangs_up(stage: Stage) -> None:
    """The agent ends the call; the caller gets a BYE with the same reason."""
    stage.dial("6000")
    stage.reach("connected")
    stage.line("1001").hang_up()


@flow()
def direct_route(stage: Stage) -> None:
    """A number of `--route` goes straight to its callee, before the dial plan and ICM."""
    caller = stage.dial("2000")
    stage.reach("connected")
    caller.hang_up()


@flow()
def refused(stage: Stage) -> None:
    """The label's far end refuses: the caller gets the code, here 404."""
    stage.dial("9404")


@flow()
def no_route(stage: Stage) -> None:
    """No static route leads to the label: 404, as a Call Server says it."""
    stage.dial("9999")


@flow()
def caller_cancels(stage: Stage) -> None:
    """The caller gives up while the agent's phone rings: CANCEL goes on to the agent."""
    stage.agent("1001", answer=None)
    caller = stage.dial("6000")
    stage.reach("ringing")
    caller.cancel()


@flow()
def ring_no_answer(stage: Stage) -> None:
    """The agent's phone rings longer than the RNA timer of the pattern: CANCEL, and the
    caller, who has no queue to go back to, is refused.
    """
    stage.agent("1003", answer=None)
    stage.dial("4000")


@flow()
def terminate_by_rest(stage: Stage) -> None:
    """POST terminate: BYE on every leg, with the cause of the reason given."""
    stage.dial("6000")
    stage.reach("connected")
    stage.terminate("administrative")


@flow()
def terminate_while_ringing(stage: Stage) -> None:
    """POST terminate before the answer: 480 to the caller, CANCEL to the agent."""
    stage.agent("1001", answer=None)
    stage.dial("6000")
    stage.reach("ringing")
    stage.terminate()


@flow()
def hold_by_the_caller(stage: Stage) -> None:
    """The caller holds and takes the call back; each offer goes through to the agent."""
    caller = stage.dial("6000")
    stage.reach("connected")
    caller.offer("sendonly")
    stage.reach("on_hold")
    caller.offer()
    stage.reach("connected", 2)
    caller.hang_up()


@flow(**OTHERWISE)
def maximum_calls(stage: Stage) -> None:
    """As many calls as allowed are up: the next caller gets 503 with Retry-After."""
    caller = stage.dial("5000")
    stage.reach("connected")
    refused = stage.dial("5000")
    stage.until(lambda: 503 in refused.statuses, "503")
    caller.hang_up()
