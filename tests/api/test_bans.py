"""GET and DELETE /sim/v1/bans: whom SIP does not hear, and who lifted that."""

from datetime import datetime, timedelta

from tests.api.support import USER, Client, FakeCallServer, run, serving

BANS = "/sim/v1/bans"
THIEF, OTHER = "203.0.113.66", "2001:db8:0:1::66"


def banning() -> FakeCallServer:
    """A server that has banned two sources."""
    fake = FakeCallServer()
    screen = fake.administration.server.sources.screen
    for host in (THIEF, OTHER):
        for number in range(20):
            screen.wrong_password((host, 5060), "1001", f"guess {number}", 0.0)
    screen.bans[THIEF].refused = 7
    return fake


async def addresses(client: Client) -> list[str]:
    reply = await client("get", BANS)
    assert reply.status == 200, reply.text
    return [ban["address"] for ban in reply.json["bans"]]


@run
async def test_nobody_is_banned() -> None:
    async with serving(FakeCallServer()) as client:
        assert await addresses(client) == []
        reply = await client("delete", BANS)
        assert (reply.status, reply.json) == (200, {"bans": []})
        assert (await client("get", "/sim/v1/audit")).json["totalEntries"] == 0


@run
async def test_a_ban_says_all() -> None:
    async with serving(banning()) as client:
        reply = await client("get", BANS)
    first, second = reply.json["bans"]
    since, until = (datetime.fromisoformat(first.pop(name)) for name in ("since", "until"))
    assert until - since == timedelta(minutes=15)
    assert first == {"address": THIEF, "reason": "wrong passwords", "refused": 7}
    assert second["address"] == "2001:db8:0:1::/64"


@run
async def test_one_is_lifted_and_the_trail_tells_by_whom() -> None:
    async with serving(banning()) as client:
        reply = await client("delete", f"{BANS}?address=2001:db8:0:1::77")
        assert [ban["address"] for ban in reply.json["bans"]] == ["2001:db8:0:1::/64"]
        assert await addresses(client) == [THIEF]
        details = (await client("delete", f"{BANS}?address={OTHER}")).error(404, "BAN_NOT_FOUND")
        (await client("delete", f"{BANS}?address=nobody")).error(404, "BAN_NOT_FOUND")
        (await client("delete", f"{BANS}?who={THIEF}")).error(400)
        (entry,) = (await client("get", "/sim/v1/audit")).json["entries"]
    assert "GET /sim/v1/bans lists them" in details
    assert (entry["user"], entry["action"], entry["what"]) == (USER.name, "delete", "ban")
    assert (entry["id"], entry["before"]["reason"]) == ("2001:db8:0:1::/64", "wrong passwords")


@run
async def test_all_are_lifted() -> None:
    async with serving(banning()) as client:
        reply = await client("delete", BANS)
        assert len(reply.json["bans"]) == 2
        assert await addresses(client) == []
        assert (await client("get", "/sim/v1/audit")).json["totalEntries"] == 2


@run
async def test_a_reset_lifts_them_too() -> None:
    async with serving(banning()) as client:
        await client("post", "/sim/v1/reset")
        assert await addresses(client) == []
