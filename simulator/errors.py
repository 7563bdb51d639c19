"""Errors of the call server's commands; each says which field is wrong and the fix."""


class CallServerError(Exception):
    """Base of what a command may raise; nothing has changed then."""


class CallNotFound(CallServerError, LookupError):
    """No active call has this GUID."""


class RecordNotFound(CallServerError, LookupError):
    """No call that has ended has this GUID."""


class CursorUnknown(CallServerError, LookupError):
    """No page of records ended where this cursor says that one did."""


class ReportTooLong(CallServerError):
    """A report was given up, so that others have their turn; the text says how to narrow it."""


class SessionNotFound(CallServerError, LookupError):
    """No SIP session has this id."""


class AgentNotFound(CallServerError, LookupError):
    """No agent has this extension or agent id."""


class SkillGroupNotFound(CallServerError, LookupError):
    """No skill group has this name."""


class TraceNotFound(CallServerError, LookupError):
    """Nothing is kept of the messages of this call; the text says why."""


class BanNotFound(CallServerError, LookupError):
    """No source with this address is banned."""


class PhoneNotSimulated(CallServerError):
    """The agent's phone is none of the simulated ones of this process."""


class CallNotQueued(CallServerError):
    """The call waits in no queue."""


class CallStateError(CallServerError):
    """The call's present state does not allow the operation."""


class NotAdmitted(CallServerError):
    """The server takes no new call now."""


class RecordNotStored(CallServerError):
    """The command was carried out, but the CDR store has not taken the record in time."""


class ServiceError(Exception):
    """The server, or a command, cannot start; the text names the option and the fix."""


class PlanEntryNotFound(CallServerError, LookupError):
    """The plan has no entry with this id."""


class PlanConflict(CallServerError):
    """The change does not fit to what is there; the text says to what, and the fix."""


class PlanNotStored(CallServerError):
    """The change could not be written to disk, so it was not made."""


class EventsGone(CallServerError):
    """The events behind a cursor are not kept any more; the text says which are."""


class TooManyReaders(CallServerError):
    """One more reader of events would be too many."""


class FaultNotFound(CallServerError, LookupError):
    """No fault rule has this name."""


class FaultConflict(CallServerError):
    """The name of a fault rule is taken, or there are too many."""
