"""What the store of records has of its own in PostgreSQL: a server that comes and goes."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from scenarios.runner import free_port
from simulator.cdr_migrations import HEAD
from simulator.cdr_postgres import PostgresCdrStore
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import CdrStoreError, to_row
from simulator.config import Config
from simulator.errors import ReportTooLong, ServiceError
from simulator.event_views import ServiceStateChanged
from simulator.journal import FILE, Journal
from simulator.postgres import Connection
from simulator.service import open_store
from tests.simulator.test_cdr import GUID, WAIT, Told, record, row
from tests.support.live_server import LiveServer
from tests.support.postgres import PASSWORD, Cluster
from tests.support.stores import PostgresPlace, run


@pytest.fixture
def told() -> Told:
    return Told()


class World:
    """A store with a journal; what it says of itself comes to `news`."""

    def __init__(self, place: PostgresPlace, folder: Path, told: Told) -> None:
        self.journal = Journal(folder / FILE, 1 << 20)
        self.news: SimpleQueue[str] = SimpleQueue()
        self.told = told
        url = f"{place.url}?connect_timeout=2"  # the least there is
        self.store = PostgresCdrStore(url, told.notify, self.journal, gather=0)
        self.store.backlog.watch = self.news.put
        self.store.backlog.calm = 0.0

    def keep(self, number: int) -> None:
        """A record, and nothing more until it is safe."""
        self.store.submit(row(start=number), self.told.done)
        self.told.wait()

    def starts(self) -> list[int]:
        return sorted(one.call_start_time for one in self.store.recent(100))


@pytest.fixture
def world(
    database: PostgresPlace, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setattr(PostgresCdrStore, "_PATIENCE", 0.4)
    monkeypatch.setattr(PostgresCdrStore, "_LONGEST_BACKOFF", 0.1)
    made = World(database, tmp_path, told)
    yield made
    assert made.store.close() == 0


# -- a server that comes and goes ----------------------------------------------------------


def test_a_server_that_is_stopped_and_started(world: World, server: Cluster) -> None:
    world.keep(1)
    server.stop()
    for number in (2, 3):
        world.keep(number)  # in the journal
    assert world.news.get(timeout=WAIT)
    assert not world.store.healthy
    assert world.journal.waiting == 2
    with pytest.raises(CdrStoreError, match="cannot be read"):
        world.store.recent()
    server.start()
    while world.news.get(timeout=WAIT):
        pass
    assert world.store.healthy
    assert world.starts() == [1, 2, 3]
    assert world.journal.waiting == 0


def test_a_server_that_crashes(world: World, server: Cluster) -> None:
    world.keep(1)
    server.stop("immediate")
    world.keep(2)
    server.start()
    while world.news.get(timeout=WAIT):
        pass
    assert world.starts() == [1, 2]


def test_a_server_that_does_not_answer(world: World, server: Cluster) -> None:
    """Its kernel acknowledges all that is sent, and what it has received it does later on."""
    world.keep(1)
    server.freeze()
    for number in (2, 3):
        world.keep(number)
    reasons = [world.news.get(timeout=WAIT)]
    assert reasons == ["a commit takes longer than 0.2 s"]
    while "does not answer" not in world.store.backlog.reason:
        assert not world.store.healthy
    server.thaw()
    while world.news.get(timeout=WAIT):
        pass
    assert world.starts() == [1, 2, 3]


def test_closing_does_not_wait_for_it(world: World, server: Cluster, tmp_path: Path) -> None:
    world.store._session._patience = 600.0
    world.store._session.drop()
    world.keep(1)
    server.freeze()
    world.keep(2)
    closing = threading.Thread(target=world.store.close)
    closing.start()
    closing.join(WAIT)
    assert not closing.is_alive()
    server.thaw()
    journal = Journal(tmp_path / FILE, 1 << 20)
    assert [one[1] for _, one in journal.rows] == [2]
    journal.close()


def test_a_connection_that_breaks(world: World, database: PostgresPlace) -> None:
    world.keep(1)
    assert world.starts() == [1]
    others = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE datname = '{database.database}' AND pid != pg_backend_pid()"
    )
    assert len(database.cluster.execute(database.database, others)) == 2  # writer, reader
    assert world.starts() == [1], "asked again, over another connection"
    world.keep(2)
    while world.starts() != [1, 2]:
        pass


def test_a_server_that_is_down_at_the_start(
    database: PostgresPlace, server: Cluster, tmp_path: Path, told: Told
) -> None:
    """Records wait, and it is well as soon as the server is there, without any record."""
    server.stop()
    world = World(database, tmp_path, told)
    assert not world.store.healthy
    assert "callsim@127.0.0.1" in world.store.backlog.reason
    world.keep(1)
    server.start()
    while world.news.get(timeout=WAIT):
        pass
    assert world.starts() == [1]
    assert world.store.close() == 0


def test_callsim_starts_without_it(
    database: PostgresPlace, server: Cluster, tmp_path: Path
) -> None:
    """Its health is degraded, and readers of events are told when that is over."""
    server.stop()
    told = threading.Event()
    with LiveServer(tmp_path, {}, cdr={"url": database.url, "journal": 1}) as live:
        assert live.do(lambda one: one.health().status) == "degraded"
        reader = live.do(lambda one: one.events.reader(told.set))
        server.start()
        states: list[str] = []
        while not states:
            assert told.wait(WAIT)
            told.clear()
            events = live.do(lambda _: reader.take(10))
            states += [one.current_state for one in events if isinstance(one, ServiceStateChanged)]
        assert states == ["running"]
        assert live.do(lambda one: one.health().status) == "healthy"


def test_an_empty_database_that_comes_later(server: Cluster, tmp_path: Path, told: Told) -> None:
    place = PostgresPlace(server, server.database())
    server.stop()
    world = World(place, tmp_path, told)
    server.start()
    while world.news.get(timeout=WAIT):
        pass
    assert world.store.count() == 0
    assert world.store.close() == 0


def test_a_frozen_server_at_the_start(
    database: PostgresPlace, server: Cluster, tmp_path: Path, told: Told
) -> None:
    server.freeze()
    world = World(database, tmp_path, told)
    world.keep(1)
    assert not world.store.healthy
    server.thaw()
    while world.news.get(timeout=WAIT):
        pass
    assert world.starts() == [1]
    assert world.store.close() == 0


def test_the_next_of_several_hosts(database: PostgresPlace, told: Told) -> None:
    port = f"127.0.0.1:{database.cluster.port}"
    url = database.url.replace(port, f"127.0.0.1:{free_port()},{port}")
    with PostgresCdrStore(url, told.notify) as store:
        store.submit(row(), told.done)
        told.wait()
        assert store.count() == 1


def test_a_standby_is_waited_for(database: PostgresPlace, tmp_path: Path, told: Told) -> None:
    """Until it is the primary: here a database that becomes writable."""
    name = database.database
    read_only = f"ALTER DATABASE {name} SET default_transaction_read_only = "
    database.cluster.execute("postgres", f"{read_only} on")
    world = World(database, tmp_path, told)
    assert "read-only" in world.store.backlog.reason
    world.keep(1)
    database.cluster.execute("postgres", f"{read_only} off")
    while world.news.get(timeout=WAIT):
        pass
    assert world.starts() == [1]
    assert world.store.close() == 0


# -- what is refused -----------------------------------------------------------------------


def refusal(url: str) -> str:
    with pytest.raises(CdrStoreError) as refused:
        PostgresCdrStore(url, run)
    text = str(refused.value)
    assert PASSWORD not in text
    assert "\n" not in text
    return text


def test_what_the_url_has_wrong_is_refused(cluster: Cluster, database: PostgresPlace) -> None:
    name = database.database
    wrong = refusal(cluster.url(name, password="se%2Fcret"))
    where = f"postgresql://callsim@127.0.0.1:{cluster.port}/{name}"
    assert wrong.startswith(f"cdr.url: {where} refuses us: ")
    assert "password authentication failed" in wrong
    assert "se/cret" not in wrong
    assert 'database "nothing" does not exist' in refusal(cluster.url("nothing"))
    assert "see that user, password" in refusal(cluster.url(name, user="nobody"))
    assert "no password supplied" in refusal(cluster.url(name, password=None))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://callsim:sec@ret:word@127.0.0.1/d",
        "postgresql://callsim:sec@word@127.0.0.1/d",
        "postgresql://callsim:secret@127.0.0.1:word/d",
        "postgresql://callsim:secret@127.0.0.1/d?word=1",
        "postgresql://callsim:sec%zzret@127.0.0.1/d",
    ],
)
def test_a_url_that_libpq_does_not_take(url: str) -> None:
    text = refusal(url)
    assert text.startswith("cdr.url: not a URL that libpq takes; write postgresql://")
    assert "secret" not in text
    assert "word" not in text


def test_a_right_that_is_missing(cluster: Cluster) -> None:
    name = cluster.database()
    cluster.execute("postgres", f"CREATE ROLE poor_{name} LOGIN PASSWORD 'c@ll/sim'")
    text = refusal(cluster.url(name, user=f"poor_{name}"))
    assert text.startswith("cdr.url: the tables cannot be made in postgresql://poor_")
    assert "permission denied" in text


def test_another_encoding(cluster: Cluster) -> None:
    cluster.execute(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    assert "has the encoding LATIN1; make one by createdb" in refusal(cluster.url("latin"))


def test_a_later_version(cluster: Cluster, database: PostgresPlace) -> None:
    cluster.execute(database.database, "UPDATE callsim_schema SET version_num = '99'")
    text = refusal(database.url)
    assert "is of a later version than this Callsim" in text
    assert "another database by cdr.url" in text


def test_without_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in ("simulator.cdr_postgres", "simulator.postgres", "simulator.cdr_postgres_queries"):
        monkeypatch.delitem(sys.modules, name)
    config = Config.model_validate(
        {"server": {"data_dir": str(tmp_path)}, "cdr": {"url": "postgresql://h/d"}}
    )
    with pytest.raises(ServiceError, match=r"cdr\.url: .*pip install 'callsim\[postgres\]'"):
        open_store(config, run)
    Journal(tmp_path / FILE, 1 << 20).close()  # it was let go of


# -- tables --------------------------------------------------------------------------------


def test_the_version_is_the_last_one() -> None:
    from alembic.config import Config as AlembicConfig
    from alembic.script import ScriptDirectory

    config = AlembicConfig()
    config.set_main_option("script_location", "simulator:cdr_migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_several_servers_start_at_once(cluster: Cluster) -> None:
    url = cluster.url(cluster.database())
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: PostgresCdrStore(url, run), range(4)))
    for number, store in enumerate(stores):
        store.submit(row(start=number))
        store.submit(row(start=77))
        assert store.close() == 0
    with PostgresCdrStore(url, run) as store:
        assert sorted(one.call_start_time for one in store.recent()) == [0, 1, 2, 3, 77]


@pytest.mark.parametrize(
    ("setting", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_commits_wait_for_the_disk(database: PostgresPlace, setting: str, used: str) -> None:
    """Whatever the settings of the cluster; standbys are waited for where they ask for that."""
    database.cluster.execute(
        "postgres", f"ALTER DATABASE {database.database} SET synchronous_commit = {setting}"
    )
    with PostgresCdrStore(database.url, run) as store:
        shown = store._session.connection().execute("SHOW synchronous_commit").fetchone()
        assert shown == (used,)


# -- records -------------------------------------------------------------------------------


def test_what_postgresql_cannot_have_is_repaired(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a peer's doing, and no fault of the store."""
    odd = record()
    odd.application_name = "a\0b"
    odd.called_number = "".join(chr(0x4E00 + n) for n in range(5000))  # nothing to compress
    odd.ecc_variables = {"user.a": "\0"}
    world.store.submit(to_row(odd), world.told.done)
    world.told.wait()
    found = world.store.get(GUID)
    assert found is not None
    assert found.application_name == "a\\x00b"
    assert found.called_number == odd.called_number[:500]
    assert found.ecc_variables == {"user.a": "\0"}
    assert world.store.page(CdrFilter(call_guid="\0\ud800")).total == 0
    assert caplog.text == ""
    assert world.news.empty()


def test_a_report_without_end_is_given_up(
    database: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PostgresCdrStore(database.url, run) as store:
        monkeypatch.setattr(PostgresCdrStore, "_LONGEST_REPORT", 0.1)
        with pytest.raises(ReportTooLong, match=r"after 0\.1 s; ask for a shorter range by start"):
            store._report(lambda connection: connection.execute("SELECT pg_sleep(60)"))
        assert store.page(CdrFilter()).total == 0, "the next one has its turn"


def test_the_figures_of_one_report_fit_together(world: World) -> None:
    """What is stored while it is made is not in it."""

    def twice(connection: Connection) -> list[object]:
        before = connection.execute("SELECT count(*) FROM cdr").fetchone()
        world.keep(2)
        return [before, connection.execute("SELECT count(*) FROM cdr").fetchone()]

    world.keep(1)
    assert world.store._report(twice) == [(1,), (1,)]
    assert world.store.count() == 2
