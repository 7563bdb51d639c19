"""What the two sides of a call say of it must fit together, whatever was lost on the way.

Right is:

- Each session has ended, exactly once: refused, cancelled, hung up by the peer, or by a BYE
  of its own. Nothing is left in any table, and no rule of RFC 3261 was broken on the wire.
- The caller was refused with the status that the callee gave, or cancelled where the callee
  was cancelled.
- An answered call was answered on both sides. Whoever was hung up has a peer who sent BYE.
  Both may have sent one: they crossed, or one side got 408 or 481 and gave up (12.2.1.2).

The RFC lets the sides differ in one case: a caller that gave up (408) after 64*T1 without
a final response (17.1.1.2, 9.1) cannot know what the callee did. Then a callee that
answered has ended the call by itself, for want of an ACK (13.3.1.4) or of the dialog.
"""

from collections import Counter

from sip.events import Cancelled, Closed, Hungup, Lost, Refused
from sip.usage.invite import InviteSession
from sip.usage.session import TERMINATED
from tests.soak.calls import Play

REJECTED = "rejected with"
NO_ANSWER = "gave up without an answer"
CANCELLED = "cancelled"
HUNG_UP = "was hung up"
BYE = "sent BYE"
NEVER_HEARD = "never heard of it"


def end_of(play: Play, session: InviteSession) -> str:
    """How a session ended, in the words above. Raises AssertionError if it did not, or twice."""
    events = play.events[session]
    ends = [HUNG_UP for event in events if isinstance(event, Hungup)]
    ends += [BYE for event in events if isinstance(event, Closed)]
    ends += [CANCELLED for event in events if isinstance(event, Cancelled)]
    if session in play.rejected:
        ends.append(f"{REJECTED} {play.rejected[session]}")
    elif not ends and any(isinstance(event, Lost) for event in events):
        ends.append(f"{REJECTED} 504")  # no PRACK came, or one too late (RFC 3262 section 3)
    if session.outgoing and not ends:
        refused = next(event for event in events if isinstance(event, Refused))
        ends.append(_refusal(refused))
    assert session.state == TERMINATED, f"{session} has not ended: {events}"
    assert len(ends) == 1, f"{session} ended as {ends}"
    return ends[0]


def _refusal(refused: Refused) -> str:
    if refused.response is None:
        return NO_ANSWER
    return CANCELLED if refused.status == 487 else f"{REJECTED} {refused.status}"


def fits(caller: str, callee: str) -> bool:
    """Whether the ends of both sides are those of one call."""
    if caller == NO_ANSWER:
        return callee != HUNG_UP
    if BYE in (caller, callee):
        return {caller, callee} <= {BYE, HUNG_UP}
    return caller == callee != HUNG_UP


def judge(play: Play) -> tuple[Counter[str], list[str]]:
    """How the calls ended, counted, and what is wrong."""
    wrong = [f"broke a rule: {text}" for text in play.log.rules.broken]
    wrong += [f"raised: {error!r}" for error in play.network.errors]
    wrong += [f"{p.name} has left {p.leftovers()}" for p in play.parties if p.leftovers()]
    callees = {s.dialog.call_id: s for s in play.sessions if not s.outgoing}
    ends: Counter[str] = Counter()
    for caller in [session for session in play.sessions if session.outgoing]:
        callee = callees.pop(caller.dialog.call_id, None)
        try:
            words = [end_of(play, caller), end_of(play, callee) if callee else NEVER_HEARD]
        except AssertionError as error:
            wrong.append(str(error))
            continue
        ends[f"caller {words[0]}, callee {words[1]}"] += 1
        if not fits(words[0], words[1]):
            wrong.append(f"call {caller.dialog.call_id}: {words}")
    return ends, wrong + [f"{session} has no caller" for session in callees.values()]
