"""Wrong passwords are counted and slowed; who is known is not kept waiting by them."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.auth import MOST_CHECKED
from api.errors import ApiError
from api.logins import KEPT_SECONDS, MAX_ADDRESSES, FailedLogins
from simulator.audit_trail import KEPT, Requester
from simulator.config_base import User
from simulator.login_trail import MOST_LOGINS
from simulator.passwords import PasswordHash
from tests.api.support import USER, Client, FakeCallServer, Reply, basic, run, serving

CALLS = "/cvp/rest/call"
OTHER = User("other", "also right", "read")


@pytest.fixture(autouse=True)
def long_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address has one entry in the trail, however long a test takes."""
    monkeypatch.setattr("simulator.login_trail.INTERVAL", 10**9)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait(logins: FailedLogins, address: str = "10.0.0.1") -> int:
    """The seconds that an address has to wait."""
    try:
        logins.check(address)
    except ApiError as error:
        return int(error.headers["Retry-After"])
    return 0


# -- the table -----------------------------------------------------------------------------


def test_the_wait_doubles_and_ends_at_a_minute() -> None:
    clock = Clock()
    logins = FailedLogins(3, clock)
    waits = []
    for _ in range(12):
        logins.charge("10.0.0.1")
        waits.append(wait(logins))
        clock.now += waits[-1]
        assert wait(logins) == 0
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert logins.slowed == 10


def test_failures_are_forgotten_after_a_while() -> None:
    clock = Clock()
    logins = FailedLogins(1, clock)
    logins.charge("10.0.0.1")
    assert (wait(logins), logins.addresses) == (1, 1)
    clock.now += KEPT_SECONDS
    assert logins.addresses == 0
    logins.charge("10.0.0.1")
    assert wait(logins) == 1  # as after the first


def test_one_address_does_not_slow_another() -> None:
    logins = FailedLogins(1, Clock())
    logins.charge("10.0.0.1")
    logins.charge("2001:db8:0:1::1")
    assert wait(logins, "10.0.0.1") == wait(logins, "::ffff:10.0.0.1") == 1
    assert wait(logins, "2001:db8:0:1:ffff::2") == 1  # the same /64
    assert wait(logins, "10.0.0.2") == wait(logins, "2001:db8:0:2::1") == wait(logins, "") == 0


def test_a_right_password_does_not_count() -> None:
    logins = FailedLogins(2, Clock())
    for _ in range(10):
        logins.refund("10.0.0.1", logins.charge("10.0.0.1"))
    assert (wait(logins), logins.addresses) == (0, 0)


def test_a_right_password_does_not_end_the_wait_for_a_wrong_one() -> None:
    clock = Clock()
    logins = FailedLogins(1, clock)
    right = logins.charge("10.0.0.1")
    clock.now += wait(logins)  # it waits for its hash all the while
    wrong = logins.charge("10.0.0.1")
    assert wait(logins) == 2
    logins.refund("10.0.0.1", right)
    assert wait(logins) == 2
    logins.refund("10.0.0.1", wrong)
    assert wait(logins) == 0


def test_the_table_is_bounded_and_the_longest_quiet_goes_first() -> None:
    clock = Clock()
    logins = FailedLogins(1, clock)
    for number in range(MAX_ADDRESSES + 100):
        logins.charge(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number == 200:
            logins.charge("10.0.0.0")
    assert len(logins._addresses) == MAX_ADDRESSES
    assert wait(logins, "10.0.0.1") == 0
    assert wait(logins, "10.0.0.0") == 2  # it came again
    assert wait(logins, f"10.0.{MAX_ADDRESSES >> 8}.0") == 1


def test_none_is_slowed_where_the_setting_says_so() -> None:
    logins = FailedLogins(0, Clock())
    for _ in range(1000):
        logins.charge("10.0.0.1")
    assert (wait(logins), logins.addresses) == (0, 0)


# -- over HTTP -----------------------------------------------------------------------------


@pytest.fixture
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.app.FailedLogins", lambda free: FailedLogins(free, Clock()))


async def guess(client: Client, password: object, name: str = USER.name) -> Reply:
    return await client("get", CALLS, headers=basic(User(name, str(password))))


async def known(client: Client) -> int:
    """The status for the user of the tests, who has logged in before."""
    return (await client("get", CALLS)).status


@pytest.mark.usefixtures("time_stands_still")
@run
async def test_after_some_wrong_passwords_an_address_is_slowed() -> None:
    async with serving(FakeCallServer(), users=(USER, OTHER), failed_logins=3) as client:
        assert await known(client) == 200
        for number in range(3):
            (await guess(client, number)).error(401)
        reply = await guess(client, "another")
        assert "127.0.0.1; try again in 1 s" in reply.error(429, "TOO_MANY_FAILED_LOGINS")
        assert reply.headers["Retry-After"] == "1"
        (await guess(client, OTHER.password, OTHER.name)).error(429)  # right, but not known yet
        assert await known(client) == 200
        shown = (await client("get", "/sim/v1/statistics")).json["logins"]
        assert shown == {"failed": 3, "slowed": 2, "busy": 0, "addresses": 1}
        assert (await client("post", "/sim/v1/reset")).status == 200
        assert (await guess(client, OTHER.password, OTHER.name)).status == 200


@run
async def test_the_same_wrong_password_is_hashed_and_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeCallServer()
    with counted(monkeypatch) as hashed:
        async with serving(fake, failed_logins=3) as client:
            for _ in range(20):  # a client that was given an old password, say
                (await guess(client, "old")).error(401)
            assert await known(client) == 200
            shown = (await client("get", "/sim/v1/statistics")).json["logins"]
    assert hashed == ["old", USER.password]
    assert shown["failed"] == 20
    assert [entry.attempts for entry in fake.administration.logins.entries] == [1]


@contextmanager
def counted(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event | None = None
) -> Iterator[list[str]]:
    """The passwords that are hashed; each waits for `gate`, if there is one."""
    hashed: list[str] = []
    matches = PasswordHash.matches

    def counting(self: PasswordHash, password: str) -> bool:
        if gate is not None:
            gate.wait(60)
        hashed.append(password)
        return matches(self, password)

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHash, "matches", counting)
        yield hashed


@run
async def test_those_who_come_at_once_with_one_password_cost_one_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with counted(monkeypatch) as hashed:
        async with serving(FakeCallServer(), failed_logins=1) as client:
            replies = await asyncio.gather(*[known(client) for _ in range(50)])
    assert replies == [200] * 50
    assert hashed == [USER.password]


@pytest.mark.usefixtures("time_stands_still")
@run
async def test_many_wrong_passwords_at_once_do_not_slip_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with counted(monkeypatch) as hashed:
        async with serving(FakeCallServer(), failed_logins=3) as client:
            replies = await asyncio.gather(*[guess(client, number) for number in range(20)])
    assert sorted(reply.status for reply in replies) == [401] * 3 + [429] * 17
    assert len(hashed) == 3


@run
async def test_the_queue_for_the_hashes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    async with serving(FakeCallServer(), failed_logins=0) as client:
        assert await known(client) == 200
        with counted(monkeypatch, gate) as hashed:
            waiting = [asyncio.create_task(guess(client, n)) for n in range(MOST_CHECKED + 5)]
            done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 5:
                more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                done |= more
            for task in done:
                reply = task.result()
                reply.error(503, "LOGINS_BUSY")
                assert reply.headers["Retry-After"] == "1"
            assert await known(client) == 200
            gate.set()
            replies = await asyncio.gather(*pending)
        shown = (await client("get", "/sim/v1/statistics")).json["logins"]
    assert [reply.status for reply in replies] == [401] * MOST_CHECKED
    assert len(hashed) == MOST_CHECKED
    assert (shown["busy"], shown["failed"]) == (5, MOST_CHECKED)


@run
async def test_what_is_no_password_at_all_does_not_count() -> None:
    async with serving(FakeCallServer(), failed_logins=1) as client:
        for sent in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic !"}) * 5:
            (await client("get", CALLS, login=False, headers=sent)).error(401)
        assert await known(client) == 200


def test_the_log_and_the_trail_tell_it_without_passwords(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FakeCallServer()

    @run
    async def attempt() -> None:
        async with serving(fake, failed_logins=2) as client:
            await guess(client, "topsecret")
            await guess(client, "x", "geheimes-passwort")  # typed in the wrong place, say
        await fake.administration.logins.close()

    with caplog.at_level(logging.INFO, "api"):
        attempt()
    assert "127.0.0.1 is slowed: 2 wrong passwords came from there" in caplog.text
    (entry,) = fake.administration.logins.entries
    assert (entry.address, entry.attempts, entry.users) == ("127.0.0.1", 2, (USER.name,))
    (told,) = [one.getMessage() for one in caplog.records if one.name == "simulator.changes"]
    assert json.loads(told)["attempts"] == 2
    for secret in ("topsecret", "geheimes-passwort"):
        assert secret not in caplog.text


@pytest.mark.parametrize("end", ["\0", "\0\0", "\x7f", "\n"])
@run
async def test_a_password_with_a_control_character_is_no_other_way_to_write_it(end: str) -> None:
    """HMAC pads its key with zeros, so that scrypt takes "x" and "x\\0" for the same."""
    fake = FakeCallServer()
    async with serving(fake, failed_logins=1) as client:
        for name, password in ((USER.name, USER.password + end), (USER.name + end, "x")):
            details = (await guess(client, password, name)).error(401)
            assert details == "name and password must be without control characters; leave them out"
        assert await known(client) == 200  # it was no attempt
    assert fake.administration.logins.entries == []


@run
async def test_whoever_guesses_pushes_no_change_out_of_the_trail() -> None:
    fake = FakeCallServer()
    await fake.administration.trail.record(Requester("ada"), "create", "thing", "1")
    for number in range(MOST_LOGINS + KEPT):
        fake.administration.logins.record(f"10.0.{number >> 8}.{number & 255}", "r", None)
    async with serving(fake, failed_logins=0) as client:
        for number in range(3):
            (await guess(client, number)).error(401)
        shown = (await client("get", "/sim/v1/audit")).json
        two = (await client("get", "/sim/v1/audit?limit=2")).json["failedLogins"]
    assert (shown["totalEntries"], [one["id"] for one in shown["entries"]]) == (1, ["1"])
    last = shown["failedLogins"][-1]
    assert last.pop("first") <= last.pop("last")
    assert last.pop("requestId")
    assert last == {"address": "127.0.0.1", "attempts": 3, "users": [USER.name]}
    assert len(two) == 2
    assert len(fake.administration.logins.entries) == MOST_LOGINS
