"""Add the routes of the services to the proxy's application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..proxy.client import ProxyClient
from ..settings import Settings
from . import chat, playground, trace_check, websocket

SOCKET_PATHS = (websocket.PATH,)
"""WebSockets that accept a key in the query."""


def install(proxy: Any, settings: Settings) -> None:
    """Add the routes to a running proxy (its module)."""
    app: FastAPI = proxy.app
    client = ProxyClient.in_process(app)
    routers = (
        chat.routes(client, settings.services),
        websocket.routes(client, settings.services),
        playground.routes(),
        trace_check.routes(proxy),
    )
    for router in routers:
        app.include_router(router)
    if settings.jobs.enabled:
        from ..jobs.lifespan import JobsLifespan  # noqa: PLC0415
        from . import jobs  # noqa: PLC0415  10 MiB, mostly imported by huey

        app.include_router(jobs.routes(JobsLifespan.of_running_proxy(client, settings), settings))
