"""The routes that the plugin adds to the proxy's own application, each part of them in a module of its own."""

from __future__ import annotations

from fastapi import FastAPI

from ..settings import Settings
from . import chat
from .router import Router


def install(app: FastAPI, settings: Settings) -> None:
    """Add every part; a part is a function that takes what it needs and returns an APIRouter."""
    router = Router.inside(app)
    for part in (chat.routes(router, settings),):
        app.include_router(part)
