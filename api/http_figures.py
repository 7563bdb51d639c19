"""How long REST takes: by operation, and by the class of the answer."""

import time
from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client.core import HistogramMetricFamily, Metric

from api.logins import FailedLogins
from api.operations import Operations
from simulator.metrics import Histogram, counter

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_OTHER: Final = "other"
"""What is no operation: a page, or a path that there is not."""


class HttpFigures:
    """The times of all requests but those whose answer is a stream."""

    def __init__(self) -> None:
        self._took: dict[tuple[str, str], Histogram] = {}

    def took(self, operation: str, status: int, seconds: float) -> None:
        """A request was answered."""
        key = operation, f"{status // 100}xx"
        known = self._took.get(key)
        if known is None:
            known = self._took[key] = Histogram(_BOUNDS)
        known.observe(seconds)

    def families(self, logins: FailedLogins) -> Iterator[Metric]:
        """All of this moment."""
        took = HistogramMetricFamily(
            "callsim_http_request_duration_seconds",
            "Time from a REST request to its answer, by operation and class of the answer; "
            "streams are not among them.",
            labels=("operation", "class"),
        )
        for labels, histogram in self._took.items():
            histogram.add_to(took, labels)
        yield took
        yield counter(
            "callsim_http_logins_refused",
            "Wrong passwords (401), those that came too soon after others (429), and too many at "
            "a time (503).",
            ("reason",),
            {("wrong",): logins.failed, ("slowed",): logins.slowed, ("busy",): logins.busy},
        )


def measuring(figures: HttpFigures, groups: Iterable[Operations]) -> Middleware:
    """The middleware that tells `figures` of each request."""
    names: dict[tuple[str, str], str | None] = {
        (one.method, group.prefix + one.path): None if one.stream is not None else one.operation_id
        for group in groups
        for one in group.declared
    }

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
        resource = request.match_info.route.resource
        place = resource.canonical if resource is not None else ""
        name = names.get((method, place), _OTHER)
        if name is not None:
            figures.took(name, response.status, time.perf_counter() - started)
        return response

    return measure
