"""SIP Sessions: the dialogs behind the calls, one for each leg."""

import sys
from typing import Final

from api.keys import CallServer
from api.models import SipSessionDetail, SipSessions, SipSessionsQuery
from api.operations import Operations

sessions: Final = Operations("SIP Sessions")


@sessions.add("GET", "/sip/session", "sessions")
async def list_sip_sessions(server: CallServer, query: SipSessionsQuery) -> SipSessions:
    """SIP sessions, the oldest first.

    totalSessions counts all, not only those listed.
    """
    total, found = server.sessions(min(query.limit, sys.maxsize))
    return SipSessions.model_validate({"total_sessions": total, "sessions": found})


@sessions.add(
    "GET", "/sip/session/{sessionId}", "session details", errors={404: "session not found"}
)
async def get_sip_session(server: CallServer, session_id: str) -> SipSessionDetail:
    """One SIP session with its tags, addresses and times."""
    return SipSessionDetail.model_validate(server.session(session_id))
