"""Requests that name another dialog, looked up in the dialog table (RFC 3891, RFC 4538)."""

from collections.abc import Mapping
from typing import Final

from sip.errors import InvalidState, PeerError
from sip.message import Request, reason_phrase
from sip.replaces import Replaces, TargetDialog
from sip.usage.invite import InviteSession
from sip.usage.session import CONFIRMED, TERMINATED, Session

_NULL_TAG: Final = "0"


def replaces_of(session: Session, *, early_only: bool = False) -> Replaces:
    """What is to be told to somebody who shall replace us towards the peer of `session`.

    Raises InvalidState before there is a dialog.
    """
    dialog = session.dialog
    if dialog.remote_tag is None:
        raise InvalidState("replaces: there is no dialog yet")
    return Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag, early_only)


def find_replaced(replaces: Replaces, sessions: Mapping[str, Session]) -> InviteSession:
    """The session of the dialog table that is to be replaced (RFC 3891 section 3).

    Raises PeerError with 481, 486 or 603 by the rules of that section. An early dialog can
    be replaced only at the end that sent its INVITE.
    """
    session = sessions.get(replaces.to_tag)
    if (
        not isinstance(session, InviteSession)
        or session.dialog.call_id != replaces.call_id
        or not _same_tag(session.dialog.remote_tag, replaces.from_tag)
    ):
        raise PeerError(reason_phrase(481), 481)
    if session.state == TERMINATED or session.leaving:
        raise PeerError("The dialog to replace is over", 603)
    if session.state == CONFIRMED:
        if replaces.early_only:
            raise PeerError("The dialog to replace is answered", 486)
    elif not session.outgoing:
        raise PeerError("The dialog to replace is early and not of our making", 481)
    return session


def _same_tag(ours: str | None, named: str) -> bool:
    """A peer of RFC 2543 has no tag: "0" stands for that (RFC 3891 section 3)."""
    return ours == named or (named == _NULL_TAG and not ours)


def replaced_by(request: Request, sessions: Mapping[str, Session]) -> InviteSession | None:
    """The session that an INVITE wants to replace; None where it has no Replaces.

    Raises PeerError with the status that section 3 of RFC 3891 has for it.
    """
    values = request.values("replaces")
    if not values:
        return None
    if len(values) > 1:
        raise PeerError("Replaces stands more than once", 400)
    return find_replaced(Replaces.parse(values[0]), sessions)


def target_dialog(request: Request, sessions: Mapping[str, Session]) -> Session | None:
    """The live session that Target-Dialog names (RFC 4538 section 4), if there is one.

    Both tags have to be right; senders differ in whose they call local, so that either
    order is taken: whoever knows both knows the dialog. Raises ParseError.
    """
    values = request.values("target-dialog")
    if len(values) != 1:
        return None
    named = TargetDialog.parse(values[0])
    tags = (named.local_tag, named.remote_tag)
    for ours, theirs in (tags, tags[::-1]):
        session = sessions.get(ours)
        if session is not None and not session.leaving:
            dialog = session.dialog
            if dialog.call_id == named.call_id and dialog.remote_tag == theirs:
                return session
    return None
