"""Whose fault it is, is in the type.

``LocalError``: the program that uses the stack asked for something that is not
possible now or was never well-formed; nothing was sent.
``PeerError``: what arrived on the wire cannot be accepted; it carries the status
code and the reason phrase with which a request is to be answered.
"""


class SipError(Exception):
    """Base of every error that `sip` raises."""


class LocalError(SipError):
    """The caller's own doing: nothing was sent and no state has changed."""


class InvalidState(LocalError):
    """The operation does not fit the present state of the session."""


class InvalidValue(LocalError, ValueError):
    """A value that cannot stand in a SIP message; the text names it and the fix."""


class PeerError(SipError):
    """A peer's message that cannot be accepted.

    `status` is the code to answer a request with (a response is dropped),
    `reason` its reason phrase (RFC 3261 section 21), `lines` further header lines, each
    ended by CRLF.
    """

    def __init__(self, reason: str, status: int = 400, lines: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.lines = lines


class Unanswered(PeerError):
    """A request that gets no answer: who sent it may not be who it says, or is not to know."""


class ParseError(PeerError, ValueError):
    """Text that does not follow the grammar (RFC 3261 section 25)."""
