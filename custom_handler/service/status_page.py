"""Answers `GET /` with the service's status, but for browsers, which get LiteLLM's page."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

STATUS = {"status": "ok", "service": "StackSpot LiteLLM Service"}


class StatusPage:
    """ASGI middleware that answers `GET /` where the client does not ask for HTML."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and scope["path"] == "/"
        if asked and "text/html" not in Headers(scope=scope).get("accept", "").lower():
            await JSONResponse(STATUS)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
