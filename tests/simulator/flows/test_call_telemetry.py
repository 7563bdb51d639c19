"""Traces: the spans of a call's transactions against its messages, and their way to a collector."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from simulator import telemetry as traces
from simulator.config import Config
from simulator.errors import ServiceError
from simulator.service import call_server
from simulator.telemetry import Telemetry, open_telemetry
from tests.simulator.flows.world import World


class Traced:
    """The spans of a world, in the order in which they ended."""

    def __init__(self, world: World) -> None:
        self.exporter = InMemorySpanExporter()
        self.telemetry = Telemetry(world.server, SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def call(self) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == "call"]
        return span

    @property
    def transactions(self) -> list[str]:
        """``> INVITE agent 200``, sent, or ``<``, received."""
        arrows = {SpanKind.CLIENT: ">", SpanKind.SERVER: "<"}
        return [
            f"{arrows[span.kind]} {span.name} {of(span, 'callsim.leg')} "
            f"{of(span, 'sip.status_code')}"
            for span in self.spans
            if span.name != "call"
        ]

    def all_are_below(self, parent: ReadableSpan) -> bool:
        others = [span for span in self.spans if span is not parent]
        assert others
        return all(
            span.parent is not None
            and span.parent.span_id == parent.context.span_id
            and span.context.trace_id == parent.context.trace_id
            for span in others
        )


def of(span: ReadableSpan, name: str) -> Any:
    assert span.attributes is not None
    return span.attributes[name]


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


@pytest.fixture
def traced(world: World) -> Traced:
    return Traced(world)


def test_a_call_and_its_transactions(world: World, traced: Traced) -> None:
    line = world.connected()
    line.offer("sendonly")
    world.run()
    line.hang_up()
    world.run()
    assert traced.transactions == [
        "> INVITE callee 200",
        "< INVITE caller 200",
        "> INVITE callee 200",
        "< INVITE caller 200",
        "< BYE caller 200",
        "> BYE callee 200",
    ]
    call = traced.call
    assert call.parent is None
    assert traced.all_are_below(call)
    assert of(call, "callsim.call.guid") == world.call.guid
    assert of(call, "callsim.call.calling_number") == world.call.calling
    assert of(call, "callsim.call.called_number") == "6000"
    assert of(call, "callsim.call.result") == "completed"
    assert [event.name for event in call.events] == [line[1] for line in world.call.history]
    assert call.status.status_code is StatusCode.UNSET
    assert call.resource.attributes["service.name"] == "callsim"
    placed = traced.spans[0]
    assert seconds(placed) == pytest.approx(1.02, abs=0.001)  # a second, and there and back
    assert of(placed, "network.peer.address") == world.agents.host
    assert of(placed, "network.transport") == "udp"
    assert of(placed, "sip.call_id") == world.call.legs[1].session.dialog.call_id
    epoch = world.server.epoch
    assert call.start_time == pytest.approx((epoch + world.call.started) * 1e9, abs=1000)


def test_a_transfer_that_fails(world: World, traced: Traced) -> None:
    line = world.connected()
    world.transfer("9486")
    world.run()
    line.hang_up()
    world.run()
    (refused,) = [span for span in traced.spans if span.status.status_code is StatusCode.ERROR]
    assert of(refused, "sip.status_code") == 486
    assert of(refused, "error.type") == "486"
    assert of(refused, "callsim.leg") == "transfer"
    assert "transfer_failed" in [event.name for event in traced.call.events]


def test_a_callee_that_is_not_there(world: World, traced: Traced) -> None:
    """408 stands for the answer that did not come; the caller is told of an error."""
    world.agents.party.dead = True
    line = world.dial("6000")
    world.run(40)
    assert line.statuses[-1] >= 400
    assert traced.transactions[0] == "> INVITE callee 408"
    call = traced.call
    assert call.status.status_code is StatusCode.ERROR
    assert of(call, "error.type") == str(world.call.error_code)
    assert traced.all_are_below(call)


def test_a_caller_who_gives_up(world: World, traced: Traced) -> None:
    world.agents.behaves(ring=0.0, answer=None)
    line = world.dial("6000")
    world.run()
    line.cancel()
    world.run()
    assert sorted(traced.transactions) == [
        "< CANCEL caller 200",
        "< INVITE caller 487",
        "> CANCEL callee 200",
        "> INVITE callee 487",
    ]
    assert of(traced.call, "callsim.call.result") == "abandoned"


def test_what_belongs_to_no_call_has_no_span(world: World, traced: Traced) -> None:
    world.network.add("stranger").endpoint.options(
        world.network.now, f"sip:{world.address}", from_="<sip:a@example.com>", context=None
    )
    world.run()
    assert traced.spans == []


def test_the_open_ones_are_bounded(
    world: World, traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_OPEN", 3)
    world.agents.behaves(ring=0.0, answer=None)
    lines = [world.dial("6000") for _ in range(5)]  # two transactions each
    world.run()
    for line in lines:
        line.cancel()
    world.run()
    assert [span.name for span in traced.spans].count("call") == 5
    assert len([span for span in traced.spans if span.name == "INVITE"]) <= 3


# The way to a collector.


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """One on a port of its own: its URL, and what it got."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def collected(got: list[ExportTraceServiceRequest]) -> list[Span]:
    """The spans in what a collector got."""
    return [
        span
        for request in got
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_spans_reach_a_collector(world: World) -> None:
    with collector() as (url, got):
        telemetry = open_telemetry(world.server, url)
        line = world.connected()
        line.hang_up()
        world.run()
        asyncio.run(telemetry.close())
    spans = collected(got)
    names = sorted(span.name for span in spans)
    assert names == ["BYE", "BYE", "INVITE", "INVITE", "call"]
    assert len({span.trace_id for span in spans}) == 1
    assert world.server.telemetry is None
    assert world.party.endpoint.traffic.watch is None


def test_what_peers_write_reaches_a_collector_without_secrets(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Octets that are no UTF-8 cost no attribute, and a password stays here."""
    with collector() as (url, got):
        telemetry = open_telemetry(world.server, url)
        uri = f"sip:5000:SECRET@{world.address}"
        line = world.caller.dial(uri, "5551234", call_id="one\udcff@example.com")
        world.run()
        world.call.log(world.network.now, "noted", "sip:a:SECRET@example.com \udcff")
        line.hang_up()
        world.run()
        asyncio.run(telemetry.close())
    spans = collected(got)
    invite = next(span for span in spans if span.name == "INVITE")
    attributes = {one.key: one.value.string_value for one in invite.attributes}
    assert attributes["sip.request_uri"] == f"sip:5000:xxxxxx@{world.address}"
    assert attributes["sip.call_id"] == r"one\udcff@example.com"
    call = next(span for span in spans if span.name == "call")
    (noted,) = [event for event in call.events if event.name == "noted"]
    assert noted.attributes[0].value.string_value == r"sip:a:xxxxxx@example.com \udcff"
    assert "SECRET" not in str(got)
    assert caplog.text == ""


def test_a_collector_that_is_not_there_holds_up_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with collector() as (url, _):
        pass  # nobody listens there now
    telemetry = open_telemetry(world.server, url)
    longest = 0.0
    for _ in range(30):
        line = world.standalone()
        began = time.perf_counter()
        line.hang_up()
        world.run()
        longest = max(longest, time.perf_counter() - began)
    assert longest < 1.0
    began = time.perf_counter()
    asyncio.run(telemetry.close())
    assert time.perf_counter() - began < 30
    assert "Connection refused" in caplog.text


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "simulator.telemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    config = Config.model_validate(
        {
            "server": {"data_dir": tmp_path},
            "sip": {"listen": ["udp:127.0.0.1:0"]},
            "telemetry": {"otlp": "http://127.0.0.1:4318"},
        }
    )

    async def start() -> None:
        async with call_server(config):
            raise AssertionError("unreachable")

    with pytest.raises(ServiceError, match=r"telemetry.otlp: .*pip install 'callsim\[otel\]'"):
        asyncio.run(start())
