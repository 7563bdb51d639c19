"""HTTP Basic (RFC 7617): who may ask.

Passwords are kept as scrypt hashes only. A hash costs some 50 ms, so it is computed in a
thread of its own, away from the calls, one for each name and password that are new; these are
known again by a keyed digest, whether they were right or wrong.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from api.errors import ApiError
from api.files import PASSWORD_FILE, read_private, write_private
from api.headers import request_id
from api.keys import LOOPBACK, REQUESTER, SERVER
from api.logins import Charge, FailedLogins, network_of
from simulator.audit_trail import Requester
from simulator.config_base import Role, User
from simulator.passwords import PasswordHash, hash_of, is_hash

MOST_CHECKED: Final = 16
"""Logins that wait for their hash at a time; more get 503."""

_MOST_WRONG: Final = 1000  # wrong ones that are known again
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")
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
        self._stand_ins = [
            replace(one, digest=secrets.token_bytes(len(one.digest)))
            for one in self._hashes.values()
        ]
        # The same after a restart, as the costs of the users are. Only hashes make it: they differ
        # in cost only where some are configured, and passwords could be guessed from what it does.
        configured = sorted(user.password for user in users if is_hash(user.password))
        self._stand_in_key = hashlib.sha256("\n".join(configured).encode()).digest()
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
        charge = self._failed.charge(address)
        task = asyncio.create_task(self._check(digest, name, password, address, charge))
        self._checking[digest] = task
        return task

    def _stand_in(self, name: str) -> PasswordHash:
        """What an unknown name is compared with: always at the same cost, which a user has too.

        Were it one cost for all of them, the names at another would be known for users' by time.
        """
        digest = hmac.digest(self._stand_in_key, name.encode(), "sha256")
        return self._stand_ins[int.from_bytes(digest) % len(self._stand_ins)]

    async def _check(
        self, digest: bytes, name: str, password: str, address: str, charge: Charge
    ) -> Login | None:
        hashed = self._hashes.get(name) or self._stand_in(name)
        loop = asyncio.get_running_loop()
        try:
            right = await loop.run_in_executor(self._thread, hashed.matches, password)
        finally:
            del self._checking[digest]
        if right:
            self._failed.refund(address, charge)
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
    if _CONTROL.search(text):  # RFC 7617, 2; HMAC, and so scrypt, takes "x" and "x\0" for the same
        raise _refused("name and password must be without control characters; leave them out")
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
                    logins = request.app[SERVER].administration.logins
                    logins.record(network_of(address), request_id(request), wrong.user)
                raise
            request[REQUESTER] = Requester(login.name, address, request_id(request), login.role)
        return await handler(request)

    return authenticate


def _on_loopback(request: web.Request) -> bool:
    address = request.transport.get_extra_info("sockname") if request.transport else None
    return isinstance(address, tuple) and address[:2] in request.app[LOOPBACK]
