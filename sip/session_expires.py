"""Session-Expires and Min-SE as values (RFC 4028 sections 4 and 5), like those of `sip.values`."""

from dataclasses import dataclass
from typing import Final

from sip.errors import InvalidValue
from sip.grammar import (
    Params,
    check_int,
    check_params,
    format_params,
    from_peer,
    param_text,
    parse_int,
    parse_token_params,
)

MIN_SE: Final = 90
"""Seconds: what Min-SE is where it is absent, and the least it may say (section 5)."""

_MAX_SECONDS: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """``1800;refresher=uac``: the session interval in seconds, and who refreshes.

    `refresher` is ``uac``, ``uas`` (of the transaction that this stands in), or empty: left
    open. `params` are extensions. Raises `InvalidValue`.
    """

    seconds: int
    refresher: str = ""
    params: Params = ()

    def __post_init__(self) -> None:
        check_int(self.seconds, "Session-Expires", _MAX_SECONDS)
        if self.refresher not in ("", "uac", "uas"):
            raise InvalidValue(f"refresher: {self.refresher!r} is neither uac nor uas")
        check_params(self.params, "Session-Expires parameters")

    @classmethod
    def parse(cls, text: str) -> "SessionExpires":
        """Read a Session-Expires value; raises `ParseError`."""
        number, params = parse_token_params(text, "Session-Expires")
        seconds = parse_int(number, "Session-Expires", _MAX_SECONDS)
        refresher = (param_text(params, "refresher") or "").lower()
        rest = tuple(param for param in params if param[0].lower() != "refresher")
        return from_peer(lambda: cls(seconds, refresher, rest))

    def __str__(self) -> str:
        refresher = f";refresher={self.refresher}" if self.refresher else ""
        return f"{self.seconds}{refresher}{format_params(self.params)}"


@dataclass(frozen=True, slots=True)
class MinSE:
    """``90``: the least session interval that somebody on the way takes, in seconds.

    `params` are extensions. Raises `InvalidValue`.
    """

    seconds: int
    params: Params = ()

    def __post_init__(self) -> None:
        check_int(self.seconds, "Min-SE", _MAX_SECONDS)
        check_params(self.params, "Min-SE parameters")

    @classmethod
    def parse(cls, text: str) -> "MinSE":
        """Read a Min-SE value; raises `ParseError`."""
        number, params = parse_token_params(text, "Min-SE")
        seconds = parse_int(number, "Min-SE", _MAX_SECONDS)
        return from_peer(lambda: cls(seconds, params))

    def __str__(self) -> str:
        return f"{self.seconds}{format_params(self.params)}"
