"""`GET /` for programs: the service and its state. Browsers get LiteLLM's own page."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Scope

STATUS = {"status": "ok", "service": "StackSpot LiteLLM Service"}


class ProgramRoot(Route):
    """The route `/`, for requests that do not ask for HTML."""

    def __init__(self) -> None:
        super().__init__("/", _status, methods=["GET"], include_in_schema=False)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Leave requests of browsers to the routes behind this one."""
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


def _status(_: Request) -> JSONResponse:
    return JSONResponse(STATUS)
