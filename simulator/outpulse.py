"""Transfers by digits: the gateway is to take the call away [CG-XFER].

Labels ``DTMF*8,,,4441234`` (take back and transfer), ``TBCT99#8005551212#`` (two B-channel
transfer) and ``HF,,,,,4441234`` (hookflash). The digits go to the caller's gateway by INFO,
one each. Which body CVP sends is not published: it is ``application/dtmf-relay``, with
``Signal=hf`` for the flash. Nor is how TBCT is told to a SIP gateway: by its digits, as for
the others. Afterwards the gateway says BYE; what becomes of a call without is configured.
With UUI or GTD set BYE is ours: UUI goes in it, what it says of a GTD is not published.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from simulator.refer import DONE, FAILED, Departure, Table, report_failure, stop
from sip.errors import SipError
from sip.events import Responded
from sip.message import reason_phrase

if TYPE_CHECKING:
    from simulator.call import Call

_LABEL: Final = re.compile(r"(DTMF|TBCT|HF)([0-9A-D*#,]+)", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)

KINDS: Final[Mapping[str, str]] = {
    "DTMF": "digits",
    "TBCT": "two B-channel transfer",
    "HF": "hookflash",
}
FLASH: Final = "hf"
PAUSE: Final = ","
CONTENT_TYPE: Final = "application/dtmf-relay"
UUI: Final = "user.microapp.uui"
GTD: Final = "user.gtd."  # where parameters of the GTD stand, see `simulator.caller_data`

# States, besides those of every departure.
SENDING: Final = 0
WAITING: Final = 5  # for BYE

# Inputs.
TIME: Final = 0  # the tone or the pause is over
TAKEN: Final = 1  # the digit
REFUSED: Final = 2
LAST: Final = 3  # all is sent
CALLER_LEFT: Final = 4
NO_BYE: Final = 5


def outpulsed(label: str) -> tuple[str, str] | None:
    """Kind and digits of a label such as ``DTMF*8,,,444``; None where it is none."""
    found = _LABEL.fullmatch(label)
    return None if found is None else (found[1], found[2])


class Outpulse(Departure):
    """Digits on the caller's leg, one INFO each.

    The next goes out when the tone is over and the gateway has taken the last one.
    """

    __slots__ = ("_at", "_pending", "_signals", "_tone_over")

    def __init__(self, call: "Call", label: str, *, by_icm: bool = False) -> None:
        found = outpulsed(label)
        assert found is not None
        kind, digits = found
        super().__init__(call, label, f" by {KINDS[kind]}", TABLE, by_icm=by_icm)
        self._signals = [FLASH, *digits] if kind == "HF" else [*digits]
        self._at = 0
        self._pending = False  # an INFO waits for its answer
        self._tone_over = True

    def start(self, now: float) -> None:
        """Send the first."""
        self.send_next(now)

    def responded(self, event: Responded, now: float) -> None:
        """What the gateway says to a digit."""
        self._pending = False
        if event.status >= 300:
            self.status = event.status
            response = event.response
            self.reason = reason_phrase(event.status) if response is None else response.reason
        self.apply(TAKEN if event.status < 300 else REFUSED, now)

    def timer_fired(self, what: int, now: float) -> None:
        """The tone or pause is over, or nobody says BYE."""
        self._timer = None
        self._tone_over = True
        self.apply(what, now)

    def caller_left(self, now: float) -> bool:
        """BYE before the last digit is no transfer; in the middle of it, it is."""
        if self.state == SENDING and self._at == len(self._signals):
            self.state = WAITING
        return self.apply(CALLER_LEFT, now)

    def send_next(self, now: float) -> None:
        """The next signal, once the one before is over."""
        if self._pending or not self._tone_over:
            return
        if self._at == len(self._signals):
            self.apply(LAST, now)
            return
        signal = self._signals[self._at]
        self._at += 1
        self._tone_over = False
        timing = self.call.server.config.transfer.outpulse
        if signal == PAUSE:
            self.start_timer(now, timing.comma_ms / 1000, TIME)
            return
        leg = self.call.caller
        body = f"Signal={signal}\r\nDuration={timing.tone_ms}\r\n".encode()
        try:
            leg.session.request(
                now, "INFO", self.call.server.agent_line, body, CONTENT_TYPE, context=self
            )
        except SipError as error:  # the caller is on its way out
            self.status, self.reason = 481, str(error)
            self.apply(REFUSED, now)
            return
        self._pending = True
        self.call.steps.sent(leg, "INFO", now, 0, f"Signal={signal}")
        self.start_timer(now, timing.tone_ms / 1000, TIME)


# Effects.


def _next(work: Outpulse, now: float) -> None:
    work.send_next(now)


def _wait_for_bye(work: Outpulse, now: float) -> None:
    call = work.call
    ecc = {} if call.variables is None else call.variables.ecc
    work.parting = _user_to_user(ecc.get(UUI, ""))
    if work.parting or any(name.startswith(GTD) for name in ecc):
        work.state = DONE
        call.departed(work, now)
        return
    work.start_timer(now, call.server.config.transfer.outpulse.bye_wait, NO_BYE)


def _no_bye(work: Outpulse, now: float) -> None:
    call = work.call
    call.log(now, "no_bye", f"after the digits of {work.destination}")
    if call.server.config.transfer.outpulse.without_bye == "end":
        work.state = DONE
        call.departed(work, now)
    else:
        work.status, work.reason = 408, "no BYE after the digits"
        work.failed(now)


def _user_to_user(text: str) -> str:
    """User-to-User (RFC 7433) for UUI, which is hex pairs already or any text."""
    if not text:
        return ""
    data = text if _HEX.fullmatch(text) else text.encode().hex()
    return f"User-to-User: {data};encoding=hex\r\n"


TABLE: Final[Table] = {
    SENDING: {
        TIME: (SENDING, (_next,)),
        TAKEN: (SENDING, (_next,)),
        REFUSED: (FAILED, (report_failure,)),
        LAST: (WAITING, (_wait_for_bye,)),
    },
    WAITING: {
        CALLER_LEFT: (DONE, (stop,)),
        NO_BYE: (FAILED, (_no_bye,)),
    },
    DONE: {},
    FAILED: {},
}
