"""SUBSCRIBE to dialogs at the call server (RFC 6665, RFC 4235)."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from sip.message import Request
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.world import World
from tests.support.builders import request_text, response_text
from tests.support.network import Network, Stranger

NS = {"d": "urn:ietf:params:xml:ns:dialog-info"}
HOST = "198.51.100.9"


class Watcher:
    """A stranger that subscribes, and answers NOTIFY."""

    def __init__(self, world: World, resource: str, stranger: Stranger | None = None) -> None:
        self.world = world
        self.stranger = stranger or world.network.add_stranger("carol", HOST)
        self.resource = resource
        self.number = 0
        self.to = f"<sip:{resource}@{world.address}>"
        self.call_id = f"watch-{resource}@{HOST}"
        self.answered = 0

    def subscribe(
        self, expires: int | None = 250, headers: dict[str, str | None] | None = None
    ) -> None:
        self.number += 1
        fields: dict[str, str | None] = {
            "To": self.to,
            "Call-ID": self.call_id,
            "CSeq": f"{self.number} SUBSCRIBE",
            "Via": f"SIP/2.0/UDP {HOST}:5060;branch=z9hG4bK{self.resource}{self.number};rport",
            "Event": "dialog",
            "Accept": "application/dialog-info+xml",
            "Expires": None if expires is None else str(expires),
            **(headers or {}),
        }
        self.stranger.send(
            self.world.party,
            request_text("SUBSCRIBE", fields, uri=f"sip:{self.resource}@{self.world.address}"),
        )
        self.run()
        responses = self.stranger.responses("SUBSCRIBE")
        if responses and responses[-1].status == 200:
            self.to = responses[-1].get("to") or ""

    def run(self, seconds: float = 0.2, answer: int = 200) -> None:
        """Let time pass, and answer what has come."""
        end = self.world.network.now + seconds
        while True:
            self.world.run(min(1.0, max(0.0, end - self.world.network.now)))
            for notify in self.notifies[self.answered :]:
                self.stranger.send(self.world.party, response_text(notify, answer))
            self.answered = len(self.notifies)
            if self.world.network.now >= end:
                break
        self.world.run(0.1)

    @property
    def notifies(self) -> list[Request]:
        """Each once, in order."""
        found = {
            (n.call_id, n.cseq): n
            for n in self.stranger.requests("NOTIFY")
            if n.call_id == self.call_id
        }
        return list(found.values())

    @property
    def statuses(self) -> list[int]:
        return self.stranger.statuses("SUBSCRIBE")

    @property
    def subscription_state(self) -> str:
        return self.notifies[-1].get("subscription-state") or ""

    def documents(self) -> list[ElementTree.Element]:
        return [ElementTree.fromstring(n.body) for n in self.notifies if n.body]

    def states(self) -> list[list[str]]:
        """Of each document the states, with the event where there is one."""
        return [
            [
                " ".join(filter(None, [e.text or "", e.get("event")]))
                for e in root.findall("d:dialog/d:state", NS)
            ]
            for root in self.documents()
        ]


@pytest.fixture
def world(build: Build) -> World:
    return build(events={"watchers": [HOST]})


@pytest.fixture
def watcher(world: World) -> Watcher:
    return Watcher(world, "1001")


def test_an_agent_is_watched(world: World, watcher: Watcher) -> None:
    watcher.subscribe()
    [accepted] = watcher.stranger.responses("SUBSCRIBE")
    assert accepted.status == 200
    assert accepted.get("expires") == "250"
    assert accepted.contact is not None
    assert watcher.subscription_state == "active;expires=250"
    caller = world.dial("6000")
    watcher.run(0.5)
    watcher.run(1.0)
    caller.hang_up()
    watcher.run()
    assert watcher.states() == [[], ["trying"], ["early"], ["confirmed"], ["terminated remote-bye"]]
    documents = watcher.documents()
    assert [root.get("version") for root in documents] == ["0", "1", "2", "3", "4"]
    assert [root.get("state") for root in documents] == ["full", *["partial"] * 4]
    assert {root.get("entity") for root in documents} == {f"sip:1001@{world.address}"}
    agent = world.agents.line.session.dialog
    [dialog] = documents[3].findall("d:dialog", NS)
    assert dialog.get("call-id") == agent.call_id
    assert dialog.get("local-tag") == agent.local_tag  # the agent is who is observed
    assert dialog.get("remote-tag") == agent.remote_tag
    assert dialog.get("direction") == "recipient"
    assert dialog.findtext("d:local/d:identity", "", NS).startswith("sip:1001@")
    assert dialog.findtext("d:remote/d:identity", "", NS).startswith("sip:5551234@")
    assert dialog.find("d:local/d:target", NS) is not None
    assert dialog.findtext("d:duration", "", NS) == "0"
    watcher.subscribe(0)
    assert watcher.subscription_state == "terminated;reason=timeout"
    assert world.server.dialogs.count == 0


def test_a_number_that_is_called(world: World) -> None:
    """Its dialogs are those of callers to it: the server is who is observed."""
    watcher = Watcher(world, "6000")
    watcher.subscribe()
    caller = world.dial("6000")
    watcher.run(1.5)
    caller.hang_up()
    watcher.run()
    assert watcher.states()[-1] == ["terminated remote-bye"]
    [dialog] = watcher.documents()[-1].findall("d:dialog", NS)
    assert dialog.get("direction") == "recipient"
    assert dialog.get("remote-tag") == caller.session.local_tag


def test_a_caller_is_watched(world: World) -> None:
    watcher = Watcher(world, "5551234")
    watcher.subscribe()
    caller = world.dial("5000")
    watcher.run()
    caller.hang_up()
    watcher.run()
    assert watcher.states() == [[], ["trying"], ["confirmed"], ["terminated local-bye"]]
    [dialog] = watcher.documents()[1].findall("d:dialog", NS)
    assert dialog.get("direction") == "initiator"


@pytest.mark.parametrize("written", [str, str.lower])
def test_a_call_is_watched(world: World, written: Callable[[str], str]) -> None:
    """By its GUID, in either case; when the call is over, so is the subscription."""
    caller = world.dial("6000", lines=f"Cisco-Gucid: {'AB' * 16}\r\n")
    world.run(1.5)
    assert world.call.guid == "AB" * 16
    watcher = Watcher(world, written(world.call.guid))
    watcher.subscribe()
    assert watcher.states() == [["confirmed", "confirmed"]]
    caller.hang_up()
    watcher.run()
    assert sorted(watcher.states()[-1]) == ["terminated local-bye", "terminated remote-bye"]
    assert watcher.subscription_state == "terminated;reason=noresource"


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        (Manner(ring=0.0, answer=0.1, refuse=486), "terminated rejected"),
        (Manner(ring=0.0, answer=None), "terminated cancelled"),
    ],
)
def test_a_call_that_fails(world: World, watcher: Watcher, manner: Manner, told: str) -> None:
    world.agents.manner = manner
    watcher.subscribe()
    caller = world.dial("6000")
    watcher.run()
    if not manner.refuse:
        caller.cancel()
    watcher.run(0.5)
    assert watcher.states()[-1] == [told]


def test_in_the_dialog_of_a_call_refused(world: World) -> None:
    """The agents' address is not among the watchers."""
    caller = world.connected()
    agent = world.agents.line
    agent.request("SUBSCRIBE", lines="Event: dialog\r\nExpires: 250\r\n")
    world.run()
    assert world.sent("403 SUBSCRIBE")
    caller.hang_up()


def test_in_the_dialog_of_a_call(build: Build) -> None:
    """It shares the dialog of the leg (RFC 5057), and is about that call."""
    world = build(events={"watchers": ["*"]})
    caller = world.connected()
    agent = world.agents.line
    agent.request("SUBSCRIBE", lines="Event: dialog\r\nExpires: 250\r\n")
    world.run()
    assert world.sent("200 SUBSCRIBE")
    [notify] = world.sent("NOTIFY")
    assert notify.call_id == agent.session.dialog.call_id
    assert len(ElementTree.fromstring(notify.body).findall("d:dialog", NS)) == 2
    caller.hang_up()


# RFC 6665.


@pytest.mark.parametrize(
    ("headers", "status", "line"),
    [
        ({"Event": "presence"}, 489, "allow-events"),
        ({"Event": None}, 400, None),
        ({"Event": "refer"}, 403, None),
        ({"Accept": "text/plain"}, 406, None),
        ({"Expires": "59"}, 423, "min-expires"),
    ],
)
def test_refused(
    world: World, watcher: Watcher, headers: dict[str, str | None], status: int, line: str | None
) -> None:  # sections 4.2.1.1, 4.2.1.3
    watcher.subscribe(headers=headers)
    assert watcher.statuses == [status]
    assert line is None or watcher.stranger.responses("SUBSCRIBE")[0].get(line)
    assert world.server.dialogs.count == 0
    assert not watcher.notifies


@pytest.mark.parametrize(("expires", "granted"), [(None, "3600"), (100_000, "86400"), (60, "60")])
def test_expires(watcher: Watcher, expires: int | None, granted: str) -> None:
    watcher.subscribe(expires)
    assert watcher.stranger.responses("SUBSCRIBE")[0].get("expires") == granted
    watcher.subscribe(0)


def test_fetch(world: World, watcher: Watcher) -> None:
    """Section 4.4.3: the present state once, and no subscription."""
    watcher.subscribe(0)
    assert watcher.statuses == [200]
    assert watcher.subscription_state == "terminated;reason=timeout"
    assert watcher.states() == [[]]
    assert world.server.dialogs.count == 0


def test_refreshed(world: World, watcher: Watcher) -> None:
    """Section 4.2.1.4: each refresh brings the full state at once."""
    watcher.subscribe(100)
    caller = world.connected()
    watcher.run(90.0)
    watcher.subscribe(200)
    assert watcher.subscription_state == "active;expires=200"
    assert watcher.documents()[-1].get("state") == "full"
    assert watcher.states()[-1] == ["confirmed"]
    watcher.run(190.0)
    assert world.server.dialogs.count == 1
    watcher.run(11.0)
    assert watcher.subscription_state == "terminated;reason=timeout"
    assert world.server.dialogs.count == 0
    caller.hang_up()


@pytest.mark.parametrize("status", [481, 0])
def test_a_watcher_that_is_gone(world: World, watcher: Watcher, status: int) -> None:
    watcher.subscribe()
    caller = world.dial("6000")
    world.run(0.1)
    if status:
        watcher.run(answer=481)
    else:
        world.run(33.0)
    assert world.server.dialogs.count == 0
    world.run(1.5)
    caller.hang_up()


@pytest.mark.parametrize("key", ["max_subscriptions", "max_per_source"])
def test_not_without_limit(build: Build, key: str) -> None:
    world = build(events={"watchers": [HOST], key: 1})
    first = Watcher(world, "1001")
    first.subscribe()
    second = Watcher(world, "1002", first.stranger)
    second.subscribe()
    assert first.statuses == [200, 503]
    assert first.stranger.responses("SUBSCRIBE")[-1].get("retry-after")
    first.subscribe(0)
    second.subscribe()
    assert first.statuses[-1] == 200
    second.subscribe(0)


def test_a_server_that_stops(world: World, watcher: Watcher) -> None:
    """The watcher may look for another at once (section 4.1.3)."""
    watcher.subscribe()
    world.server.draining = True
    world.server.dialogs.close(world.network.now)
    watcher.run()
    assert watcher.subscription_state == "terminated;reason=deactivated"
    again = Watcher(world, "1002", watcher.stranger)
    again.subscribe()
    assert watcher.statuses[-1] == 503


def test_a_request_that_does_not_belong(world: World, watcher: Watcher) -> None:
    watcher.subscribe()
    fields = {"To": watcher.to, "Call-ID": watcher.call_id, "CSeq": "9 INFO"}
    watcher.stranger.send(world.party, request_text("INFO", fields))
    world.run()
    assert watcher.stranger.statuses("INFO") == [481]
    watcher.number = 9
    watcher.subscribe(0)


def test_nobody_may_watch_by_default(build: Build) -> None:
    world = build(Network())
    watcher = Watcher(world, "1001")
    watcher.subscribe()
    assert watcher.statuses == [403]


def test_text_that_xml_cannot_carry(world: World) -> None:
    watcher = Watcher(world, "6000")
    watcher.subscribe()
    world.caller.dial(f"sip:6000@{world.address}", "%01%00<&>".replace("<&>", "&"))
    watcher.run(1.5)
    assert watcher.states()[-1] == ["confirmed"]
    world.caller.line.hang_up()
    watcher.run()


def test_allow_events(world: World) -> None:
    caller = world.standalone()
    assert caller.responses[-1].get("allow-events") == "dialog, refer"
    assert "SUBSCRIBE" in (caller.responses[-1].get("allow") or "")
    caller.hang_up()
