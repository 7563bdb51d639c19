"""Returns from the VRU: calls to a VRU label with a correlation id [TN178].

Where the route of the VRU label leads by way of somebody who sends the call back to us
(a CUCM, a proxy, a translation route), the number tells which call waits for it. That is
REQUEST_INSTRUCTION, not NEW_CALL: the call that comes is the VRU dialogue of the one that
waits, whose script goes on; it is connected to the VXML gateway and ends with it.

Who can only dial the label may say the id in the user-to-user information [CG-XFER].
"""

from typing import TYPE_CHECKING

from simulator.caller_data import uui_of
from simulator.router import NO_SCRIPT, share_key
from simulator.states import SELF_SERVICE
from simulator.treatment import Treatment

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.connection import Connection
    from simulator.routing import DialPlan
    from sip.message import Request


class WaitingCalls:
    """The calls that have been sent to the VRU, by label and correlation id.

    `returns` are the GUIDs of those that came back from it, as the VRU of another call.
    """

    __slots__ = ("calls", "returns")

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.returns: set[str] = set()

    def expect(self, call: "Call", vru_number: str) -> None:
        """`call` waits for this number, and no longer for the one before."""
        self.forget(call)
        call.vru_number = vru_number
        self.calls[vru_number] = call

    def expects(self, number: str) -> bool:
        """Whether a call waits for this number, which is not a return itself."""
        waiting = self.calls.get(number)
        return waiting is not None and waiting.route.kind != "vru_return"

    def told_by_uui(self, request: "Request", plan: "DialPlan", digits: int) -> str:
        """The number of the call that waits for a call to the bare VRU label; empty without.

        The last `digits` characters of the user-to-user information are its correlation id.
        """
        try:
            text = bytes.fromhex(uui_of(request)).decode("latin-1")
        except ValueError:
            return ""
        if len(text) < digits:
            return ""
        for number in plan.vru_numbers(text[-digits:]):
            if self.expects(number):
                return number
        return ""

    def forget(self, call: "Call") -> None:
        """`call` waits no longer."""
        if self.calls.get(call.vru_number) is call:
            del self.calls[call.vru_number]
        call.vru_number = ""

    def returned(self, call: "Call", now: float) -> bool:
        """`call` has come from the VRU: whether another waits for it, whose VRU it is then."""
        number = call.route.number
        waiting = self.calls.get(number)
        correlation_id = call.route.correlation_id
        if waiting is None:
            details = f"correlation id {correlation_id} is that of no call"
        elif waiting.route.kind == "vru_return":
            details = f"{number} leads back here: its route must lead to the VXML gateway"
        else:
            details = f"correlation id {correlation_id}: call {waiting.guid}"
        call.log(now, "request_instruction", details)
        if waiting is None or waiting.route.kind == "vru_return":
            return False
        waiting.log(now, "vru_returned", f"as call {call.guid}")
        self.expect(call, number)  # a second one has lost its way
        call.application = waiting.application
        call.icm_skill_group = waiting.icm_skill_group
        call.variables = waiting.variables
        share_key(waiting, call)
        call.treatment = VruDialogue(call, NO_SCRIPT)
        return True


class VruDialogue(Treatment):
    """What a call does that is another one's VRU: it has a VXML gateway, and no script."""

    __slots__ = ()

    def connected(self, work: "Connection", now: float) -> bool:
        """The VXML gateway has answered."""
        self.call.enter(SELF_SERVICE, now, self.call.application)
        self.call.note_holder(now)
        return True

    def failed(self, status: int, reason: str, now: float) -> None:
        """It has not: the call that waits hears so."""
        self.call.give_up(now, status, reason)
