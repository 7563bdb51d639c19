"""What the tests of the stack share."""

from collections.abc import Iterator

import pytest

from tests.support.network import Network, Party


@pytest.fixture
def network() -> Iterator[Network]:
    """A network without faults; `network.expect_idle` asks for empty tables at the end."""
    made = Network()
    yield made
    made.verify()


@pytest.fixture
def alice(network: Network) -> Party:
    return network.add("alice")


@pytest.fixture
def bob(network: Network) -> Party:
    return network.add("bob")
