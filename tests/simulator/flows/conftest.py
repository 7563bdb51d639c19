"""A world for each test; after the test nothing may be left of its calls."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.simulator.flows.world import World
from tests.support.network import Network

Build = Callable[..., World]


@pytest.fixture
def build() -> Iterator[Build]:
    """Makes worlds; ``build(icm={"wait": 2})`` lays sections over the built-in plan."""
    worlds: list[World] = []

    def make(network: Network | None = None, **sections: Any) -> World:
        worlds.append(World(network or Network(), **sections))
        return worlds[-1]

    yield make
    for world in worlds:
        assert world.network.errors == []
        world.settle()


@pytest.fixture
def world(build: Build) -> World:
    """The built-in plan."""
    return build()
