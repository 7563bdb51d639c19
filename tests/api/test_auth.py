import base64
import stat
from pathlib import Path

import pytest

from api.app import create_app
from api.auth import Credentials, WrongPassword, first_user
from api.keys import ApiOptions
from api.logins import FailedLogins
from simulator import passwords
from simulator.config_base import User
from simulator.passwords import PasswordHash
from tests.api.support import USER, FakeCallServer, basic, run, serving
from tests.api.test_operations import REQUESTS

SALTED = "$scrypt$ln=10,r=8,p=1$c29kaXVtY2hsb3JpZGU$" + "A" * 43


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
async def test_credentials_are_checked_once_by_hash_and_then_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed: list[str] = []
    matches = PasswordHash.matches

    def counting(self: PasswordHash, password: str) -> bool:
        hashed.append(password)
        return matches(self, password)

    monkeypatch.setattr(PasswordHash, "matches", counting)
    other = User("other", "secret", "read")
    credentials = Credentials([USER, other], FailedLogins(20))
    good = header(USER.name, USER.password)
    for sent in (good, good, good.replace("Basic ", "basic  ")):
        assert await credentials.login(sent, "10.0.0.1") == (USER.name, "admin")
    assert hashed == [USER.password]
    for new in (True, False):
        with pytest.raises(WrongPassword) as caught:
            await credentials.login(header(USER.name, "wrong"), "10.0.0.1")
        assert (caught.value.user, caught.value.new) == (USER.name, new)
    with pytest.raises(WrongPassword) as caught:
        await credentials.login(header("nobody", USER.password), "10.0.0.1")
    assert caught.value.user is None
    assert hashed[1:] == ["wrong", USER.password]
    assert await credentials.login(header("other", "secret"), "10.0.0.1") == ("other", "read")
    credentials.close()


@run
async def test_a_password_may_be_configured_as_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LOG_COST", 10)
    text = str(PasswordHash.of(USER.password))
    users = (User(USER.name, text), User("plain", "secret"))
    async with serving(FakeCallServer(), users=users) as client:
        assert (await client("get", "/cvp/rest/call")).status == 200
        reply = await client("get", "/cvp/rest/call", headers=basic(users[0]))
        reply.error(401)  # the hash is not the password
        assert (await client("get", "/cvp/rest/call", headers=basic(users[1]))).status == 200


def test_an_unknown_name_costs_what_one_of_the_users_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is one of users' alone, and a name has the same one after a restart too."""
    monkeypatch.setattr(passwords, "LOG_COST", 11)
    slow = PasswordHash.of("x")
    users = [User("a", str(slow)), User("b", SALTED)]
    fast = PasswordHash.parse(SALTED).cost
    names = [f"name {number}" for number in range(200)]
    found = []
    for given in (users, users, users[::-1]):
        credentials = Credentials(given, FailedLogins(20))
        found.append([credentials._stand_in(name).cost for name in names])
        assert not any(credentials._stand_in(name).matches("x") for name in names[:8])
        credentials.close()
    assert found[0].count(slow.cost) > 50 < found[0].count(fast)
    assert found[1] == found[0]


def test_no_password_is_kept_in_memory() -> None:
    credentials = Credentials([USER], FailedLogins(20))
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
