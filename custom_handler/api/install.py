"""The routes that the plugin adds to the proxy's own application, each part of them in a module of its own."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..proxy.client import ProxyClient
from ..settings import Settings
from . import chat, playground, trace_check, websocket

SOCKET_PATHS = (websocket.PATH,)
"""The paths of WebSockets, whose address may have a key."""


def install(proxy: Any, settings: Settings) -> None:
    """Add every part to a running proxy (its module); a part is a function that takes what it needs and returns an APIRouter."""
    app: FastAPI = proxy.app
    router = ProxyClient.inside(app)
    parts = (
        chat.routes(router, settings.services),
        websocket.routes(router, settings.services),
        playground.routes(),
        trace_check.routes(proxy),
    )
    for part in parts:
        app.include_router(part)
    if settings.jobs.enabled:
        from ..jobs.lifespan import JobsLifespan  # noqa: PLC0415
        from . import jobs  # noqa: PLC0415  10 MiB, most of it what huey imports

        app.include_router(jobs.routes(JobsLifespan.of_running_proxy(router, settings), settings))
