"""What Prometheus reads."""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs, web
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector

from api.http_figures import HttpFigures
from api.keys import CallServer
from api.logins import FailedLogins
from api.operations import Operations
from api.report_models import MetricsText
from api.streams import Stream

metrics: Final = Operations("Probes", prefix="", negotiated=False)


class Scrape(Stream, Collector):
    """The figures of one moment, to be written in a thread of their own."""

    model = MetricsText
    media_type = "text/plain"

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """All families, those of the process last."""
        yield from self._families
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            yield from collector.collect()

    async def respond(self, request: web.Request) -> web.Response:
        """In the form that the client asks for: OpenMetrics, or the text of Prometheus."""
        accept = ", ".join(request.headers.getall(hdrs.ACCEPT, []))
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # the version there is no number
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        body = await asyncio.to_thread(encode, self)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


@metrics.add("GET", "/metrics", "the figures")
async def get_metrics(server: CallServer, figures: HttpFigures, logins: FailedLogins) -> Scrape:
    """The figures of this moment, as Prometheus reads them."""
    return Scrape([*server.metrics.families(), *figures.families(logins)])
