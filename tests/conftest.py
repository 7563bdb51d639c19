"""How long a generated example takes is the machine's affair: property tests set no limit.

The store of records is tested in each of its kinds: `place`. One cluster of PostgreSQL serves
all tests of a process; where it is not installed, its tests are skipped.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Cluster, binaries
from tests.support.stores import Place, PostgresPlace, SqlitePlace, run

settings.register_profile("callsim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callsim")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A server of PostgreSQL, which who stops it starts again."""
    if binaries() is None or find_spec("psycopg") is None:
        pytest.skip("needs PostgreSQL (make tools) and psycopg (callsim[postgres])")
    with Cluster() as made:
        yield made


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, which a test may stop."""
    yield cluster
    cluster.thaw()
    if not cluster.running:
        cluster.start()


@pytest.fixture(scope="session")
def prepared(cluster: Cluster) -> str:
    """A database that has our tables, to be copied."""
    name = cluster.database()
    PostgresPlace(cluster, name).open(run).close()
    return name


@pytest.fixture
def database(cluster: Cluster, prepared: str) -> PostgresPlace:
    """A database with our tables and no records."""
    return PostgresPlace(cluster, cluster.database(like=prepared))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store may keep its records, each kind in its turn."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    found: PostgresPlace = request.getfixturevalue("database")
    return found
