"""The address of a peer on a stream: a tuple, as sockets want it, that says more.

Its own module, as a subclass of tuple is what mypyc cannot compile; and none of
``tuple[str, int]``, which compiled code would take apart and lose the rest of.
"""

from typing import TYPE_CHECKING, Any, Literal, overload


class PeerAddress(tuple[str | int, ...]):
    """An address with what a stream has to know besides; it is equal to the plain address.

    `domain` is what the certificate of a TLS server there must speak for (RFC 5922);
    `otherwise` where to connect to once the connection with that address is gone.
    """

    domain: str
    otherwise: "PeerAddress | None"

    def __new__(
        cls, host: str, port: int, domain: str, otherwise: "PeerAddress | None" = None
    ) -> "PeerAddress":
        """The address, with its domain."""
        made = super().__new__(cls, (host, port))
        made.domain = domain
        made.otherwise = otherwise
        return made

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __getitem__(self, index: Literal[0], /) -> str: ...
        @overload
        def __getitem__(self, index: Literal[1], /) -> int: ...
        def __getitem__(self, index: Any, /) -> Any: ...
