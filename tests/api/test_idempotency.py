import asyncio

import pytest

from api.errors import Answer, ApiError
from api.idempotency import KEPT_SECONDS, Answers
from simulator.config_base import User
from tests.api.support import GUID, RINGING_GUID, USER, FakeCallServer, basic, run, serving

TERMINATE = f"/cvp/rest/call/{GUID}/terminate"
TRANSFER = f"/cvp/rest/call/{GUID}/transfer"
KEY = {"Idempotency-Key": "one"}


@run
async def test_the_same_key_gives_the_same_answer() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        body = {"destination": "2001"}
        first = await client("post", TRANSFER, json=body, headers=KEY)
        again = await client("post", TRANSFER, json=body, headers=KEY)
        assert (first.status, first.text) == (again.status, again.text)
        assert len(fake.asked) == 1
        await client("post", TRANSFER, json=body, headers={"Idempotency-Key": "two"})
        await client("post", TRANSFER, json=body)
        assert len(fake.asked) == 3


@run
async def test_an_error_is_repeated_as_well() -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        path = f"/cvp/rest/call/{RINGING_GUID}/transfer"
        first = await client("post", path, json={"destination": "1"}, headers=KEY)
        first.error(409)
        again = await client("post", path, json={"destination": "1"}, headers=KEY)
        assert again.text == first.text
    assert len(fake.asked) == 1


@run
async def test_another_body_is_refused_and_another_path_or_user_is_not() -> None:
    fake = FakeCallServer()
    users = (USER, User("second", "x"))
    async with serving(fake, users=users) as client:
        await client("post", TERMINATE, json={"reason": "error"}, headers=KEY)
        reply = await client("post", TERMINATE, json={"reason": "timeout"}, headers=KEY)
        assert "Idempotency-Key" in reply.error(409, "IDEMPOTENCY_KEY_REUSED")
        await client("post", TRANSFER, json={"destination": "2001"}, headers=KEY)
        await client("post", TERMINATE, json={"reason": "timeout"}, headers=KEY | basic(users[1]))
    assert [one[0] for one in fake.asked] == ["terminate", "transfer", "terminate"]


@run
async def test_the_second_waits_while_the_first_is_under_way() -> None:
    fake = FakeCallServer(release=asyncio.Event())
    assert fake.release is not None
    async with serving(fake) as client, asyncio.TaskGroup() as group:
        both = [group.create_task(client("post", TERMINATE, headers=KEY)) for _ in range(2)]
        await fake.entered.wait()
        fake.release.set()
        replies = [await one for one in both]
    assert replies[0].text == replies[1].text
    assert len(fake.asked) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e4"])
@run
async def test_a_key_is_visible_text(key: str) -> None:
    fake = FakeCallServer()
    async with serving(fake) as client:
        reply = await client("post", TERMINATE, headers={"Idempotency-Key": key})
        reply.error(400)
    assert fake.asked == []


def answered(status: int = 200) -> Answer:
    return Answer(status, b"{}")


@run
async def test_answers_are_forgotten_in_time_and_when_there_are_too_many() -> None:
    now = 0.0
    answers = Answers(kept=2, clock=lambda: now)
    runs: list[str] = []

    async def once(key: str) -> None:
        async def produce() -> Answer:
            runs.append(key)
            return answered()

        await answers.once(key, b"", produce)

    for key in ("a", "b", "a", "c", "b", "a"):  # c drives a out, a drives b out
        await once(key)
    assert runs == ["a", "b", "c", "a"]
    now = KEPT_SECONDS + 1
    await once("a")
    assert runs[-1] == "a"
    assert len(runs) == 5


@run
async def test_what_is_under_way_is_never_forgotten() -> None:
    answers = Answers(kept=1)
    release = asyncio.Event()

    async def slow() -> Answer:
        await release.wait()
        return answered(201)

    async def quick() -> Answer:
        return answered()

    first = asyncio.create_task(answers.once("slow", b"", slow))
    await asyncio.sleep(0)
    await answers.once("quick", b"", quick)
    second = asyncio.create_task(answers.once("slow", b"", quick))
    await asyncio.sleep(0)
    release.set()
    assert (await first).status == (await second).status == 201


@run
async def test_a_fault_of_ours_can_be_tried_again() -> None:
    answers = Answers()
    statuses = iter([500, 200])

    async def produce() -> Answer:
        return answered(next(statuses))

    assert (await answers.once("key", b"", produce)).status == 500
    assert (await answers.once("key", b"", produce)).status == 200


@run
async def test_a_cancelled_command_leaves_nothing_behind() -> None:
    answers = Answers()

    async def never() -> Answer:
        await asyncio.Event().wait()
        raise ApiError(500, "unreachable")

    async def quick() -> Answer:
        return answered()

    task = asyncio.create_task(answers.once("key", b"", never))
    waiting = asyncio.create_task(answers.once("key", b"", never))
    await asyncio.sleep(0)
    task.cancel()
    results = await asyncio.gather(task, waiting, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in results)
    assert (await answers.once("key", b"", quick)).status == 200
