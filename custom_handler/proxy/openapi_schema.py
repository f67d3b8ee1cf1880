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
            _prepend_build(app, route)


def _prepend_build(app: FastAPI, route: Route) -> None:
    building = asyncio.Lock()

    async def respond(request: Request) -> Response:
        async with building:
            await asyncio.to_thread(app.openapi)
        response: Response = await route.endpoint(request)
        return response

    route.app = request_response(respond)
