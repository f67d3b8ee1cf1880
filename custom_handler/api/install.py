"""Add the routes of the services to the proxy's application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from ..proxy.budgets import Budget
from ..proxy.client import ProxyClient
from ..proxy.key_entries import read_entries
from ..proxy.keys_file import key_of, quota_caller
from ..proxy.playground_code import PlaygroundCode
from ..settings import Settings
from ..stackspot.state.ledger import Quota
from . import chat, playground, playground_session, quota, report, trace_check, websocket

SOCKET_PATHS = (websocket.PATH,)
"""WebSockets that accept a key in the query."""


def install(
    proxy: Any,
    settings: Settings,
    read_quotas: Callable[[], Mapping[str, Quota]],
    read_budgets: Callable[[], Awaitable[Mapping[str, Budget]]] | None = None,
) -> None:
    """Add the routes to a running proxy (its module); `read_quotas` may block."""
    app: FastAPI = proxy.app
    client = ProxyClient.in_process(app)
    keys_file = settings.proxy.keys_file
    keys = map(key_of, read_entries(Path(keys_file)) if keys_file else ())
    routers = (
        chat.routes(client, settings.services),
        websocket.routes(client, settings.services),
        playground.routes(proxy, settings.account),
        playground_session.routes(PlaygroundCode.of_this_process(), lambda: getattr(proxy, "master_key", None)),
        report.routes(Path(settings.telemetry.runs_dir)),
        quota.routes(read_quotas, map(quota_caller, keys), read_budgets),
        trace_check.routes(proxy),
    )
    for router in routers:
        app.include_router(router)
    if settings.jobs.enabled:
        from ..jobs.lifespan import JobsLifespan  # noqa: PLC0415
        from . import jobs  # noqa: PLC0415  10 MiB, mostly imported by huey

        app.include_router(jobs.routes(JobsLifespan.of_running_proxy(client, settings), settings))
