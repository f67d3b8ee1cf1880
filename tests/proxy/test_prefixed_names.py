"""`openai/chat` is `chat`, unless the operator has said what it is; tests/e2e/test_routing.py asks the proxy."""

from __future__ import annotations

import types
from typing import Any

import pytest

from custom_handler.proxy.prefixed_names import add_prefixed_names, prefixed_names


def entry(name: str, model: str = "stackspot/chat") -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model}}


def test_each_model_and_each_alias_of_one_has_its_prefixed_names() -> None:
    names = prefixed_names([entry("chat")], {"gpt-4o": "chat", "fast": {"model": "chat", "hidden": True}})
    assert names == dict.fromkeys(
        (f"{prefix}/{name}" for name in ("chat", "gpt-4o", "fast") for prefix in ("openai", "anthropic")), "chat"
    )


def test_models_of_other_providers_and_wildcards_have_none() -> None:
    entries = [entry("llama", "groq/llama"), entry("claude-*")]
    assert prefixed_names(entries, {"fast": "llama", "lost": "nosuch", "odd": None}) == {}


@pytest.mark.parametrize(
    ("other", "alias", "left"),
    [
        (entry("openai/chat"), None, ["anthropic/chat"]),
        (entry("openai/*", "openai/*"), None, ["anthropic/chat"]),
        (entry("openai/c", "groq/llama"), None, ["openai/chat", "anthropic/chat"]),
        (entry("*"), None, ["openai/chat", "anthropic/chat"]),
        (entry("*chat*"), None, ["openai/chat", "anthropic/chat"]),
        (entry("llama", "groq/llama"), {"anthropic/chat": "llama"}, ["openai/chat"]),
    ],
)
def test_what_the_operator_has_said_stays(other: dict[str, Any], alias: Any, left: list[str]) -> None:
    names = [name for name in prefixed_names([entry("chat"), other], alias) if name.count("/") == 1]
    assert names == left


def test_they_are_hidden_aliases_of_the_router() -> None:
    router = types.SimpleNamespace(model_list=[entry("chat")], model_group_alias={"gpt-4o": "chat"})
    add_prefixed_names(router)
    assert router.model_group_alias["gpt-4o"] == "chat"
    assert router.model_group_alias["anthropic/gpt-4o"] == {"model": "chat", "hidden": True}
    add_prefixed_names(None)
