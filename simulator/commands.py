"""What a client may do to the call server; each is checked, then done, with no wait between."""

import asyncio
from typing import TYPE_CHECKING, Final

from simulator.cdr_records import CallResult
from simulator.config_plan import Connect, Queue, SelfService, Step
from simulator.connection import Connection
from simulator.errors import CallNotFound, RecordNotStored
from simulator.leg import TRANSFER as TRANSFER_LEG
from simulator.leg import VXML, Leg
from simulator.legs import Legs
from simulator.routing import Label, NotRoutable, Route
from simulator.states import REASONS, TRANSFER
from simulator.treatment import Treatment
from simulator.variables import Variables
from simulator.views import TerminateReason, TransferCommand, VariablesView

if TYPE_CHECKING:
    from simulator.call import Call

STORE_PATIENCE: Final = 10.0
"""Seconds that a command waits for the CDR at most."""


class Commands(Legs):
    """The commanding half of `CallServer`."""

    _stored: dict[str, asyncio.Future[None]]

    def find(self, guid: str) -> "Call":
        """The active call `guid`. Raises CallNotFound."""
        call = self.calls.get(guid)
        if call is None:
            raise CallNotFound(f"no active call has the GUID {guid!r}")
        return call

    def transfer(self, guid: str, command: TransferCommand) -> None:
        """Begin a transfer; the outcome comes in the call's history.

        Raises CallNotFound, CallStateError, NotRoutable and VariableError; then nothing
        has changed.
        """
        call = self.find(guid)
        call.check(TRANSFER)
        # Only a label has modifiers; a destination may begin with "rf" as it likes.
        label = Label.parse(command.label) if command.label else Label(command.destination)
        route = self.plan.resolve_transfer(label.text)
        self.check_reachable(route)
        if command.ecc_variables:
            self.set_variables(guid, command.ecc_variables, None, None)
        now = self.stack.now()
        if isinstance(call.work, Connection):
            call.work.give_up(now)
        refer = label.refer or self.config.transfer.mode == "refer"
        consult = command.transfer_type == "consultation"
        how = "consultation" if consult else "REFER" if refer else "blind"
        call.enter(TRANSFER, now, f"{how} to {label.text}")
        if command.label:
            call.icm_label = command.label
        if refer and not consult:
            self.refer(call, label.text, route.destination, now)
        else:
            self._transfer(call, label.text, route, now, hold=consult)
        self.stack.pump(now)

    def check_reachable(self, route: Route) -> None:
        """Raises NotRoutable where a transfer along `route` leads nowhere."""
        if route.script is not None:
            first = self.config.icm.scripts[route.script][0].action
            if not isinstance(first, SelfService | Queue | Connect):
                raise NotRoutable(
                    f"{route.number!r} is not a number to transfer to: "
                    "no other leg answers it (its script begins with answer or release)"
                )
            if isinstance(first, Connect):
                label = first.label.replace("{dnis}", route.number)
                if self.plan.route_label(label) is None:
                    raise NotRoutable(f"no static route for {label!r}")
        elif route.destination is None:
            raise NotRoutable(f"no static route for {route.label or route.number!r}")

    def _transfer(self, call: "Call", number: str, route: Route, now: float, *, hold: bool) -> None:
        leg, uri, run = self.target_of(call, number, route, now)
        work = Connection(call, leg, uri, route.ring_no_answer, transfer=True, run=run)
        call.work = work
        can_hold = hold and call.caller.sent != b""
        work.start(now, hold=can_hold)

    def target_of(
        self, call: "Call", number: str, route: Route, now: float
    ) -> tuple[Leg, str, Treatment | None]:
        """A leg to where `route` leads, its URI, and the script that goes on with it."""
        kind, uri, run = TRANSFER_LEG, route.destination, None
        if route.script is not None:
            steps: tuple[Step, ...] = self.config.icm.scripts[route.script]
            action = steps[0].action
            if isinstance(action, Connect):
                uri = self.plan.route_label(action.label.replace("{dnis}", number))
            else:
                kind, run = VXML, Treatment(call, steps)
                uri = self.plan.route_label(self.vru_number())
        return Leg(call, kind, number, now), uri or "", run

    async def terminate(self, guid: str, reason: TerminateReason) -> None:
        """End a call on all its legs; returns when its CDR is stored. Raises CallNotFound."""
        call = self.find(guid)
        now = self.stack.now()
        stored = self._stored[guid] = asyncio.get_running_loop().create_future()
        call.log(now, "terminate", reason)
        result: CallResult = "completed" if call.caller.answered else "abandoned"
        if reason in ("error", "timeout"):
            result = "error"
        call.end(now, result, f"terminated: {reason}", reason=REASONS[reason])
        self.stack.pump(now)
        try:
            await asyncio.wait_for(stored, STORE_PATIENCE)
        except TimeoutError:
            raise RecordNotStored("the call has ended, but its CDR is not stored yet") from None

    def call_variables(self, guid: str) -> VariablesView:
        """The variables of a call. Raises CallNotFound."""
        variables = self.find(guid).variables or Variables()
        return VariablesView(variables.ecc, variables.peripheral, variables.call)

    def set_variables(
        self,
        guid: str,
        ecc: dict[str, str] | None,
        peripheral: dict[str, str] | None,
        call: dict[str, str] | None,
    ) -> VariablesView:
        """Merge variables into a call's. Raises CallNotFound and VariableError."""
        found = self.find(guid)
        variables = found.variables
        if variables is None:
            variables = Variables(separate=self.config.variables.separate)
        variables.update(ecc, peripheral, call)
        found.variables = variables
        return VariablesView(variables.ecc, variables.peripheral, variables.call)
