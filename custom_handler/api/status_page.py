"""`GET /` for programs: name and status of the service. Browsers get LiteLLM's own page."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Scope

STATUS = {"status": "ok", "service": "StackSpot LiteLLM Service"}


class StatusRoute(Route):
    """The route `/` for requests that do not accept HTML."""

    def __init__(self) -> None:
        super().__init__("/", _status, methods=["GET"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match requests of programs; browsers reach the next routes."""
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


def _status(_: Request) -> JSONResponse:
    return JSONResponse(STATUS)
