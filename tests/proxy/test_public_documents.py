"""LiteLLM's large public documents are built and encoded beside the event loop, once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import litellm
from fastapi import FastAPI
from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap
from litellm.proxy.public_endpoints.public_endpoints import router

from custom_handler.proxy.public_documents import COST_MAP, encode_on_a_thread


async def get(app: FastAPI, *paths: str, root_path: str = "") -> list[httpx.Response]:
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
        return await asyncio.gather(*map(client.get, paths))


async def test_the_schema_is_built_once_on_a_thread():
    app, builders = FastAPI(), []
    build = app.openapi

    def openapi():
        if app.openapi_schema is None:
            builders.append(threading.current_thread())
        return build()

    app.openapi = openapi  # type: ignore[method-assign]
    encode_on_a_thread(app)
    responses = await get(app, *["/openapi.json"] * 3)
    assert [response.json() for response in responses] == [build()] * 3
    [builder] = builders
    assert builder is not threading.main_thread()


async def test_a_schema_that_was_built_anew_is_served():
    app = FastAPI()
    encode_on_a_thread(app)
    await get(app, "/openapi.json")
    app.title, app.openapi_schema = "Renamed", None
    [response] = await get(app, "/openapi.json")
    assert response.json()["info"]["title"] == "Renamed"


async def test_the_schema_names_the_root_path_of_the_application():
    app = FastAPI()
    encode_on_a_thread(app)
    [response] = await get(app, "/gateway/openapi.json", root_path="/gateway")
    assert response.json()["servers"] == [{"url": "/gateway"}]


async def test_the_map_of_prices_is_read_on_a_thread_and_shows_no_deployment(monkeypatch):
    readers: list[threading.Thread] = []
    catalog = GetModelCostMap.loaded_model_cost_map()

    def read() -> Any:
        readers.append(threading.current_thread())
        return catalog

    monkeypatch.setattr(GetModelCostMap, "loaded_model_cost_map", read)
    monkeypatch.setitem(litellm.model_cost, "stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAV", {"mode": "chat"})
    app = FastAPI()
    app.include_router(router)
    encode_on_a_thread(app)
    responses = await get(app, *[COST_MAP] * 3, f"{COST_MAP}?catalog_only=true")
    assert len({response.content for response in responses}) == 1
    assert set(responses[0].json()) == set(catalog)
    assert threading.main_thread() not in readers
