"""The VXML gateway (voice browser), which also plays ringback and the error message."""

from typing import ClassVar

from simulator.lab.call import LabCall
from simulator.lab.endpoint import LabEndpoint

RINGTONE = "9191"
ERROR = "9292"


class VxmlGateway(LabEndpoint):
    """Answers any call and holds it until BYE.

    Options, which may change while it runs: `seconds` is the length of its application,
    after which it hangs up (None: it never does); `answer_delay` the seconds before it
    answers; `refuse` a status that it refuses calls with (0: none). Numbers that begin
    with 9191 get ringback, which has no end of its own; with 9292 the error message, of
    `error_seconds`.
    """

    user_agent: ClassVar[str] = "Callsim-Lab/VXML-Gateway"

    seconds: float | None = None
    error_seconds: float | None = 2.0
    answer_delay: float = 0.0
    refuse: int = 0

    def invited(self, call: LabCall, now: float) -> None:
        """Refuse, or answer after the delay."""
        if self.refuse:
            call.reject(self.refuse)
        else:
            call.answer_after(self.answer_delay)

    def call_established(self, call: LabCall, now: float) -> None:
        """The application begins; it hangs up when it is done."""
        seconds = self.seconds
        if call.number.startswith(RINGTONE):
            seconds = None
        elif call.number.startswith(ERROR):
            seconds = self.error_seconds
        if seconds is not None:
            call.hang_up_after(seconds)
