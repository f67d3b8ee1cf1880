"""The routes of kept responses, where the real proxy's tests do not meet them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
from litellm.proxy.response_api_endpoints import endpoints

from custom_handler.api.kept_responses import routes
from custom_handler.history.history import ResponseHistory
from custom_handler.history.store import ResponseStore
from custom_handler.proxy.kept_responses import owner_of, refuse_compaction

KEY = UserAPIKeyAuth(api_key="hash-of-a")


@pytest.fixture(autouse=True)
def proxy_with_a_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(master_key="sk-master"))


def client_of(history: ResponseHistory | None) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(routes(history))
    app.dependency_overrides[user_api_key_auth] = lambda: KEY

    @app.exception_handler(ProxyException)
    async def _(_: Request, error: ProxyException) -> JSONResponse:
        return JSONResponse({"error": error.to_dict()}, int(error.code or 500))

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy")


@pytest.mark.parametrize(
    "path", ["/v1/responses/resp_1", "/responses/resp_1/input_items", "/openai/v1/responses/resp_1"]
)
async def test_without_a_history_nothing_is_found(path: str) -> None:
    async with client_of(None) as client:
        found = await client.get(path)
    assert (found.status_code, found.json()["error"]["message"]) == (
        404,
        "This proxy keeps no responses: its operator has set RESPONSES_KEEP to 0.",
    )


async def test_pages_of_input_items_go_on_behind_an_item(store: ResponseStore) -> None:
    history = ResponseHistory(store, 10_000)
    turn = await history.resolve(owner_of(KEY), {"input": [{"role": "user", "content": f"{n}"} for n in range(3)]})
    await history.keep(turn, {"id": "resp_1", "object": "response", "output": []})
    async with client_of(history) as client:
        path = "/v1/responses/resp_1/input_items"
        first = (await client.get(path, params={"limit": 2, "order": "asc"})).json()
        rest = (await client.get(path, params={"order": "asc", "after": first["last_id"]})).json()
        wrong = await client.get(path, params={"after": "msg_x"})
    assert [len(first["data"]), first["has_more"], len(rest["data"]), rest["has_more"]] == [2, True, 1, False]
    assert (first["first_id"], first["data"][0]["content"][0]["text"]) == (first["data"][0]["id"], "0")
    assert (wrong.status_code, "the response has no input item 'msg_x'" in wrong.text) == (400, True)


async def test_a_response_that_its_provider_keeps_is_litellms_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    async def get_response(response_id: str, *_: Any) -> dict[str, str]:
        return {"found": response_id}

    monkeypatch.setattr(endpoints, "get_response", get_response)
    name = endpoints_id("openai")
    async with client_of(None) as client:
        assert (await client.get(f"/v1/responses/{name}")).json() == {"found": name}
        assert (await client.get("/v1/responses/litellm_poll_1")).json() == {"found": "litellm_poll_1"}
        assert (await client.get(f"/v1/responses/{endpoints_id('stackspot')}")).status_code == 404


def endpoints_id(provider: str) -> str:
    """Return an id as LiteLLM makes it for a provider's response."""
    from litellm.responses.utils import ResponsesAPIRequestUtils

    return str(ResponsesAPIRequestUtils._build_responses_api_response_id(provider, "m-1", "resp_abc"))


class Router:
    """A router with one model of each provider, named as it."""

    def get_model_list(self, model_name: str) -> list[dict[str, Any]]:
        return [{"litellm_params": {"model": f"{model_name}/some"}}]


def test_only_a_provider_that_keeps_responses_compacts() -> None:
    refuse_compaction("openai", Router())
    for model in ("stackspot", "groq", None):
        with pytest.raises(ProxyException, match="This model cannot compact a conversation"):
            refuse_compaction(model, Router())
