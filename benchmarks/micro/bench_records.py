"""What is made of a call for readers: its CDR, the list of REST."""

import asyncio
import json

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pytest_benchmark.fixture import BenchmarkFixture

from api.handlers.calls import calls
from api.keys import SERVER
from benchmarks.micro.driver import Driver
from simulator.cdr_records import from_row
from simulator.records import row_of


def bench_cdr(benchmark: BenchmarkFixture) -> None:
    """The CDR of a back-to-back call with its legs, as the row that the store takes."""
    driver = Driver(back_to_back=True)
    call = driver.last_call()
    made = benchmark(row_of, call, driver.now)
    assert len(from_row(made).legs) == 2


def bench_list_of_1000(benchmark: BenchmarkFixture) -> None:
    """GET /call?limit=1000 with 1,000 calls, without HTTP and its guards."""
    driver = Driver(back_to_back=False)
    for _ in range(1000):
        driver.set_up()
    app = web.Application()
    app[SERVER] = driver.server
    (operation,) = [one for one in calls.declared if (one.method, one.path) == ("GET", "/call")]

    async def ask() -> web.StreamResponse:
        return await operation.respond(
            make_mocked_request("GET", "/cvp/rest/call?limit=1000", app=app)
        )

    with asyncio.Runner() as runner:
        answer = benchmark(lambda: runner.run(ask()))
    assert answer.status == 200
    assert len(json.loads(answer.body)["calls"]) == 1000
