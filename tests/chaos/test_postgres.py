"""PostgreSQL stops, crashes and is frozen: calls go on, and are recorded."""

from pathlib import Path

from tests.chaos.kills import Stage, kill_often, settings_of
from tests.chaos.test_full_disk import judged, mended
from tests.support.postgres import Cluster


def test_kills_of_both(server: Cluster, tmp_path: Path) -> None:
    """The short form of `make chaos ARGS='--store postgres'`."""
    verdict = kill_often(tmp_path, kills=3, rate=40, seed=7, cluster=server)
    assert verdict.good, verdict
    assert verdict.ended > 100
    assert verdict.cut_off > 0


def test_calls_end_without_it(server: Cluster, tmp_path: Path) -> None:
    """Each BYE within the patience of the store: none is sent twice."""
    with Stage(tmp_path, rate=20, seconds=4, settings=settings_of(server)) as stage:
        stage.wait_for_more("ended", 3)
        server.stop()
        stage.server.wait_for(lambda: stage.status() == "degraded", "notice of the trouble")
        stage.wait_for_more("ended", 15)
        assert stage.status() == "degraded"
        server.start()
        mended(stage)
        judged(stage)
