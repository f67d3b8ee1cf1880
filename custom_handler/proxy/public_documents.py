"""Serves LiteLLM's two large public documents without stopping the event loop.

Neither needs an API key. LiteLLM encodes the 2 MB of each again for every request: the schema of
its routes (`/openapi.json`), which takes seconds to build, and its map of prices, in which the
operator's own deployments stand too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COST_MAP = "/public/litellm_model_cost_map"


def encode_on_a_thread(app: FastAPI) -> None:
    """Encode each document once, on a thread; the map of prices only has LiteLLM's catalog."""
    if app.openapi_url:
        schema = _Document(app.openapi, with_servers=app.root_path_in_servers)
        app.router.routes.insert(0, Route(app.openapi_url, schema.respond))
    app.router.routes.insert(0, Route(COST_MAP, _Document(GetModelCostMap.loaded_model_cost_map).respond))


class _Document:
    """The JSON of a value, encoded again only when `read` returns another object.

    `with_servers` adds the root path of the application, as FastAPI does.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]], *, with_servers: bool = False) -> None:
        self._read = read
        self._with_servers = with_servers
        self._lock = asyncio.Lock()
        self._value: Mapping[str, Any] | None = None
        self._json: dict[str, bytes] = {}  # by root path, of which an application has one

    async def respond(self, request: Request) -> Response:
        """Return the document."""
        root_path = request.scope.get("root_path", "").rstrip("/") if self._with_servers else ""
        async with self._lock:  # at most one thread, however many ask
            body = await asyncio.to_thread(self._encoded, root_path)
        return Response(body, media_type="application/json")

    def _encoded(self, root_path: str) -> bytes:
        value = self._read()
        if value is not self._value:
            self._value, self._json = value, {}
        if root_path not in self._json:
            servers = value.get("servers", [])
            if root_path and root_path not in {server.get("url") for server in servers}:
                value = {**value, "servers": [{"url": root_path}, *servers]}
            self._json[root_path] = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict).encode()
        return self._json[root_path]
