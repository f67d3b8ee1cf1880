"""Builds the schema of `/openapi.json` on a thread, where LiteLLM would stop the event loop."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response


def build_schema_on_a_thread(app: FastAPI) -> None:
    """Build the schema of the proxy's hundreds of routes without blocking other requests.

    It takes seconds and needs no API key. FastAPI keeps the schema for the further requests.
    """
    for route in app.router.routes:
        if isinstance(route, Route) and route.path == app.openapi_url:
            route.app = request_response(_Endpoint(app, route.endpoint).respond)


class _Endpoint:
    def __init__(self, app: FastAPI, endpoint: object) -> None:
        self._app = app
        self._endpoint = endpoint
        self._building = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        async with self._building:
            await asyncio.to_thread(self._app.openapi)
        response: Response = await self._endpoint(request)  # type: ignore[operator]  # an async function of FastAPI
        return response
