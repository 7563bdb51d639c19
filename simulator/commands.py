"""What a client may do to the call server; each is checked, then done, with no wait between."""

import asyncio
from typing import TYPE_CHECKING, Final

from simulator.cdr_records import CallResult
from simulator.errors import CallNotFound, RecordNotStored
from simulator.states import REASONS
from simulator.transfer_commands import TransferCommands
from simulator.variables import Variables
from simulator.views import CallFilter, TerminateReason, VariablesView

if TYPE_CHECKING:
    from simulator.call import Call

AT_ONCE: Final = 50
"""Calls ended in one turn of the loop."""

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
        stored = self._end(call, reason, now)
        self.stack.pump(now)
        try:
            await asyncio.wait_for(stored, STORE_PATIENCE)
        except TimeoutError:
            raise RecordNotStored("the call has ended, but its CDR is not stored yet") from None

    async def terminate_all(self, wanted: CallFilter, reason: TerminateReason) -> int:
        """End all calls that match, some in a turn of the loop; how many there were.

        Returns when their CDRs are stored; raises RecordNotStored.
        """
        calls = self.matching(wanted)
        waiting: list[asyncio.Future[None]] = []
        for first in range(0, len(calls), AT_ONCE):
            now = self.stack.now()
            for call in calls[first : first + AT_ONCE]:
                if call.state != "ended":
                    waiting.append(self._end(call, reason, now))
            self.stack.pump(now)
            await asyncio.sleep(0)
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=STORE_PATIENCE)
            if late:
                raise RecordNotStored(f"the calls have ended; {len(late)} CDRs are not stored yet")
        return len(waiting)

    def _end(self, call: "Call", reason: TerminateReason, now: float) -> asyncio.Future[None]:
        """End a call; what is done when its CDR is stored."""
        stored = self._stored[call.guid] = asyncio.get_running_loop().create_future()
        call.log(now, "terminate", reason)
        result: CallResult = "completed" if call.caller.answered else "abandoned"
        if reason in ("error", "timeout"):
            result = "error"
        call.end(now, result, f"terminated: {reason}", reason=REASONS[reason])
        return stored

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
