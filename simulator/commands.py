"""What a client may do to the call server; each is checked, then done, with no wait between."""

import asyncio
from typing import TYPE_CHECKING, Final

from simulator.cdr_records import CallResult
from simulator.errors import CallNotFound, RecordNotStored
from simulator.states import REASONS
from simulator.transfer_commands import TransferCommands
from simulator.variables import Variables
from simulator.views import TerminateReason, VariablesView

if TYPE_CHECKING:
    from simulator.call import Call

STORE_PATIENCE: Final = 10.0
"""Seconds that a command waits for the CDR at most."""


class Commands(TransferCommands):
    """The commanding half of `CallServer`."""

    _stored: dict[str, asyncio.Future[None]]

    def find(self, guid: str) -> "Call":
        """The active call `guid`. Raises CallNotFound."""
        call = self.calls.get(guid)
        if call is None:
            raise CallNotFound(f"no active call has the GUID {guid!r}")
        return call

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
