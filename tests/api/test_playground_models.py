"""`GET /playground/models`: which models the page offers, and what it knows of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from custom_handler.api.playground import routes
from custom_handler.cli.run import simulator_environment
from custom_handler.proxy.auth import require_key
from custom_handler.settings import AccountSettings, Settings

AGENT = {"mode": "chat", "providers": ["stackspot"], "supports_vision": True}
GROUPS: dict[str, dict[str, Any]] = {
    "agent": AGENT,
    "agent-without-uploads": AGENT | {"supports_vision": False},
    "groq": {"mode": "chat", "providers": ["groq"], "supports_vision": True},
    "codex": {"mode": "responses", "providers": ["openai"], "supports_vision": False},
    "no-mode": {"mode": None, "providers": ["openai"], "supports_vision": False},
    **{
        mode: {"mode": mode, "providers": ["openai"]}
        for mode in ("embedding", "image_generation", "rerank", "audio_speech")
    },
}


class Router:
    def get_model_group_info(self, name: str) -> Any:
        return SimpleNamespace(**GROUPS[name]) if name in GROUPS else None


async def model_list(user_api_key_dict: str) -> dict[str, Any]:
    assert user_api_key_dict == "the key"
    return {"data": [{"id": name} for name in (*GROUPS, "stackspot/*", "unknown")]}


def offered(account: AccountSettings, router: Router | None) -> dict[str, dict[str, Any]]:
    app = FastAPI()
    app.include_router(routes(SimpleNamespace(llm_router=router, model_list=model_list), account))
    app.dependency_overrides[require_key] = lambda: "the key"
    listed = TestClient(app).get("/playground/models").json()["data"]
    return {model.pop("id"): model for model in listed}


def test_models_that_answer_chats_are_offered_with_what_they_read():
    models = offered(AccountSettings(), Router())
    assert list(models) == ["agent", "agent-without-uploads", "groq", "codex", "no-mode", "unknown"]
    assert models["agent"] == {"images": True, "files": True, "simulated": False}
    assert models["agent-without-uploads"] == {"images": False, "files": False, "simulated": False}
    assert models["groq"] == {"images": True, "files": False, "simulated": False}


def test_without_a_router_there_is_still_a_list():
    assert "agent" in offered(AccountSettings(), None)


@pytest.mark.parametrize("simulated", [True, False])
def test_the_simulators_account_is_known_by_its_credentials(monkeypatch, simulated):
    for name, value in simulator_environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    if not simulated:
        monkeypatch.setenv("STACKSPOT_REALM", "acme")
    models = offered(Settings.load().account, Router())
    assert [models[name]["simulated"] for name in ("agent", "groq")] == [simulated, False]
