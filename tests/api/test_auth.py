import base64
import stat
from pathlib import Path

import pytest

from api.app import create_app
from api.auth import Credentials, first_user
from api.errors import ApiError
from api.keys import ApiOptions
from simulator.config_base import User
from tests.api.support import USER, FakeCallServer, basic, run, serving
from tests.api.test_operations import REQUESTS


def header(name: str, password: str) -> str:
    return basic(User(name, password))["Authorization"]


WRONG = [
    None,
    "",
    "Basic",
    "Basic !",
    "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    "Basic " + base64.b64encode(b"no colon").decode(),
    header(USER.name, ""),
    header(USER.name, "wrong"),
    header("nobody", USER.password),
    header(USER.name, f"{USER.password} "),
    "Bearer token",
    header(USER.name, USER.password).replace("Basic", "Digest"),
]


@pytest.mark.parametrize("sent", WRONG)
@run
async def test_wrong_credentials_are_refused(sent: str | None) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        headers = {} if sent is None else {"Authorization": sent}
        for path in ("/cvp/rest/call", "/nowhere", "/"):
            reply = await client("get", path, login=False, headers=headers)
            reply.error(401, "UNAUTHORIZED")
            assert reply.headers["WWW-Authenticate"].startswith('Basic realm="')
    assert fake.asked == []


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, _ in REQUESTS])
@run
async def test_every_operation_of_the_contract_asks_for_a_password(method: str, path: str) -> None:
    async with serving(FakeCallServer()) as client:
        reply = await client(method, f"/cvp/rest{path}", login=False)
        reply.error(401)


@run
async def test_credentials_are_checked_once_by_hash_and_then_known() -> None:
    credentials = Credentials([USER, User("other", "secret")])
    good = header(USER.name, USER.password)
    hashed: list[str] = []
    hash_password = credentials._hash
    credentials._hash = lambda password: hashed.append(password) or hash_password(password)  # type: ignore[func-returns-value,method-assign]
    for _ in range(3):
        assert await credentials.user(good) == USER.name
    assert hashed == [USER.password]
    for _ in range(2):  # what is wrong is never remembered
        with pytest.raises(ApiError, match="wrong"):
            await credentials.user(header(USER.name, "wrong"))
    assert hashed[1:] == ["wrong", "wrong"]
    assert await credentials.user(header("other", "secret")) == "other"
    credentials.close()


def test_no_password_is_kept_in_memory() -> None:
    credentials = Credentials([USER])
    assert USER.password not in repr(vars(credentials))
    assert USER.password.encode() not in repr(vars(credentials)).encode()
    credentials.close()


def test_without_a_user_there_is_no_application() -> None:
    with pytest.raises(ValueError, match="no user"):
        create_app(FakeCallServer(), ApiOptions(users=()))


@run
async def test_health_can_be_public() -> None:
    async with serving(FakeCallServer(), health_public=True) as client:
        for path in ("/cvp/rest/health", "/cvp/rest/health/connectivity"):
            assert (await client("get", path, login=False)).status == 200
        (await client("get", "/cvp/rest/call", login=False)).error(401)
        (await client("post", "/cvp/rest/health", login=False)).error(401)
        paths = (await client("get", "/openapi.json", login=False)).json["paths"]
        assert {} in paths["/health"]["get"]["security"]
        assert "security" not in paths["/call"]["get"]


@run
async def test_two_users_may_have_one_password() -> None:
    users = (User("a", "same"), User("b", "same"))
    async with serving(FakeCallServer(), users=users) as client:
        for user in users:
            reply = await client("get", "/cvp/rest/call", headers=basic(user))
            assert reply.status == 200


def test_the_first_password_is_made_once_and_kept_private(tmp_path: Path) -> None:
    user, new = first_user(tmp_path / "new" / "data")
    again, not_new = first_user(tmp_path / "new" / "data")
    assert (new, not_new) == (True, False)
    assert again == user
    assert len(user.password) >= 20
    file = tmp_path / "new" / "data" / "password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["password"]
    assert first_user(tmp_path / "other")[0].password != user.password


def test_a_password_file_that_others_can_read_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("me:mine\n")
    file.chmod(0o644)
    assert first_user(tmp_path) == (User("me", "mine"), False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "no colon", ":x", "\xff"])
def test_a_spoilt_password_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="password does not hold NAME:PASSWORD"):
        first_user(tmp_path)
