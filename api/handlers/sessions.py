"""SIP Sessions: the dialogs behind the calls, one for each leg."""

import sys
from typing import Final

from api.keys import CallServer
from api.listing import Json, Listing
from api.models import SipSessionDetail, SipSessions, SipSessionsQuery
from api.operations import Operations
from simulator.views import SessionView

sessions: Final = Operations("SIP Sessions")

_SESSIONS: Final = Listing(SipSessions, SessionView)


@sessions.add("GET", "/sip/session", "sessions")
async def list_sip_sessions(server: CallServer, query: SipSessionsQuery) -> Json[SipSessions]:
    """SIP sessions, the oldest first.

    totalSessions counts all, not only those listed.
    """
    total, found = server.sessions(min(query.limit, sys.maxsize))
    return await _SESSIONS.of(total, found)


@sessions.add(
    "GET", "/sip/session/{sessionId}", "session details", errors={404: "session not found"}
)
async def get_sip_session(server: CallServer, session_id: str) -> SipSessionDetail:
    """One SIP session with its tags, addresses and times."""
    return SipSessionDetail.model_validate(server.session(session_id))
