"""What LiteLLM is told about the models of agents."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from litellm import Router

from custom_handler.proxy.model_defaults import has_price, model_defaults
from custom_handler.proxy.model_list import ModelList
from custom_handler.settings import Settings

SPLIT = {"model": "chat", "custom_llm_provider": "stackspot"}


def prepared(*entries: dict[str, Any], **settings: str) -> list[dict[str, Any]]:
    models = [dict(entry) for entry in entries]
    ModelList(entries, defaults=model_defaults(Settings.from_mapping(settings))).prepare(models)
    return models


def test_a_model_of_an_agent_gets_limits_and_capabilities_which_config_yaml_overrides() -> None:
    own = {"mode": "responses", "max_input_tokens": 1000}
    written = {"model_name": "own", "litellm_params": {"model": "stackspot/chat"}, "model_info": own}
    plain, changed, other = prepared(
        {"model_name": "chat", "litellm_params": SPLIT},
        written,
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}},
        STACKSPOT_MAX_PROMPT_CHARS="8000",
    )
    assert plain["model_info"]["max_input_tokens"] == 2000
    assert plain["model_info"]["supports_function_calling"] is True
    assert plain["model_info"]["supports_vision"] is False
    assert changed["model_info"] == {**plain["model_info"], **own}
    assert "model_info" not in other
    assert written["model_info"] == own, "config.yaml's own entry is left alone"


def test_a_quick_command_has_only_the_capabilities_that_its_input_has_a_place_for() -> None:
    inputs = (None, "{conversation}", {"code": "{last_user_message}", "rules": ["{system}"]}, 7)
    models = prepared(
        *(
            {
                "model_name": "explain",
                "litellm_params": {"model": "quick-command/explain", "custom_llm_provider": "stackspot"},
                "model_info": {} if one is None else {"quick_command": {"input": one}},
            }
            for one in inputs
        ),
        {
            "model_name": "own",
            "litellm_params": {"model": "stackspot/quick-command/explain"},
            "model_info": {"supports_function_calling": True},
        },
    )
    abilities = ("function_calling", "parallel_function_calling", "tool_choice", "response_schema", "system_messages")
    names = [f"supports_{ability}" for ability in abilities]
    last, whole, system, wrong, own = ([model["model_info"][name] for name in names] for model in models)
    assert last == [False] * 5
    assert whole == wrong == [True] * 5, "a wrong input is the error of each request"
    assert system == [False] * 4 + [True]
    assert own == [True] + [False] * 4, "config.yaml has the last word"


def test_a_quick_command_lists_only_the_parameters_that_it_has_a_place_for(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"model": "stackspot/quick-command/explain"}
    models = prepared(
        {"model_name": "last", "litellm_params": params},
        {
            "model_name": "whole",
            "litellm_params": params,
            "model_info": {"quick_command": {"input": "{conversation}"}},
        },
        {"model_name": "own", "litellm_params": params, "model_info": {"supports_response_schema": True}},
    )
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list, "stackspot"])
    monkeypatch.setattr(litellm, "_custom_providers", [*litellm._custom_providers, "stackspot"])
    router = Router(model_list=models)
    found = {}
    for name in ("last", "whole", "own"):
        group = router.get_model_group_info(model_group=name)
        assert group is not None
        found[name] = set(group.supported_openai_params or ())
    gone = {"tools", "functions", "function_call", "web_search_options", "parallel_tool_calls", "tool_choice"}
    assert found["whole"] - found["last"] == gone | {"response_format"}
    assert found["whole"] - found["own"] == gone
    assert {"stop", "stream", "max_tokens"} <= found["last"]


def test_files_are_a_capability_where_uploads_are_on() -> None:
    [model] = prepared({"model_name": "chat", "litellm_params": SPLIT}, STACKSPOT_UPLOADS="true")
    assert model["model_info"]["supports_vision"] is model["model_info"]["supports_pdf_input"] is True


def test_the_router_knows_the_defaults_and_the_prices_in_either_place(monkeypatch: pytest.MonkeyPatch) -> None:
    by_request = {"model_name": "credits", "litellm_params": {**SPLIT, "input_cost_per_query": 0.25}}
    by_token = {
        "model_name": "tokens",
        "litellm_params": {"model": "stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAV"},
        "model_info": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    }
    models = prepared(by_request, by_token)
    assert models[0]["model_info"]["input_cost_per_query"] == 0.25
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list, "stackspot"])
    router = Router(model_list=models)
    plain, tokens = (router.get_model_group_info(model_group=name) for name in ("credits", "tokens"))
    assert plain is not None
    assert tokens is not None
    assert (plain.mode, plain.max_input_tokens, plain.supports_function_calling) == ("chat", 250_000, True)
    assert (tokens.input_cost_per_token, tokens.output_cost_per_token) == (1e-6, 2e-6)


def test_a_price_of_zero_is_a_price() -> None:
    assert has_price({}, {"output_cost_per_token": 0})
    assert has_price({"input_cost_per_query": 0.1}, {})
    assert not has_price({"model": "stackspot/chat"}, {"mode": "chat"})
