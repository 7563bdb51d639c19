"""Whether the record of a call says what its ends saw.

Right is:

- The legs of a record are the dialogs that phones had, each with the final response they saw.
- An unanswered caller: who gave up has `abandoned`; who was refused `error`, with that code (or,
  where it got 302, the code of what failed); terminated by a command: as its reason says.
- An answered caller who said BYE: `transferred` where it had accepted a REFER that had not
  failed, or got all digits; `abandoned` where the last that the script began was a queue (a
  callback keeps its place there), and its media have gone to nobody but the voice gateway since;
  else `completed`.
- An answered caller who was told BYE: `error` with the code in Reason, or for the reason of a
  command; else another end said BYE in that moment (`completed`, with the cause that says so),
  or the caller had two seconds after its good news of a REFER, five after the last digit
  (`transferred`), or its party was moved to the call of another one.
- Who has asked for a callback and was not reached any more: `abandoned`.
- Once the caller has been joined to the target of a transfer `completed` and `abandoned` become
  `transferred`; such a transfer is in the record in the moment in which the caller agreed, and
  no other is.
- The record ends when the caller's end did.

Tolerance: what happens within `CROSSING` of each other may be told in either order, as packets
take `delay` seconds; an agent who has hung up before the caller agreed to it may count as
partner or not; who gives up in the moment of the answer is answered
(RFC 3261 9.1); and a phone that has told its parties to talk to each other may hang up before it
hears what came of it.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from scenarios.flows.plan import PLAN
from simulator.cdr_events import (
    BLIND_TRANSFER,
    CALL_ABANDON,
    CALL_TRANSFER,
    CALL_TRANSFERRED,
    CALLBACK_REQUESTED,
    CALLED_PARTY_DISCONNECTED,
    ERROR,
    NORMAL_COMPLETION,
    RUN_SCRIPT,
    STATUS_CAUSES,
)
from simulator.cdr_records import CallResult, CdrRecord, LegRecord
from simulator.outpulse import PAUSE, outpulsed
from simulator.refer import BYE_WAIT
from tests.soak.ends import CANCELLED, End
from tests.soak.mix_plan import ERROR_NUMBER, QUEUES, VOICE

CROSSING: Final = 0.1
"""Seconds: several times the way of a packet."""

REFER_PATIENCE: Final[float] = PLAN["transfer"]["ring_no_answer"]
DIGITS_PATIENCE: Final = 5.0
UNASKED: Final = (420, 481)  # refused by the phone's stack, such as Replaces of what is over

_CAUSE: Final = re.compile(r"SIP;cause=(\d+)")

Outcome = tuple[CallResult, int]
"""Result and CauseID."""


@dataclass(slots=True)
class Asked:
    """What commands did to one call: the reason that it was terminated for, labels of digits."""

    terminated: str = ""
    digits: list[tuple[float, str]] = field(default_factory=list)


def judge(
    record: CdrRecord,
    ends: Sequence[End],
    asked: Asked,
    epoch: float,
    unheard: Collection[str] = (),
) -> list[str]:
    """What is wrong with a record, given the ends of its legs; nothing when it is right.

    `epoch` is the time of the record at which the clock of the ends is 0. Ends that are
    `unheard` (by leg) cannot tell how they ended.
    """
    by_leg = {end.leg_id: end for end in ends}
    wrong = [
        f"{leg.leg_id} has no end"
        for leg in record.legs
        if leg.leg_id not in by_leg and leg.sip_response_code not in UNASKED
    ]
    wrong += [f"{end} is not over" for end in ends if not end.over]
    for leg in record.legs:
        end = by_leg.get(leg.leg_id)
        if end is not None and leg.leg_id not in unheard and not _agree(leg, end):
            wrong.append(f"{leg.leg_id} has {leg.sip_response_code}, its end saw {end}")
    if record.legs and record.legs[0].leg_id in by_leg:
        wrong += _Case(record, by_leg, asked, epoch).wrong()
    text = f"{record.call_guid} to {record.called_number}: {record.call_result}"
    text = f"{text}, code {record.error_code}, cause {record.cause_id}"
    return [f"{text}: {one}" for one in wrong]


def _agree(leg: LegRecord, end: End) -> bool:
    """Whether leg and end tell the same final response."""
    code = leg.sip_response_code
    if (leg.answer_time is not None) != (code == 200):
        return False
    if code == end.status:
        return True
    if code == CANCELLED and end.answered:  # given up before the answer was there: BYE at once
        return end.ended_by == "server"
    if code == CANCELLED and end.status >= 300:  # CANCEL crossed that, or waited for it
        return end.cancelled or leg.duration <= 1000 * CROSSING
    return False


class _Case:
    """One record beside its ends; `caller` is the caller's end that was the last."""

    def __init__(self, record: CdrRecord, ends: dict[str, End], asked: Asked, epoch: float) -> None:
        self.record = record
        self.ends = ends
        self.asked = asked
        self.started = record.call_start_time / 1000 - epoch
        self.ended = record.call_end_time / 1000 - epoch
        self.code = int(record.error_code or 0)
        self.first = ends[record.legs[0].leg_id]
        self.called_back = any(mark[1] == CALLBACK_REQUESTED for mark in record.marks)
        back = [leg for leg in record.legs if leg.kind == "callback" and leg.answer_time]
        self.away = self.called_back and not back
        self.caller = ends.get(back[-1].leg_id, self.first) if back else self.first
        self.back_at = (back[-1].answer_time or 0) / 1000 - epoch if back else 0.0
        self.moves = [
            self.started + mark[0] / 1000 for mark in record.marks if mark[1] == CALL_TRANSFER
        ]
        self.sent_off = any(mark[1] == BLIND_TRANSFER for mark in record.marks)

    def wrong(self) -> list[str]:
        record = self.record
        found = []
        outcomes = self.outcomes()
        if (record.call_result, record.cause_id) not in outcomes:
            found.append(f"is to be {sorted(outcomes)}, by {self.caller} and {self.ends}")
        if record.call_result in ("completed", "transferred") and self.code:
            found.append("has a code")
        if not self.away and self.caller.ended_at:
            apart = abs(self.caller.ended_at - self.ended)
            if apart > CROSSING:
                found.append(f"ended {apart:.3f} s from the caller's end: {self.caller}")
        return found + self._moves()

    def _moves(self) -> list[str]:
        """Whether the caller was joined to new parties when the record says so."""
        if self.first.moved:
            return []
        found = []
        partners = [*self.first.partners, *(self.caller.partners * (self.caller != self.first))]
        for at in self.moves:
            if not any(_near(partner.at, at) for partner in partners):
                found.append(f"nobody took the call at {at:.3f}: {partners}")
        targets = {leg.leg_id for leg in self.record.legs if leg.leg_type == "transfer"}
        known: set[str] = set()
        for partner in partners:
            back = partner.leg_id in known  # after a hold, or a transfer that came to nothing
            known.add(partner.leg_id)
            if back or partner.leg_id not in targets:
                continue
            if any(_near(partner.at, at) for at in self.moves):
                continue
            if not self._gone(partner.leg_id, partner.at + CROSSING) and not _near(
                partner.at, self.ended
            ):
                found.append(f"joined to {partner}, of which the record knows nothing")
        if self.sent_off and not self.caller.referrals and not self.caller.digits:
            found.append("the caller was not sent elsewhere")
        return found

    def outcomes(self) -> set[Outcome]:
        """The results that fit to what the ends saw: one, unless something crossed."""
        if self.first.status != 200:
            return self._unanswered()
        if self.asked.terminated:
            return {self._terminated("completed")}
        if self.away:
            return {("abandoned", CALL_ABANDON)} if self.first.ended_by == "server" else set()
        at = self.caller.ended_at
        if self.caller.ended_by == "phone":
            return self._caller_left(at)
        if self.caller.ended_by == "server":
            return self._released(at)
        return set()

    def _unanswered(self) -> set[Outcome]:
        status = self.first.status
        if status == CANCELLED and self.first.left:
            return {("abandoned", CALL_ABANDON)} if self.code == CANCELLED else set()
        if self.asked.terminated and status == 480:
            return {self._terminated("abandoned")}
        redirected = status == 302 and self.code >= 300
        return {self._error} if redirected or (status >= 300 and self.code == status) else set()

    def _terminated(self, otherwise: CallResult) -> Outcome:
        if self.asked.terminated in ("error", "timeout"):
            return self._error
        if otherwise == "abandoned":
            return ("abandoned", CALL_ABANDON)
        return self._over("completed", NORMAL_COMPLETION)

    @property
    def _error(self) -> Outcome:
        return ("error", STATUS_CAUSES.get(self.code, ERROR))

    def _over(self, result: CallResult, cause: int) -> Outcome:
        """A call that was transferred stays one."""
        moved = bool(self.moves) or self.sent_off
        return ("transferred", CALL_TRANSFERRED) if moved else (result, cause)

    # The caller has hung up.

    def _caller_left(self, at: float) -> set[Outcome]:
        referrals = self.caller.referrals
        if referrals and referrals[-1].number == ERROR_NUMBER:
            return {self._error}
        departed = self._departed(at)
        found: set[Outcome] = set()
        if departed is not False or self.first.handing_over:
            found.add(("transferred", CALL_TRANSFERRED))
        if departed is not True:
            found |= self._plainly_left(at)
        if (
            self.code
            and any(  # its failure was under way to the caller
                0 < self.record.call_end_time - leg.end_time <= 1000 * CROSSING
                for leg in self.record.legs[1:]
            )
        ):
            found.add(self._error)
        return found

    def _departed(self, at: float) -> bool | None:
        """Whether the caller has gone where it was sent to; None: it crossed the outcome."""
        referral = self.caller.referrals[-1] if self.caller.referrals else None
        if referral is not None and referral.accepted and referral.status < 300:
            if referral.accepted > at:
                return False
            late = (referral.told or at) - (referral.at + REFER_PATIENCE)
            if abs(late) <= CROSSING:
                return None
            if late < 0:
                return True
        return self._pulsed(at)

    def _pulsed(self, at: float) -> bool | None:
        """Whether all digits were sent to the caller."""
        if not self.asked.digits:
            return False
        since, label = self.asked.digits[-1]
        found = outpulsed(label)
        assert found is not None
        tones = len(found[1].replace(PAUSE, "")) + (found[0] == "HF")
        sent = len([tone for tone in self.caller.digits if since - CROSSING <= tone <= at])
        return True if sent >= tones else None if sent == tones - 1 else False

    def _plainly_left(self, at: float) -> set[Outcome]:
        run = [
            (self.started + mark[0] / 1000, mark[4])
            for mark in self.record.marks
            if mark[1] == RUN_SCRIPT and self.started + mark[0] / 1000 >= self.back_at
        ]
        waiting: Outcome = ("completed", NORMAL_COMPLETION)
        if (run and run[-1][1] in QUEUES) or (self.called_back and not run):  # its place is kept
            waiting = ("abandoned", CALL_ABANDON)
        since = run[-1][0] if run else self.back_at
        met = [
            partner
            for partner in self.caller.partners
            if partner.leg_id and partner.at >= since and not partner.number.startswith(VOICE)
        ]
        if not met:
            return {self._over(*waiting)}
        found = {self._over("completed", NORMAL_COMPLETION)}
        if self._gone(met[-1].leg_id, at):
            found.add(self._over(*waiting))
        return found

    def _gone(self, leg_id: str, at: float) -> bool:
        end = self.ends.get(leg_id)
        return end is not None and 0.0 < end.ended_at < at

    # The caller was hung up on.

    def _released(self, at: float) -> set[Outcome]:
        code = _CAUSE.search(self.caller.reason)
        if code is not None:
            return {self._error} if int(code[1]) == self.code else set()
        if not self.caller.reason.startswith("Q.850;cause=16"):
            return {self._error} if self.code else set()  # of a REFER that failed
        found: set[Outcome] = set()
        for end in self.ends.values():
            if end is not self.caller and end.ended_by == "phone" and _near(end.ended_at, at):
                found.add(self._over("completed", CALLED_PARTY_DISCONNECTED))
        referral = self.caller.referrals[-1] if self.caller.referrals else None
        informed = referral is not None and 200 <= referral.status < 300
        if referral is not None and informed and _near(referral.told + BYE_WAIT, at):
            found.add(("transferred", CALL_TRANSFERRED))
        if self._pulsed(at) and at - self.caller.digits[-1] >= DIGITS_PATIENCE - CROSSING:
            found.add(("transferred", CALL_TRANSFERRED))
        if self.first.moved:
            found.add(("transferred", CALL_TRANSFERRED))
        return found


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= CROSSING
