"""The export of records: an answer of any length, of which a piece at a time is in memory.

The next piece is read once the client has taken most of the one before. One who takes nothing
for a while, takes longer than an hour, or has gone, is dropped. Where an export cannot go on,
the connection is closed before the end that HTTP marks, so that nobody takes the part for the
whole.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import hdrs, web

from api.keys import OPTIONS
from api.report_models import CsvRecords
from api.streams import Stream, abort
from simulator.cdr_queries import CdrFilter
from simulator.reports import Reports

_log = logging.getLogger(__name__)


class CsvExport(Stream):
    """All records that match."""

    model = CsvRecords
    media_type = "text/csv"

    def __init__(self, reports: Reports, wanted: CdrFilter) -> None:
        self._reports = reports
        self._wanted = wanted

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, until all is sent or the client has enough."""
        response = web.StreamResponse()
        response.headers[hdrs.CONTENT_DISPOSITION] = 'attachment; filename="cdr.csv"'
        response.content_type = self.media_type
        response.charset = "utf-8"
        longest = request.app[OPTIONS].longest_export
        async with self._reports.export(self._wanted) as pieces:
            first = await anext(pieces)  # a fault until here has an answer of its own
            whole = asyncio.timeout(longest)
            try:
                await response.prepare(request)
                if request.method != hdrs.METH_HEAD:
                    async with whole:
                        await self._send(request, response, first, pieces)
            except TimeoutError:
                late = f"more than {longest:g} s for" if whole.expired() else "nothing of"
                _log.warning("%s takes %s its export, which ends here", request.remote, late)
                abort(request)
            except ConnectionError:  # it has gone
                pass
            except Exception:
                _log.exception("an export to %s cannot go on", request.remote)
                abort(request)
        return response

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        first: str,
        rest: AsyncIterator[str],
    ) -> None:
        patience = request.app[OPTIONS].patience
        piece: str | None = first
        while piece is not None:
            async with asyncio.timeout(patience):
                await response.write(piece.encode())
            piece = await anext(rest, None)
