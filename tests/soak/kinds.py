"""What kinds of calls there were: each flow of `scenarios.flows`, found again in a history.

A history is a text here, one line ``EVENT DETAILS`` for each entry.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

DENIED: Final = "maximum-calls"
"""This one leaves no history: the caller is told 503."""

_SIGNS: Final[Mapping[str, str]] = {
    "standalone": r"^connected standalone$",
    "call-director": r"\Aoffered \S+ to 6\S+\n(?:ringing \S+\n)*connected ",
    "agent-hangs-up": r"^ended (?:callee|agent|transfer) hung up",
    "direct-route": r"^connected 2000$",
    "refused": r"^connect_failed (9\d{3}: SIP \d{3}) .*\n(?:no_rpid .*\n)?"
    r"abnormal_end .*\nended SIP ",
    "no-route": r"^no_route label ",
    "caller-cancels": r"^cancelled",
    "ring-no-answer": r"^connect_failed \S+: SIP 408 ring no answer\n(?s:.*)^ended SIP 408 ",
    "terminate-by-rest": r"^connected (?s:.*)^ended terminated: ",
    "terminate-while-ringing": r"\A(?:(?!connected|self_service|queued).*\n)*ringing .*\n"
    r"(?:(?!connected|self_service|queued).*\n)*terminate ",
    "hold-by-the-caller": r"^on_hold by the caller$",
    "comprehensive": r"^self_service (?s:.*)^queued (?s:.*)^ringtone (?s:.*)^connected ",
    "self-service-only": r"^self_service \S+\n(?:(?!queued|connected|transferring).*\n)*"
    r"ended the caller hung up",
    "self-service-by-digits": r"^RUN_SCRIPT_RESULT menu .*caller_input=",
    "caller-leaves-the-queue": r"^queued \S+\n(?:(?!connected|transferring).*\n)*"
    r"ended the caller hung up",
    "busy-and-requery": r"^requery RequeryStatus 2 ",
    "no-answer-and-requery": r"^requery RequeryStatus 3 ",
    "courtesy-callback": r"^callback_answered ",
    "gateway-refuses": r"^connect_failed 77\d+: SIP (?:404|503)",
    "error-number-by-302": r"^redirected 302 to ",
    "error-number-by-refer": r"^transferring error number ",
    "survivability": r"^abnormal_end .*SURV TCL flag \[true\]",
    "whisper": r"^whisper \d+ ",
    "greeting": r"^greeting \d+ ",
    "blind-transfer": r"^(?!referred ).*\ntransferring blind to (\d+)$(?s:.*?)"
    r"^transfer_completed \1$",
    "blind-transfer-fails": r"^transferring blind to (\d+)$(?s:.*?)^transfer_failed \1: ",
    "transfer-by-refer": r"^transfer_completed \S+ by REFER$",
    "refer-fails": r"^transferring REFER to (\S+)$(?s:.*?)^transfer_failed \1: ",
    "vru-return": r"^transferring blind to ([37]\d+)$(?s:.*?)^transfer_completed \1$",
    "phone-blind-transfer": r"^referred by the \w+ to (\d+)$(?s:.*?)^transfer_completed \1$",
    "phone-attended-transfer": r"^referred by the \w+, to call (?s:.*?)^transfer_completed ",
    "consultation": r"^transferring consultation to (\S+)$(?:\n(?!consulting).*)*?"
    r"\ntransfer_completed \1$",
    "consultation-completed": r"^consulting (\S+)$(?s:.*?)^transfer_completed \1$",
    "consultation-cancelled": r"^consulting (\S+)$(?s:.*?)"
    r"^transfer_failed \1: SIP 487 cancelled by a command",
    "digits-to-the-gateway": r"^transfer_completed \S+ by (?:digits|two|hookflash)",
    "hold-by-rest": r"^on_hold by the operator$(?s:.*?)^\w+ resumed by the operator$",
    # Not among the flows.
    "consultation-by-replaces": r"^transfer_completed \S+ by REFER with Replaces$",
    "vru-return-by-correlation-id": r"^vru_returned as call ",
    "router-of-the-user": r"^script ask webhook: (?!not asked)",
}
SIGNS: Final = {name: re.compile(sign, re.MULTILINE) for name, sign in _SIGNS.items()}


def kinds_of(history: Iterable[tuple[float, str, str]]) -> list[str]:
    """The flows that a call has been through."""
    text = "".join([f"{event} {details}".rstrip() + "\n" for _, event, details in history])
    return [name for name, sign in SIGNS.items() if sign.search(text)]
