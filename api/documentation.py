"""What describes the surface: the OpenAPI document, and a page that shows it and tries it out.

The page is Swagger UI, from a package that carries all it needs. A Content-Security-Policy
without exceptions holds it to this server: no script in the page, nothing from elsewhere.
"""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from swagger_ui_bundle import swagger_ui_path

from api.errors import Answer, ApiError, shown
from api.openapi import with_full_paths

_DOCUMENT: Final = "/openapi.json"
_PAGE: Final = "/docs"
_START: Final = f"{_PAGE}/start.js"
_FOLDER: Final[Path] = swagger_ui_path
# The version is in the path, so that a browser may keep them for good.
_ASSETS: Final = {
    f"{_PAGE}/{_FOLDER.name}/{name}": _FOLDER / name
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
}
_SCRIPT_PATH, _STYLE_PATH, _ICON_PATH = (escape(path[1:]) for path in _ASSETS)

PUBLIC: Final = frozenset({_DOCUMENT, _PAGE, _START, *_ASSETS})
"""The paths that need no password."""

# Relative, so that a proxy may have all of it below a path of its own.
_HTML: Final = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Callsim: REST operations</title>
<link rel="icon" href="{_ICON_PATH}">
<link rel="stylesheet" href="{_STYLE_PATH}">
<script src="{_SCRIPT_PATH}" defer></script>
<script src="{_START[1:]}" defer></script>
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
</body>
</html>
"""
_START_SCRIPT: Final = """\
window.docs = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
}


def add_documentation(app: web.Application, described: Mapping[str, Any]) -> None:
    """Serve the document `described` as /openapi.json, and the page at /docs."""
    plain = Answer(200, json.dumps(described).encode())
    full = json.dumps(with_full_paths(described)).encode()

    async def document(request: web.Request) -> web.Response:
        wanted = request.query.get("paths")
        if wanted is None:
            return plain.response()
        if wanted != "full":
            details = f'paths is {shown(wanted)}; give "full", or leave it out'
            raise ApiError(400, details, code="INVALID_REQUEST")
        # Host as it came: the guard has seen it, and request.url raises where it is no address.
        servers = json.dumps([{"url": f"{request.scheme}://{request.host}"}]).encode()
        return Answer(200, b'{"servers": %b, %b' % (servers, full[1:])).response()

    async def page(request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=_HTML, content_type="text/html", headers=headers)

    async def start(request: web.Request) -> web.Response:
        return web.Response(text=_START_SCRIPT, content_type="text/javascript")

    async def asset(request: web.Request) -> web.FileResponse:
        file = _ASSETS[request.path]
        headers = {"Cache-Control": _FOR_GOOD, "Content-Type": _TYPES[file.suffix]}
        return web.FileResponse(file, headers=headers)

    app.router.add_get(_DOCUMENT, document)
    app.router.add_get(_PAGE, page)
    app.router.add_get(_START, start)
    for path in _ASSETS:
        app.router.add_get(path, asset)
