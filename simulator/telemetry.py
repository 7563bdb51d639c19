"""Traces by OpenTelemetry: a span for each call, and below it one for each SIP transaction.

Imported only where `telemetry.otlp` names a collector: it takes the extra ``otel``. Spans are sent
by a thread of the SDK; where the collector is slow or gone they are dropped, and calls go on.
How many calls are traced says OTEL_TRACES_SAMPLER, as with any program that uses the SDK.
"""

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from simulator.leg import Leg
from simulator.masking import masked
from sip.message import Request
from sip.transaction.client import ClientTransaction
from sip.transaction.machine import Transaction

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.server import CallServer

MOST_OPEN: Final = 20_000
"""Transactions that are watched at a time; then the oldest has no span."""

_TIMEOUT: Final = 5.0  # seconds that the collector has for a batch
_NETWORK: Final = {"UDP": "udp", "TCP": "tcp", "TLS": "tcp"}
_Value = str | int | float | bool


class _Open(NamedTuple):
    """A transaction without a final response; `call` and `leg` once they are known."""

    started: float
    request: Request
    local_tag: str
    call: Span | None
    leg: str


class Telemetry:
    """The traces of `server`; `processor` gets each span that has ended."""

    def __init__(self, server: "CallServer", processor: SpanProcessor) -> None:
        self._server = server
        self._provider = TracerProvider(
            resource=Resource.create(
                {
                    "service.name": "callsim",
                    "service.version": server.version,
                    "service.instance.id": server.config.server.name,
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("callsim", server.version)
        self._calls: dict[Call, Span] = {}
        self._open: dict[Transaction, _Open] = {}
        server.telemetry = self
        server.stack.endpoint.traffic.watch = self

    async def close(self) -> None:
        """Send what is left, for a while, and end the thread."""
        self._server.stack.endpoint.traffic.watch = None
        self._server.telemetry = None
        await asyncio.to_thread(self._provider.shutdown)

    # Calls.

    def call_begun(self, call: "Call") -> None:
        """A call has begun."""
        self._calls[call] = self._tracer.start_span(
            "call", start_time=self._nanoseconds(call.started)
        )

    def call_ended(self, call: "Call", now: float) -> None:
        """A call has ended: its span says what became of it, with its history as events."""
        span = self._calls.pop(call, None)
        if span is None:
            return
        for leg in call.legs:  # its INVITE went out before the leg was known, and may go on
            tx = leg.session.client_invite
            one = self._open.get(tx) if tx is not None else None
            if tx is not None and one is not None:
                self._open[tx] = one._replace(call=span, leg=leg.kind)
        if span.is_recording():
            span.set_attributes(_of_call(call))
            for at, event, details in call.history:
                told = {"callsim.details": _clean(details)} if details else None
                span.add_event(event, told, self._nanoseconds(at))
            if call.result == "error":
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", str(call.error_code or "error"))
        span.end(self._nanoseconds(now))

    # Transactions.

    def began(self, tx: Transaction, request: Request, local_tag: str | None) -> None:
        """A request is sent, or has come."""
        if local_tag is None:  # no dialog, so no call
            return
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        call, leg = self._of(local_tag)
        now = self._server.stack.now()
        self._open[tx] = _Open(now, request, local_tag, call, leg)

    def ended(self, tx: Transaction, status: int) -> None:
        """It has its final response, or what stands for one: its span is complete."""
        one = self._open.pop(tx, None)
        if one is None:
            return
        call, leg = (one.call, one.leg) if one.call is not None else self._of(one.local_tag)
        if call is None or not call.get_span_context().trace_flags.sampled:
            return
        request = one.request
        outgoing = isinstance(tx, ClientTransaction)
        listener, address = tx.listener, tx.address
        attributes: dict[str, _Value] = {
            "network.protocol.name": "sip",
            "network.transport": _NETWORK.get(listener.transport, "udp"),
            "network.peer.address": address[0],
            "network.peer.port": address[1],
            "network.local.address": listener.local_host(address[0]),
            "network.local.port": listener.port,
            "sip.method": request.method,
            "sip.request_uri": _clean(request.uri),
            "sip.call_id": _clean(request.call_id),
            "sip.status_code": status,
            "callsim.leg": leg,
        }
        failed = status >= (400 if outgoing else 500)  # as HTTP has it: whose fault it is
        if failed:
            attributes["error.type"] = str(status)
        span = self._tracer.start_span(
            request.method,
            set_span_in_context(call),
            SpanKind.CLIENT if outgoing else SpanKind.SERVER,
            attributes,
            start_time=self._nanoseconds(one.started),
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(self._nanoseconds(self._server.stack.now()))

    def _of(self, local_tag: str) -> tuple[Span | None, str]:
        """The span of the call whose dialog has this tag, and the kind of its leg."""
        session = self._server.stack.endpoint.sessions.get(local_tag)
        leg = session.user if session is not None else None
        if not isinstance(leg, Leg):
            return None, ""
        return self._calls.get(leg.call), leg.kind

    def _nanoseconds(self, now: float) -> int:
        return int(self._server.wall(now) * 1e9)


def _of_call(call: "Call") -> dict[str, _Value]:
    """What there is to say of a call at its end."""
    return {
        "callsim.call.guid": call.guid,
        "callsim.call.calling_number": _clean(call.calling),
        "callsim.call.called_number": _clean(call.called),
        "callsim.call.application": _clean(call.application),
        "callsim.call.result": call.result,
        "callsim.call.legs": len(call.legs),
        "callsim.call.transfers": call.transfers,
    }


def _clean(text: str) -> str:
    r"""`text` without secrets; octets that are no UTF-8 stand as ``\udcff``, as in the log.

    The exporter drops an attribute, or the whole batch, where a lone surrogate is in it.
    """
    return masked(text.encode("utf-8", "backslashreplace")).decode("utf-8", "backslashreplace")


def open_telemetry(server: "CallServer", url: str) -> Telemetry:
    """The traces of `server`, sent to the collector at `url`."""
    endpoint = f"{url.rstrip('/')}/v1/traces"
    return Telemetry(server, BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_TIMEOUT)))
