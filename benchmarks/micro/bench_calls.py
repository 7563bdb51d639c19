"""Whole calls through `CallServer`, in memory: all of a call but sockets and the CDR's disk."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.driver import STEADY, Driver


@pytest.mark.parametrize("role", ["callee", "back-to-back"])
def bench_call(benchmark: BenchmarkFixture, role: str) -> None:
    """INVITE, 100, (180,) 200, ACK, BYE, 200, on each leg, and the record."""
    driver = Driver(back_to_back=role != "callee")
    for _ in range(STEADY):
        driver.call()
    benchmark(driver.call)
    assert driver.store.stored == driver.number
    assert driver.server.calls == {}
