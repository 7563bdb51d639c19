"""Where tags, branches and Call-IDs come from: random octets that a test can seed."""

from collections.abc import Callable

from sip.message import MAGIC_COOKIE

_POOL_OCTETS = 2048


class IdSource:
    """Hexadecimal identifiers cut from a pool of random octets.

    `random_bytes` takes a number of octets (``os.urandom`` in the shell,
    ``random.Random(seed).randbytes`` in tests). One call serves hundreds of ids,
    which is what makes cryptographic randomness affordable for each message
    (RFC 3261 section 19.3 wants at least 32 bits in a tag).
    """

    __slots__ = ("_at", "_pool", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._pool = ""
        self._at = 0

    def hex(self, digits: int) -> str:
        """`digits` random hexadecimal digits, lower case."""
        at = self._at
        end = at + digits
        if end > len(self._pool):
            self._pool = self._random_bytes(_POOL_OCTETS).hex()
            at, end = 0, digits
        self._at = end
        return self._pool[at:end]

    def tag(self) -> str:
        """A From or To tag in the form a Call Server uses: ``ds`` and 8 digits [TN178]."""
        return "ds" + self.hex(8)

    def branch(self) -> str:
        """A Via branch with the magic cookie (RFC 3261 section 8.1.1.7)."""
        return MAGIC_COOKIE + self.hex(16)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        return int(self.hex(8), 16) % limit
