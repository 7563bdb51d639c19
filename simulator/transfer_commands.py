"""Commands that move a call or put it on hold; each is checked, then done, with no wait between."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.connection import Connection
from simulator.consultation import Consultation
from simulator.errors import CallNotFound, CallStateError
from simulator.hold import Hold
from simulator.leg import TRANSFER as TRANSFER_LEG
from simulator.leg import VXML, Leg
from simulator.legs import Legs
from simulator.origin import CallOrigin
from simulator.outpulse import outpulsed
from simulator.router import (
    ANSWER,
    CONNECT,
    DIALOGUE_FAILURE,
    RELEASE,
    SILENCE,
    Node,
    Router,
)
from simulator.routing import InvalidNumber, Label, NotRoutable, Route
from simulator.script_values import NO_CHANGE, expand
from simulator.states import TRANSFER
from simulator.transfer_log import OUTPULSE, REFER, REINVITE, REST, TransferLog
from simulator.transfer_views import transfer_view
from simulator.treatment import Treatment
from simulator.views import TransferCommand, TransferView, VariablesView

if TYPE_CHECKING:
    from simulator.call import Call

_METHODS: Final = {OUTPULSE: "digits", REFER: "REFER"}


class TransferCommands(Legs):
    """The part of `Commands` that moves a call elsewhere."""

    calls: "dict[str, Call]"
    epoch: float
    router: Router
    transfer_log: TransferLog

    def set_variables(
        self,
        guid: str,
        ecc: dict[str, str] | None,
        peripheral: dict[str, str] | None,
        call: dict[str, str] | None,
    ) -> VariablesView:
        """Merge variables into a call's. Raises CallNotFound and VariableError."""
        raise NotImplementedError

    def transfer(self, guid: str, command: TransferCommand) -> None:
        """Begin a transfer; the outcome comes in the call's history.

        Raises CallNotFound, CallStateError, NotRoutable and VariableError; then nothing
        has changed.
        """
        call = self.find(guid)
        call.check(TRANSFER)
        # Only a label has modifiers; a destination may begin with "rf" as it likes.
        label = Label.parse(command.label) if command.label else Label(command.destination)
        consult = command.transfer_type == "consultation"
        method = REFER if label.refer or self.config.transfer.mode == "refer" else REINVITE
        route: Route | None = None
        if command.label and outpulsed(label.text):
            method = OUTPULSE
            if consult:
                raise NotRoutable(f"{label.text!r} has digits for the gateway: nobody to consult")
        else:
            route = self.plan.resolve_transfer(label.text, call.origin)
            self.check_reachable(call, route, command.ecc_variables)
        if command.ecc_variables:
            self.set_variables(guid, command.ecc_variables, None, None)
        now = self.stack.now()
        if isinstance(call.work, Connection):
            call.work.give_up(now)
        if consult:
            method = REINVITE
        self.transfer_log.begin(
            call, command.transfer_type, method, REST, label.text, now, command.label or ""
        )
        how = "consultation" if consult else _METHODS.get(method, "blind")
        call.enter(TRANSFER, now, f"{how} to {label.text}")
        if command.label:
            call.icm_label = command.label
        if route is None:
            self.outpulse(call, label.text, now)
        elif method == REFER:
            self.refer(call, label.text, route.destination, now)
        else:
            self._transfer(call, label, route, now, consult=consult)
        self.stack.pump(now)

    def check_reachable(
        self, call: "Call", route: Route, ecc: Mapping[str, str] = NO_CHANGE
    ) -> None:
        """Raises NotRoutable where a transfer of `call` that sets `ecc` leads nowhere."""
        if route.script is not None:
            first = self.router.scripts[route.script].start
            if first.kind in (ANSWER, RELEASE, DIALOGUE_FAILURE, SILENCE):
                raise NotRoutable(
                    f"{route.number!r} is not a number to transfer to: "
                    "no other leg answers it (its script begins with answer or release)"
                )
            if first.kind == CONNECT:
                label = _first_label(call, first, route.number, ecc)
                if self._way(call, label) is None:
                    raise NotRoutable(f"no static route for {label!r}; add one under routes")
        elif self.destination_of(route, call.origin) is None:
            wanted = route.label or route.number
            raise NotRoutable(f"no static route for {wanted!r}; add one under routes")

    def destination_of(self, route: Route, origin: CallOrigin) -> str | None:
        """The URI that `route` leads a call from `origin` to."""
        if route.label is None or route.label == route.destination:
            return route.destination
        return self.plan.route_label(route.label, origin)

    def _way(self, call: "Call", label: str) -> str | None:
        """The URI that a script's label leads to; variables may make one that leads nowhere."""
        try:
            return self.plan.route_label(label, call.origin)
        except InvalidNumber:
            return None

    def _transfer(
        self, call: "Call", label: Label, route: Route, now: float, *, consult: bool
    ) -> None:
        leg, uri, run = self.target_of(call, label.text, route, now)
        if label.cli is not None:
            leg.cli = label.cli
        patience = route.ring_no_answer
        manual = consult and self.config.transfer.consultation == "manual"
        kind = Consultation if manual else Connection
        work = kind(call, leg, uri, patience, transfer=True, run=run)
        call.work = work
        can_hold = consult and call.caller.sent != b""
        work.start(now, hold=can_hold)

    def target_of(
        self, call: "Call", number: str, route: Route, now: float
    ) -> tuple[Leg, str, Treatment | None]:
        """A leg to where `route` leads, its URI, and the script that goes on with it."""
        kind, uri, run = TRANSFER_LEG, self.destination_of(route, call.origin), None
        label = "" if route.label is None or route.label == uri else route.label
        if route.script is not None:
            script = self.router.scripts[route.script]
            if script.start.kind == CONNECT:
                label = _first_label(call, script.start, number)
                uri = self._way(call, label)
            else:
                kind, run = VXML, Treatment(call, script)
                uri = self.plan.route_label(self.vru_number(call), call.origin)
        leg = Leg(call, kind, number, now)
        if label and uri:
            parsed = Label.parse(label)
            leg.label, leg.cli = parsed.text, parsed.cli
        return leg, uri or "", run

    # A transfer that is under way.

    def complete_transfer(self, guid: str) -> None:
        """Join the caller to the target that is consulted.

        Raises CallNotFound, and CallStateError where nobody is consulted, or has not answered.
        """
        work = self.find(guid).work
        if not isinstance(work, Consultation):
            raise CallStateError("no consultation is under way: there is nothing to complete")
        now = self.stack.now()
        work.complete(now)
        self.stack.pump(now)

    def cancel_transfer(self, guid: str) -> None:
        """Give up a transfer whose target has not been joined; the call goes back.

        Raises CallNotFound and CallStateError.
        """
        call = self.find(guid)
        work = call.work
        if call.state != "transferring" or not isinstance(work, Connection):
            raise CallStateError(f"the call is {call.state}: no transfer can be cancelled now")
        now = self.stack.now()
        work.cancel(now)
        self.stack.pump(now)

    def transfers(self, guid: str) -> list[TransferView]:
        """The transfers of a call, the first one first. Raises CallNotFound."""
        call = self.calls.get(guid)
        found = self.transfer_log.of(guid, call, self.stack.now())
        if found is None:
            raise CallNotFound(f"no active call, and no transferred one of late, is {guid!r}")
        epoch = self.epoch if call is None else call.epoch
        return [transfer_view(record, epoch) for record in found]

    # Hold.

    def hold(self, guid: str) -> None:
        """Put the far ends of a call on hold; history tells when they have agreed.

        Raises CallNotFound and CallStateError.
        """
        call = self.find(guid)
        now = self.stack.now()
        Hold.begin(call, now)
        self.stack.pump(now)

    def resume(self, guid: str) -> None:
        """End what `hold` began. Raises CallNotFound and CallStateError."""
        call = self.find(guid)
        now = self.stack.now()
        if call.hold is None:
            raise CallStateError(
                f"the call is {call.state} and no command holds it: nothing to resume"
            )
        call.hold.resume(now)
        self.stack.pump(now)


def _first_label(call: "Call", node: Node, number: str, ecc: Mapping[str, str] = NO_CHANGE) -> str:
    """The label of a script's first node, for a call that is moved to `number`."""
    return expand(node.action.label.replace("{dnis}", number), call, ecc)
