"""HTTP Basic (RFC 7617): who may ask.

Passwords are kept as scrypt hashes only. A hash costs some 50 ms, so it is computed in a
thread of its own, away from the calls, and credentials that were right once are known again
by a keyed digest.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from api.errors import ApiError
from api.files import read_private, write_private
from api.keys import LOOPBACK, USER
from simulator.config_base import User

PASSWORD_FILE: Final = "password"
SCRYPT_COST = 2**14

_FIRST_USER: Final = "admin"
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="callsim", charset="UTF-8"'}


def first_user(data_dir: Path) -> tuple[User, bool]:
    """The user for a server that has none configured, and whether it was made just now.

    The password stays in the file ``password`` of `data_dir`, mode 0600, as NAME:PASSWORD.
    ValueError when that file is not of this form.
    """
    path = data_dir / PASSWORD_FILE
    kept = read_private(path)
    if kept is None:
        user = User(_FIRST_USER, secrets.token_urlsafe(16))
        write_private(path, f"{user}\n".encode())
        return user, True
    try:
        return User.parse(kept.decode().strip()), False
    except ValueError:
        raise ValueError(f"{path} does not hold NAME:PASSWORD; mend or delete it") from None


class Credentials:
    """The users, and whether a name and password are theirs."""

    def __init__(self, users: Iterable[User]) -> None:
        self._salt = secrets.token_bytes(16)
        self._hashes = {user.name: self._hash(user.password) for user in users}
        if not self._hashes:
            raise ValueError("no user is configured: nobody could log in")
        self._nobody = self._hash(secrets.token_hex())
        self._digest_key = secrets.token_bytes(32)
        self._known: dict[bytes, str] = {}
        self._thread = ThreadPoolExecutor(1, "password")

    async def user(self, header: str | None) -> str:
        """The name of the user whose ``Authorization`` header this is; ApiError 401."""
        if header is None:
            raise _refused("send a name and password by HTTP Basic")
        digest = hmac.digest(self._digest_key, header.encode("utf-8", "surrogateescape"), "sha256")
        known = self._known.get(digest)
        if known is not None:
            return known
        name, password = _decode(header)
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._thread, self._right, name, password):
            raise _refused("name or password is wrong")
        self._known[digest] = name
        return name

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _right(self, name: str, password: str) -> bool:
        """Takes as long for an unknown name as for a known one."""
        same = hmac.compare_digest(self._hash(password), self._hashes.get(name, self._nobody))
        return same and name in self._hashes

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=SCRYPT_COST, r=8, p=1)


def _decode(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    name, colon, password = text.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise _refused("the Authorization header is not Basic with NAME:PASSWORD in Base64")
    return name, password


def _refused(details: str) -> ApiError:
    return ApiError(401, details, headers=_CHALLENGE)


def authentication(
    credentials: Credentials, public: frozenset[str], probes: frozenset[str]
) -> Middleware:
    """A middleware that asks for a password.

    It does not for the `public` paths, nor for `probes` on a loopback listener.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else None
        if not (path in public or (path in probes and _on_loopback(request))):
            header = request.headers.get(hdrs.AUTHORIZATION)
            request[USER] = await credentials.user(header)
        return await handler(request)

    return authenticate


def _on_loopback(request: web.Request) -> bool:
    address = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(address, tuple) and address[:2] in request.app[LOOPBACK]
