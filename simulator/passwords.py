"""Passwords as hashes: scrypt (RFC 7914) in the PHC string format.

    $scrypt$ln=14,r=8,p=1$SALT$HASH

`ln` is the binary logarithm of scrypt's N; salt and hash are Base64 without padding.
"""

import base64
import hashlib
import hmac
import re
import secrets
import sys
from dataclasses import dataclass, field
from getpass import getpass
from typing import Final

from simulator.errors import ServiceError

LOG_COST = 14
"""`ln` of new hashes: with r = 8 some 50 ms and 16 MiB."""

_BLOCK: Final = 8
_MOST: Final = 2**20
"""N * r * p at most: 128 MiB and half a second, as for ln=17,r=8,p=1."""

_FORM: Final = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_OTHERS: Final = re.compile(r"\$(argon2[a-z]*|pbkdf2[a-z0-9-]*|bcrypt[a-z0-9-]*|2[abxy]|[1567y])\$")
_FIX: Final = "make one by 'callsim password'"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The hash of one password, by scrypt's N = 2**`log_cost`, r = `block` and p = `parallel`."""

    log_cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str) -> "PasswordHash":
        """A new hash, with a salt of its own."""
        salt = secrets.token_bytes(16)
        return cls(LOG_COST, _BLOCK, 1, salt, _scrypt(password, LOG_COST, _BLOCK, 1, salt, 32))

    @classmethod
    def parse(cls, text: str) -> "PasswordHash":
        """Read the PHC form; ValueError, without the hash in it, says what is wrong."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"is not of the form $scrypt$ln=14,r=8,p=1$SALT$HASH; {_FIX}")
        log_cost, block, parallel = (int(part) for part in match.groups()[:3])
        if log_cost < 10 or block < 8 or parallel < 1:
            raise ValueError(f"is too easy to guess from: ln 10, r 8, p 1 are the least; {_FIX}")
        if block * parallel << log_cost > _MOST:
            raise ValueError(f"takes more than ln=17,r=8,p=1, which is the most; {_FIX}")
        salt, digest = _bytes(match[4]), _bytes(match[5])
        if not 8 <= len(salt) <= 64 or not 16 <= len(digest) <= 64:
            raise ValueError(f"is cut off: salt 8 to 64 bytes, hash 16 to 64; {_FIX}")
        return cls(log_cost, block, parallel, salt, digest)

    def __str__(self) -> str:
        costs = f"ln={self.log_cost},r={self.block},p={self.parallel}"
        return f"$scrypt${costs}${_text(self.salt)}${_text(self.digest)}"

    @property
    def cost(self) -> int:
        """What a comparison takes, to compare hashes by."""
        return self.block * self.parallel << self.log_cost

    def matches(self, password: str) -> bool:
        """Whether it is the hash of `password`; takes its time, without the interpreter's lock."""
        size = len(self.digest)
        found = _scrypt(password, self.log_cost, self.block, self.parallel, self.salt, size)
        return hmac.compare_digest(found, self.digest)


def _scrypt(
    password: str, log_cost: int, block: int, parallel: int, salt: bytes, size: int
) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=2**log_cost,
        r=block,
        p=parallel,
        maxmem=256 * _MOST,  # OpenSSL's own limit is 32 MiB
        dklen=size,
    )


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def is_hash(text: str) -> bool:
    """Whether a configured password is a hash, good or not; no plain one begins so."""
    return text.startswith("$scrypt$") or _OTHERS.match(text) is not None


def check_password(text: str) -> str:
    """`text`, a password or the hash of one; ValueError, without either in it."""
    if not text or not text.isprintable():
        raise ValueError("must be text, not empty, without control characters")
    if text.startswith("$scrypt$"):
        PasswordHash.parse(text)
    elif is_hash(text):
        raise ValueError(f"is a hash that is not scrypt's; {_FIX}")
    return text


def hash_of(password: str) -> PasswordHash:
    """The hash of a configured password, which may be one already."""
    return PasswordHash.parse(password) if is_hash(password) else PasswordHash.of(password)


def read_password() -> str:
    """A password from the terminal, where it does not show, or a line of standard input.

    Raises ServiceError for one that cannot be used.
    """
    try:
        if sys.stdin.isatty():
            password = getpass("Password: ")
            if getpass("Again: ") != password:
                raise ServiceError("the two passwords differ; try again")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
    except (EOFError, UnicodeDecodeError):
        password = ""  # nosec B105 # none was given, which is refused
    if not password or not password.isprintable():
        raise ServiceError("a password is text in UTF-8, not empty, without control characters")
    return password
