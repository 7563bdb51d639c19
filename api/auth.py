"""HTTP Basic (RFC 7617): who may ask.

Passwords are kept as scrypt hashes only. A hash costs some 50 ms, so it is computed in a
thread of its own, away from the calls, one for each name and password that are new; these are
known again by a keyed digest, whether they were right or wrong.
"""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from api.errors import ApiError
from api.files import read_private, write_private
from api.headers import request_id
from api.keys import LOOPBACK, REQUESTER, ROLE, SERVER
from api.logins import FailedLogins
from simulator.audit_trail import Requester
from simulator.config_base import Role, User
from simulator.passwords import hash_of

PASSWORD_FILE: Final = "password"
MOST_CHECKED: Final = 16
"""Logins that wait for their hash at a time; more get 503."""

_MOST_WRONG: Final = 1000  # wrong ones that are known again
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


class Login(NamedTuple):
    """A user whose password was right."""

    name: str
    role: Role


class WrongPassword(ApiError):
    """401; `user` is there, None: no user of ours. `new`: it is not that of a former attempt."""

    def __init__(self, user: str | None, *, new: bool) -> None:
        super().__init__(401, "name or password is wrong", headers=_CHALLENGE)
        self.user = user
        self.new = new


class Credentials:
    """The users, and whether a name and password are theirs; `failed` is who has tried."""

    def __init__(self, users: Iterable[User], failed: FailedLogins) -> None:
        users = list(users)
        if not users:
            raise ValueError("no user is configured: nobody could log in")
        self._failed = failed
        self._hashes = {user.name: hash_of(user.password) for user in users}
        self._roles = {user.name: user.role for user in users}
        # Compared with for an unknown name, so that this takes no less than for a known one.
        slowest = max(self._hashes.values(), key=lambda one: one.cost)
        self._nobody = replace(slowest, digest=secrets.token_bytes(len(slowest.digest)))
        self._digest_key = secrets.token_bytes(32)
        self._right: dict[bytes, Login] = {}
        self._wrong: dict[bytes, None] = {}
        self._checking: dict[bytes, asyncio.Task[Login | None]] = {}
        self._thread = ThreadPoolExecutor(1, "password")

    async def login(self, header: str | None, address: str) -> Login:
        """Whose ``Authorization`` header this is, from `address`. ApiError 401, 429 and 503."""
        if header is None:
            raise _refused("send a name and password by HTTP Basic")
        name, password = _decode(header)
        text = f"{name}:{password}".encode()
        digest = hmac.digest(self._digest_key, text, "sha256")
        known = self._right.get(digest)
        if known is not None:
            return known
        checking = self._checking.get(digest)
        new = False
        if checking is None:
            self._failed.check(address)
            new = digest not in self._wrong
            if new:
                checking = self._begin(digest, name, password, address)
        login = None if checking is None else await asyncio.shield(checking)
        if login is not None:
            return login
        self._failed.failed += 1
        raise WrongPassword(name if name in self._hashes else None, new=new)

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(
        self, digest: bytes, name: str, password: str, address: str
    ) -> "asyncio.Task[Login | None]":
        """Have them checked; who sends the same meanwhile waits for the same task. ApiError 503."""
        if len(self._checking) >= MOST_CHECKED:
            self._failed.busy += 1
            details = "too many logins are being checked; try again in a second"
            raise ApiError(503, details, code="LOGINS_BUSY", headers={"Retry-After": "1"})
        self._failed.charge(address)
        task = asyncio.create_task(self._check(digest, name, password, address))
        self._checking[digest] = task
        return task

    async def _check(self, digest: bytes, name: str, password: str, address: str) -> Login | None:
        hashed = self._hashes.get(name, self._nobody)
        loop = asyncio.get_running_loop()
        try:
            right = await loop.run_in_executor(self._thread, hashed.matches, password)
        finally:
            del self._checking[digest]
        if right:
            self._failed.refund(address)
            login = self._right[digest] = Login(name, self._roles[name])
            return login
        self._wrong[digest] = None
        if len(self._wrong) > _MOST_WRONG:
            del self._wrong[next(iter(self._wrong))]
        return None


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
            address = request.remote or ""
            try:
                login = await credentials.login(header, address)
            except WrongPassword as wrong:
                if wrong.new:
                    await _tell(request, wrong.user)
                raise
            request[REQUESTER] = Requester(login.name, address, request_id(request))
            request[ROLE] = login.role
        return await handler(request)

    return authenticate


async def _tell(request: web.Request, user: str | None) -> None:
    """Record a login that failed. Names that are no user's may be passwords: they stay out."""
    who = Requester(user or "", request.remote or "", request_id(request))
    trail = request.app[SERVER].administration.trail
    await trail.record(who, "refuse", "login", user or "unknown user")


def _on_loopback(request: web.Request) -> bool:
    address = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(address, tuple) and address[:2] in request.app[LOOPBACK]
