"""The routes that the plugin adds to the proxy's own application, each part of them in a module of its own."""

from __future__ import annotations

import functools

from fastapi import FastAPI

from ..settings import Settings
from . import chat, playground, websocket
from .jobs import routes as jobs
from .jobs.service import Jobs
from .middleware import wrap
from .query_key import QueryKey
from .router import Router


def install(app: FastAPI, settings: Settings) -> None:
    """Add every part; a part is a function that takes what it needs and returns an APIRouter."""
    router = Router.inside(app)
    for part in (chat.routes(router, settings), websocket.routes(router, settings), playground.routes()):
        app.include_router(part)
    if settings.jobs:
        app.include_router(jobs.routes(Jobs.of_this_proxy(router, settings), settings))
    wrap(app, functools.partial(QueryKey, path=websocket.PATH))
