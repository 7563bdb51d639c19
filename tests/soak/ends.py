"""What an end of a call saw of it, and whether the call's record says the same.

Right is:

- Each call that a phone placed and the server took in has exactly one record, and no other has.
- The record's legs are the dialogs that the ends had, each with the final response they saw.
- The result agrees with the caller's end: refused with the code in the record (`error`), gone
  before the answer or out of the queue (`abandoned`), up until somebody hung up (`completed`,
  or `transferred` where a target took the call or a REFER succeeded).

The sides may differ in one case: where a final response crosses a CANCEL (RFC 3261 9.1) who gave
up has not heard it in time. If it was an answer, it is acknowledged and followed by BYE.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.cdr_records import CdrRecord, LegRecord
from sip.usage.session import TERMINATED
from tests.simulator.flows.phones import Line

CANCELLED = 487
UNASKED = (420, 481)  # refused by the phone's stack, such as Replaces of what is over


@dataclass(frozen=True, slots=True)
class End:
    """One dialog, seen from a phone: `status` is the final response to its INVITE, 0 unknown.

    `left` says that this end hung up or gave up, `told` that the other did; `reason` is what
    it said then. `sent_on`: it was asked to go elsewhere, by REFER or by digits.
    """

    leg_id: str
    outgoing: bool
    number: str
    answered: bool
    status: int
    left: bool
    told: bool
    reason: str
    over: bool
    sent_on: bool = False

    @classmethod
    def of(cls, line: Line, number: str, refused: int, *, left: bool) -> "End":
        """The end that a phone's line saw; `refused` is what the phone turned it down with."""
        heard = set(line.heard)
        session = line.session
        if session.outgoing:
            answered = "Answered" in heard
            refusals = [status for status in line.statuses if status >= 300]
            status = 200 if answered else refusals[0] if refusals else 0
        else:
            answered = bool(heard & {"Acknowledged", "Hungup", "Closed", "Lost"}) and not refused
            status = 200 if answered else CANCELLED if "Cancelled" in heard else refused
        ends = [r for r in line.requests if r.method in ("BYE", "CANCEL")]
        return cls(
            session.dialog.call_id.partition("@")[0],
            session.outgoing,
            number,
            answered,
            status,
            left,
            bool(ends),
            (ends[-1].get("reason") or "") if ends else "",
            session.state == TERMINATED,
            line.refer is not None or any(r.method == "INFO" for r in line.requests),
        )


def judge(record: CdrRecord, ends: Sequence[End]) -> list[str]:
    """What is wrong with a record, given the ends of its legs; nothing when it is right."""
    by_leg = {end.leg_id: end for end in ends}
    wrong = [
        f"{leg.leg_id} has no end"
        for leg in record.legs
        if leg.leg_id not in by_leg and leg.sip_response_code not in UNASKED
    ]
    wrong += [f"{end} is not over" for end in ends if not end.over]
    for leg in record.legs:
        end = by_leg.get(leg.leg_id)
        if end is not None and not _agree(leg, end):
            wrong.append(f"{leg.leg_id} has {leg.sip_response_code}, its end saw {end}")
    caller = by_leg.get(record.legs[0].leg_id)
    if caller is not None:
        wrong += _result(record, caller, [end for end in ends if end is not caller])
    return [f"{record.call_guid} {record.call_result} {record.error_code}: {w}" for w in wrong]


def _agree(leg: LegRecord, end: End) -> bool:
    """Whether leg and end tell the same final response."""
    code = leg.sip_response_code
    if code in (end.status, None):
        return True
    if end.outgoing:  # the caller's CANCEL crossed our 200: it has acknowledged and hung up
        return code == 200 and end.left and not end.answered
    if code == CANCELLED:  # our CANCEL crossed what the callee said
        return end.told or end.left if end.answered else end.status >= 300
    return not end.status and code in (408, 503)


def _result(record: CdrRecord, caller: End, others: Sequence[End]) -> list[str]:
    """Whether the result is what the caller saw."""
    result, code = record.call_result, int(record.error_code or 0)
    if not caller.answered and record.legs[0].sip_response_code != 200:
        if result == "error" and caller.status not in (code, 480, 302):
            return [f"the caller got {caller.status}, the record says {code}"]
        if result == "abandoned" and not caller.left and caller.status != 480:
            return [f"the caller got {caller.status}, and never left"]
        return [] if result in ("error", "abandoned") else [f"the caller got {caller.status}"]
    if result == "error":
        told = caller.told and not caller.reason.startswith("Q.850;cause=16")
        return [] if told or code in (408, 481) or caller.left else ["the caller saw no error"]
    if result == "transferred":
        reached = caller.sent_on or any(end.answered for end in others)
        return [] if reached else ["nobody took the call"]
    if result == "abandoned":
        return [] if caller.left or caller.told else ["the caller never left"]
    return [] if caller.left or caller.told else ["nobody hung up"]
