"""The web console: one page at `/`, and what it loads, from `api/console`.

The page asks the REST interface, as any other client does. Its Content-Security-Policy holds it to
this server, without exceptions: no script and no style in the page, and no markup made of text.
"""

from pathlib import Path
from typing import Final

from aiohttp import web

_FOLDER: Final = Path(__file__).parents[1] / "console"
_PAGE: Final = _FOLDER / "index.html"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES: Final = {
    f"/console/{path.relative_to(_FOLDER).as_posix()}": path
    for path in sorted(_FOLDER.rglob("*"))
    if path.suffix in _TYPES
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
# Kept, but asked for each time: what the server does not have any more is not shown.
_KEPT: Final = "private, no-cache"


def add_console(app: web.Application) -> None:
    """Serve the page at / and its files below /console."""

    async def page(request: web.Request) -> web.FileResponse:
        headers = {
            "Cache-Control": _KEPT,
            "Content-Security-Policy": _POLICY,
            "Content-Type": "text/html; charset=utf-8",
        }
        return web.FileResponse(_PAGE, headers=headers)

    async def file(request: web.Request) -> web.FileResponse:
        path = _FILES[request.path]
        headers = {"Cache-Control": _KEPT, "Content-Type": _TYPES[path.suffix]}
        return web.FileResponse(path, headers=headers)

    app.router.add_get("/", page)
    for path in _FILES:
        app.router.add_get(path, file)
