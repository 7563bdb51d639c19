"""The figures of a call server as Prometheus reads them: `/metrics`.

Whoever handles calls adds to plain numbers of its own; they are read here, when somebody asks.
A scrape costs what it shows, however many calls there are, and no label has values that peers
could make up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from simulator.call_index import CALL_STATES
from sip.traffic import TIMERS, figures

if TYPE_CHECKING:
    from simulator.server import CallServer

Labels = TypeVar("Labels", bound=Sequence[str])
"""Values of the labels of a sample."""

_LAG: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_KINDS: Final = ("blind", "consultation", "attended")
_OUTCOMES: Final = ("completed", "failed", "cancelled")


class Histogram:
    """How many values there were up to each of `bounds`, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add a sample of what was observed."""
        count = 0
        buckets: list[tuple[str, float]] = []
        for bound, more in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += more
            buckets.append(("+Inf" if bound == float("inf") else str(bound), count))
        family.add_metric(labels, buckets, self._sum)


def counter(name: str, what: str, labels: Sequence[str], samples: Mapping[Labels, float]) -> Metric:
    """A family of counters, which Prometheus calls `name` with ``_total``."""
    return _with(CounterMetricFamily(name, what, labels=labels), samples)


def gauge(name: str, what: str, labels: Sequence[str], samples: Mapping[Labels, float]) -> Metric:
    """A family of gauges."""
    return _with(GaugeMetricFamily(name, what, labels=labels), samples)


def _with(
    family: CounterMetricFamily | GaugeMetricFamily, samples: Mapping[Labels, float]
) -> Metric:
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def _one(value: float) -> Mapping[tuple[str, ...], float]:
    return {(): value}


class Metrics:
    """The figures of `server`.

    `loop_lag` gets how many seconds late the event loop is, from whoever knows.
    """

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self.loop_lag = Histogram(_LAG)

    def families(self) -> Iterator[Metric]:
        """All of this moment; to be read in the thread of the calls."""
        yield from self._sip()
        yield from self._sources()
        yield self._faults()
        yield from self._calls()
        yield from self._connects()
        yield from self._rest()

    def _sip(self) -> Iterable[Metric]:
        endpoint = self._server.stack.endpoint
        traffic = endpoint.traffic
        requests: dict[tuple[str, ...], float] = {}
        responses: dict[tuple[str, ...], float] = {}
        for direction, counts in (("received", traffic.received), ("sent", traffic.sent)):
            for method, status, count in figures(counts):
                if status == 0:
                    requests[direction, method] = count
                else:
                    responses[direction, method, f"{status}xx"] = count
        fired = {(name,): traffic.timers[place] for place, name in TIMERS.items()}
        fired[("other",)] = endpoint.wheel.fired - sum(fired.values())
        return (
            counter(
                "callsim_sip_requests",
                "SIP requests, without those that were sent again or came again.",
                ("direction", "method"),
                requests,
            ),
            counter(
                "callsim_sip_responses",
                "SIP responses by the method of their request and the class of their code, "
                "without those that were sent again or came again.",
                ("direction", "method", "class"),
                responses,
            ),
            counter(
                "callsim_sip_retransmissions",
                "SIP messages that were sent again, or came again.",
                ("direction",),
                {("received",): traffic.repeated, ("sent",): endpoint.retransmitted},
            ),
            counter(
                "callsim_sip_parse_errors",
                "What arrived and breaks the grammar of SIP: unreadable (dropped), or a malformed "
                "request (answered).",
                ("kind",),
                {("unreadable",): traffic.unreadable, ("request",): traffic.malformed},
            ),
            counter(
                "callsim_sip_discarded",
                "SIP messages dropped without an answer: strays, late ones, unreadable ones.",
                (),
                _one(endpoint.discarded),
            ),
            counter(
                "callsim_sip_timers_fired",
                "Timers that fired: RFC 3261's by letter, those of usages by name.",
                ("timer",),
                fired,
            ),
            gauge(
                "callsim_sip_transactions",
                "SIP transactions, those that only absorb strays included.",
                ("side",),
                {("client",): len(endpoint.clients), ("server",): len(endpoint.servers)},
            ),
            gauge("callsim_sip_dialogs", "SIP dialogs.", (), _one(len(endpoint.sessions))),
            gauge(
                "callsim_sip_invites_waiting",
                "New calls that wait to be let in.",
                (),
                _one(endpoint.door.waiting),
            ),
        )

    def _sources(self) -> Iterable[Metric]:
        server = self._server
        screen = server.sources.screen
        return (
            counter(
                "callsim_sip_screened",
                "Requests of sources that may not send them, or not so many: dropped, or "
                "refused with 503.",
                ("outcome",),
                {("dropped",): screen.dropped, ("refused",): screen.refused},
            ),
            counter("callsim_sip_bans", "Sources banned.", (), _one(screen.bans_made)),
            gauge(
                "callsim_sip_banned_sources",
                "Sources that are banned now.",
                (),
                _one(len(screen.banned(server.stack.now()))),
            ),
        )

    def _faults(self) -> Metric:
        fired = self._server.faults.fired
        return counter(
            "callsim_faults_fired",
            "How often each fault rule that is there has fired.",
            ("fault",),
            {(name,): count for name, count in fired.items()},
        )

    def _calls(self) -> Iterable[Metric]:
        server = self._server
        statistics = server.statistics
        total = statistics.total()
        refused = server.admission.refused
        reasons = {
            ("calls",): refused.calls,
            ("rate",): refused.rate,
            ("delay",): refused.delay,
            ("other",): total.rejected - refused.calls - refused.rate - refused.delay,
        }
        outcomes = server.transfer_log.outcomes
        licences = server.licences
        return (
            gauge(
                "callsim_calls",
                "Calls by state.",
                ("state",),
                {(state,): server.index.oldest(state, None, 0)[0] for state in CALL_STATES},
            ),
            gauge(
                "callsim_calls_peak",
                "The most calls at a time since the start.",
                (),
                _one(statistics.peak),
            ),
            counter(
                "callsim_calls_offered",
                "New calls, those that were refused included.",
                (),
                _one(total.new_calls),
            ),
            counter(
                "callsim_calls_refused",
                "New calls refused: too many calls, too high a rate, too long a delay, or other "
                "(the server stops, or Max-Forwards is 0).",
                ("reason",),
                reasons,
            ),
            counter(
                "callsim_calls_ended",
                "Calls that ended, by the result in their CDR.",
                ("result",),
                {(result,): count for result, count in statistics.results.items()},
            ),
            counter(
                "callsim_transfers",
                "Transfers by kind and outcome.",
                ("kind", "outcome"),
                {(k, one): outcomes.get((k, one), 0) for k in _KINDS for one in _OUTCOMES},
            ),
            gauge(
                "callsim_ready",
                "1 while new calls are taken.",
                (),
                _one(server.ready),
            ),
            gauge(
                "callsim_overloaded",
                "1 while calls are refused for their rate or delay.",
                (),
                _one(bool(server.admission.overload)),
            ),
            gauge(
                "callsim_licences_limit",
                "Ports licensed; 0: they are not counted.",
                (),
                _one(licences.limit),
            ),
            gauge(
                "callsim_licences_used",
                "Ports in use, where they are counted.",
                (),
                _one(licences.used if licences.limit else 0),
            ),
            counter(
                "callsim_licences_denied",
                "Calls refused for want of a licence.",
                (),
                _one(licences.denied),
            ),
        )

    def _connects(self) -> Iterable[Metric]:
        server = self._server
        total = server.statistics.total()
        latency = SummaryMetricFamily(
            "callsim_connect_latency_seconds", "Time from a CONNECT to the answer of its target."
        )
        latency.add_metric((), total.answers, total.latency)
        return (
            latency,
            counter(
                "callsim_connects_failed",
                "Targets that could not be reached, before or after the caller was answered.",
                ("caller",),
                {
                    ("unanswered",): total.failed_pre_dialog,
                    ("answered",): total.failed_in_dialog,
                },
            ),
            gauge("callsim_legs", "Call legs.", (), _one(len(server.stack.endpoint.owned))),
            counter("callsim_legs_begun", "Call legs since the start.", (), _one(total.legs)),
            counter(
                "callsim_icm_lookups",
                "Routing decisions asked of ICM.",
                (),
                _one(total.lookups),
            ),
            counter(
                "callsim_announcements",
                "Whispers and greetings to agents.",
                ("kind", "outcome"),
                {
                    ("whisper", "played"): total.whispers,
                    ("whisper", "failed"): total.failed_whispers,
                    ("greeting", "played"): total.greetings,
                    ("greeting", "failed"): total.failed_greetings,
                },
            ),
        )

    def _rest(self) -> Iterable[Metric]:
        server = self._server
        store, events = server.store, server.events
        lag = HistogramMetricFamily(
            "callsim_event_loop_lag_seconds",
            "How late the event loop is, looked at ten times a second.",
        )
        self.loop_lag.add_to(lag)
        return (
            lag,
            gauge("callsim_cdr_waiting", "CDRs that are not stored yet.", (), _one(store.pending)),
            gauge(
                "callsim_cdr_journaled",
                "Those of them that are in the journal.",
                (),
                _one(store.journaled),
            ),
            counter(
                "callsim_cdr_lost", "CDRs that could not be stored.", (), _one(store.malformed)
            ),
            gauge(
                "callsim_cdr_store_healthy",
                "1 while CDRs are stored, and in time.",
                (),
                _one(store.healthy),
            ),
            counter(
                "callsim_events",
                "Events published while somebody reads them.",
                (),
                _one(events.published),
            ),
            gauge(
                "callsim_event_readers",
                "Who reads events now.",
                (),
                _one(len(events.readers)),
            ),
            gauge(
                "callsim_build_info",
                "1; the version is in the label.",
                ("version",),
                {(server.version,): 1},
            ),
        )
