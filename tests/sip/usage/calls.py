"""Calls brought to a certain point, for the tests of the usages."""

from sip.events import Acknowledged, Answered, Hungup, Invited, Reinvited
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED
from tests.support.builders import request_text, response_text
from tests.support.network import ANSWER, OFFER, Network, Party, Stranger

__all__ = ["ANSWER", "OFFER"]

Sides = tuple[InviteSession, InviteSession]

SOON = 0.1  # a few round trips, less than any timer


def ringing(caller: Party, callee: Party) -> tuple[InviteSession, InviteSession]:
    """A call that rings: both sides of it."""
    session = caller.call(callee)
    caller.network.run(SOON)
    peer = callee.take(Invited).session
    peer.ring(callee.now)
    caller.network.run(SOON)
    caller.events.clear()
    return session, peer


def established(caller: Party, callee: Party) -> tuple[InviteSession, InviteSession]:
    """A call that is answered and acknowledged."""
    session, peer = ringing(caller, callee)
    peer.answer(callee.now, ANSWER)
    caller.network.run(SOON)
    caller.take(Answered)
    session.acknowledge(caller.now)
    caller.network.run(SOON)
    callee.take(Acknowledged)
    caller.network.log.clear()
    return session, peer


def automatic(*parties: Party) -> None:
    """Parties that answer calls and offers, acknowledge, and confirm BYE by themselves."""
    for party in parties:
        party.handler = _react


def _react(event: object, now: float) -> None:
    if isinstance(event, Answered):
        event.session.acknowledge(now)
    elif isinstance(event, Invited | Reinvited):
        event.session.answer(now, ANSWER)
    elif isinstance(event, Hungup):
        event.session.confirm_bye(now)


def with_stranger(alice: Party, carol: Stranger) -> InviteSession:
    """A call to a stranger who has answered."""
    session = alice.call(carol)
    alice.network.run(SOON)
    contact = f"Contact: <{carol.uri}>\r\n"
    carol.send(alice, response_text(carol.requests("INVITE")[0], 200, "c", contact))
    alice.network.run(SOON)
    alice.take(Answered)
    session.acknowledge(alice.now)
    alice.network.run(SOON)
    return session


def in_dialog(
    session: InviteSession, method: str, number: int, headers: dict[str, str | None] | None = None
) -> bytes:
    """A request of the stranger in the dialog."""
    dialog = session.dialog
    return request_text(
        method,
        {
            "From": dialog.remote,
            "To": dialog.local,
            "Call-ID": dialog.call_id,
            "CSeq": f"{number} {method}",
            "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK{number}{method}",
            **(headers or {}),
        },
    )


def end(network: Network, session: InviteSession) -> None:
    """Hang up, and look at the tables."""
    automatic(*network.parties)
    if session.state == CONFIRMED:
        session.bye(network.now)
    network.settle()
