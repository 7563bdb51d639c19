"""Answers that are no JSON: a whole file in memory."""

from aiohttp import web

from api.streams import Stream


class Download(Stream):
    """A file of the subclass's `media_type`; with a `name` browsers save it under that."""

    def __init__(self, body: bytes, name: str = "") -> None:
        self._body = body
        self._name = name

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Send it."""
        response = web.Response(body=self._body, content_type=self.media_type)
        if self.media_type.startswith("text/"):
            response.charset = "utf-8"
        if self._name:
            response.headers["Content-Disposition"] = f'attachment; filename="{self._name}"'
        return response
