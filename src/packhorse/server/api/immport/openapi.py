"""The API's own description, and Swagger UI over it, from local assets only (seed 002)."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from packhorse import __version__
from packhorse.server.api.immport.core import NO_STORE, base_of, guarded
from packhorse.server.api.immport.results import PREFIXES
from packhorse.wire.immport.openapi import describe

__all__ = ["routes"]

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Query API</title>
<link rel="stylesheet" href="swagger-ui.css">
<link rel="icon" type="image/png" href="favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The description itself is at <a href="../v3/api-docs">v3/api-docs</a>.</noscript>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</body>
</html>
"""
_START: Final = """\
window.ui = SwaggerUIBundle({
  url: new URL("../v3/api-docs", window.location.href).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "none",
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def _docs(request: Request) -> Response:
    body = json.dumps(describe(__version__, base_of(request)), ensure_ascii=False, separators=(",", ":"))
    return Response(body, headers=NO_STORE, media_type="application/json")


@functools.cache
def _asset(name: str) -> bytes:
    """A file of Swagger UI, from the package that carries it."""
    folder = resources.files("swagger_ui_bundle") / "vendor"
    newest = max((each for each in folder.iterdir() if each.name.startswith("swagger-ui-")), key=lambda each: each.name)
    return (newest / name).read_bytes()


def _ui(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    if name == "index.html":
        return Response(_PAGE, headers={**_HEADERS, "Cache-Control": "no-cache"}, media_type="text/html")
    if name == "start.js":
        return Response(_START, headers={**_HEADERS, "Cache-Control": "no-cache"}, media_type="text/javascript")
    if name not in _ASSETS:
        return Response("There is no such file\n", 404, _HEADERS, media_type="text/plain")
    headers = {**_HEADERS, "Cache-Control": "public, max-age=86400"}
    return Response(_asset(name), headers=headers, media_type=_ASSETS[name])


def _to_ui(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path.rpartition('/')[0]}/swagger-ui/index.html", 302)


routes: list[Route] = [
    route
    for prefix in PREFIXES
    for route in (
        Route(f"{prefix}/v3/api-docs", guarded(_docs), methods=["GET"]),
        Route(f"{prefix}/swagger-ui/{{name}}", _ui, methods=["GET"]),
        Route(f"{prefix}/swagger-ui.html", _to_ui, methods=["GET"]),
    )
]
