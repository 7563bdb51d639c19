"""PostgreSQL stops, is frozen, is not there at the start: calls go on, and are recorded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.kills import Stage, kill_often, settings_of
from tests.chaos.test_full_disk import judged, mended
from tests.support.postgres import Cluster


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    cluster.thaw()
    if not cluster.running:
        cluster.start()


def test_kills_of_both(server: Cluster, tmp_path: Path) -> None:
    """The short form of `make chaos ARGS='--store postgres'`."""
    verdict = kill_often(tmp_path, kills=3, rate=40, seed=7, cluster=server)
    assert verdict.good, verdict
    assert verdict.ended > 100
    assert verdict.cut_off > 0


@pytest.mark.parametrize(
    ("begin", "end"), [(Cluster.stop, Cluster.start), (Cluster.freeze, Cluster.thaw)]
)
def test_calls_end_without_it(
    server: Cluster,
    tmp_path: Path,
    begin: Callable[[Cluster], None],
    end: Callable[[Cluster], None],
) -> None:
    """Each BYE within the patience of the store: none is sent twice."""
    with Stage(tmp_path, rate=20, seconds=4, settings=settings_of(server)) as stage:
        stage.wait_for_more("ended", 3)
        begin(server)
        stage.server.wait_for(lambda: stage.status() == "degraded", "notice of the trouble")
        stage.wait_for_more("ended", 15)
        assert stage.status() == "degraded"
        end(server)
        mended(stage)
        judged(stage)


def test_it_is_not_there_at_the_start(server: Cluster, tmp_path: Path) -> None:
    settings = settings_of(server)
    server.stop()
    with Stage(tmp_path, rate=20, seconds=2, settings=settings) as stage:
        assert stage.status() == "degraded"
        assert "CDRs cannot be stored, and wait: postgresql://callsim@127" in stage.server.errors
        stage.wait_for_more("ended", 15)
        server.start()
        mended(stage)
        judged(stage)
