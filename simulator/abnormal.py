"""The line that the field looks for first: how a call ended that did not end well [CAG8]."""

from typing import TYPE_CHECKING

from simulator.leg import CALLERS

if TYPE_CHECKING:
    from simulator.call import Call

_MARKER = "--CVP"  # the gateway's script puts it behind the name in Remote-Party-ID


def note_abnormal_end(call: "Call", reason: str, now: float) -> None:
    """Add it to the history of `call`, and so to the log.

    `reason` is the value of the Reason header. The labels of the legs that were called stand
    with their SIP codes, -1 where there was none.
    """
    labels = "".join(
        f"{leg.number}|{leg.status or -1};" for leg in call.legs if leg.kind not in CALLERS
    )
    marked = str(bool(survivable(call))).lower()
    text = (
        f"ABNORMALLY ENDING - SIP code [{call.error_code}], Reason Hdr [{reason}], "
        f"GW call using SURV TCL flag [{marked}], NON NORMAL flag [true], "
        f"DNIS [{call.called}], ANI [{call.calling}], "
        f"AGE (msecs) [{round((now - call.started) * 1000)}], Call History : {labels or '-1;'}"
    )
    call_log = call.server.call_log
    if call_log.on and "remote-party-id:" not in call.passed.lower():
        missing = "Call is missing an RPID header. No survivability in use."
        call_log.note(call, "no_rpid", missing)
    call.log(now, "abnormal_end", text)


def survivable(call: "Call") -> bool | None:
    """Whether the caller's gateway can rescue the call; None where it does not say."""
    for line in call.passed.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "remote-party-id":
            return _MARKER in value.partition("<")[0]
    return None
