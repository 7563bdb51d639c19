"""One call under observation, for every test of this folder."""

from collections.abc import Iterator

import pytest

from scenarios.plugin import SippFactory
from tests.scenarios.flow import Flows, Pool


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The servers that tests share, one for each set of settings."""
    with Pool(tmp_path_factory.mktemp("servers")) as shared:
        yield shared


@pytest.fixture
def flows(pool: Pool, sipp: SippFactory) -> Flows:
    return Flows(pool, sipp)
