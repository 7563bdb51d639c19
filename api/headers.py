"""Header fields of every answer: the id of its request, and what keeps browsers out of harm."""

import re
import secrets
from typing import Final

from aiohttp import web

REQUEST_ID: Final = "X-Request-Id"

_GOOD: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_KEY: Final[web.RequestKey[str]] = web.RequestKey("request_id")

# A page that needs more says so by a policy of its own, with frame-ancestors in it.
STANDARD_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def request_id(request: web.BaseRequest) -> str:
    """What the client calls its request, if that can stand in a log; else a name of our own."""
    known: str | None = request.get(_KEY)
    if known is None:
        given = request.headers.get(REQUEST_ID, "")
        known = given if _GOOD.fullmatch(given) else secrets.token_hex(8)
        request[_KEY] = known
    return known


def complete(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add what an answer does not say itself."""
    headers = response.headers
    for name, value in STANDARD_HEADERS.items():
        headers.setdefault(name, value)
    headers["Server"] = "callsim"
    headers[REQUEST_ID] = request_id(request)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """`complete`, as a signal of the application: for whatever it answers, streams too."""
    complete(request, response)
