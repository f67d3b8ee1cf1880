"""The schema of the proxy's routes is built beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import httpx
from fastapi import FastAPI

from custom_handler.proxy.openapi_schema import build_schema_on_a_thread


async def test_the_schema_is_built_once_on_a_thread():
    app, builders = FastAPI(), []
    build = app.openapi

    def openapi():
        if app.openapi_schema is None:
            builders.append(threading.current_thread())
        return build()

    app.openapi = openapi  # type: ignore[method-assign]
    build_schema_on_a_thread(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client:
        responses = await asyncio.gather(*(client.get("/openapi.json") for _ in range(3)))
    assert [response.json()["openapi"][:2] for response in responses] == ["3."] * 3
    [builder] = builders
    assert builder is not threading.main_thread()
