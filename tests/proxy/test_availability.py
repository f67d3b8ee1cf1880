"""Models of config.yaml are disabled if a variable that they need is not set."""

from __future__ import annotations

import contextlib
from typing import Any

import litellm
import pytest
from litellm import CustomLLM
from litellm.proxy._types import UserAPIKeyAuth

from custom_handler.proxy import availability
from custom_handler.proxy.availability import disabled_models, missing_variable
from custom_handler.proxy.model_list import ModelDisabled, ModelList
from custom_handler.proxy.wildcards import ModelNotFound

GROQ = {"model_name": "llama", "litellm_params": {"model": "groq/a", "api_key": "os.environ/GROQ_API_KEY"}}
FIREWORKS = {
    "model_name": "qwen",
    "litellm_params": {"model": "fireworks_ai/a", "api_key": "os.environ/FIREWORKS_AI_API_KEY"},
}
BEDROCK: dict[str, Any] = {
    "model_name": "nova",
    "litellm_params": {
        "model": "os.environ/BEDROCK_MODEL_ID",
        "custom_llm_provider": "bedrock",
        "aws_region_name": "os.environ/AWS_REGION",
    },
}
STACKSPOT = {"model_name": "chat", "litellm_params": {"model": "stackspot/chat", "api_base": "os.environ/NOT_SET"}}
NAMES = [
    "GROQ_API_KEY",
    "FIREWORKS_AI_API_KEY",
    "FIREWORKS_API_KEY",
    "FIREWORKSAI_API_KEY",
    "FIREWORKS_AI_TOKEN",
    "BEDROCK_MODEL_ID",
    "AWS_REGION",
    "AWS_REGION_NAME",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_EC2_METADATA_DISABLED",
    "NOT_SET",
]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch, tmp_path):
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    availability._has_aws_credentials.cache_clear()
    yield
    availability._has_aws_credentials.cache_clear()


@pytest.mark.parametrize(
    ("entry", "given", "missing"),
    [
        (GROQ, {}, "GROQ_API_KEY"),
        (GROQ, {"GROQ_API_KEY": "  "}, "GROQ_API_KEY"),
        (GROQ, {"GROQ_API_KEY": "key"}, None),
        (FIREWORKS, {"FIREWORKS_API_KEY": "key"}, None),
        ({"model_name": "a", "litellm_params": {"model": "groq/a"}}, {}, "GROQ_API_KEY"),
        ({"model_name": "a", "litellm_params": {"model": "groq/a", "api_key": "key"}}, {}, None),
        ({"model_name": "a", "litellm_params": {"model": "openai/a", "api_base": "os.environ/NOT_SET"}}, {}, "NOT_SET"),
        (BEDROCK, {"AWS_REGION": "us-east-1"}, "BEDROCK_MODEL_ID"),
        (BEDROCK, {"BEDROCK_MODEL_ID": "nova"}, "AWS_REGION"),
        (BEDROCK, {"BEDROCK_MODEL_ID": "n", "AWS_REGION": "us-east-1"}, "AWS_PROFILE or AWS_ACCESS_KEY_ID"),
        (
            BEDROCK,
            {"BEDROCK_MODEL_ID": "n", "AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
            None,
        ),
        (
            BEDROCK,
            {"BEDROCK_MODEL_ID": "n", "AWS_REGION": "r", "AWS_PROFILE": "no-such-profile"},
            "AWS_PROFILE or AWS_ACCESS_KEY_ID",
        ),
        (STACKSPOT, {}, None),
    ],
)
def test_the_missing_variable_is_returned(monkeypatch, entry, given, missing):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert missing_variable(entry) == missing


@pytest.mark.parametrize(("setting", "asked"), [(None, False), ("true", False), ("false", True)])
def test_the_aws_metadata_service_is_called_only_if_enabled(monkeypatch, setting, asked):
    from botocore.utils import InstanceMetadataFetcher

    called: list[bool] = []
    monkeypatch.setattr(InstanceMetadataFetcher, "retrieve_iam_role_credentials", lambda _: called.append(True) or {})
    if setting is not None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", setting)
    assert availability._has_aws_credentials() is False
    assert bool(called) is asked


def test_a_name_with_one_available_deployment_is_not_disabled():
    both = [
        GROQ,
        {**FIREWORKS, "model_name": "llama"},
        {"model_name": "llama", "litellm_params": {"model": "openai/a"}},
    ]
    assert disabled_models(both) == {}
    assert disabled_models(both[:2]) == {"llama": "GROQ_API_KEY"}


@pytest.mark.parametrize("target", ["llama", {"model": "llama", "hidden": True}])
def test_an_alias_of_a_disabled_model_is_disabled(target):
    models = ModelList([GROQ, STACKSPOT], {"older": target, "to-chat": "chat"})
    with pytest.raises(ModelDisabled, match="The model older is disabled, because GROQ_API_KEY is not set"):
        models.require_enabled("older")
    for name in ("to-chat", "chat", "unknown", None, ["llama"]):
        models.require_enabled(name)


def test_the_router_gets_available_models_resolved_and_qualified(monkeypatch):
    monkeypatch.setenv("FIREWORKS_AI_API_KEY", "key")
    split = {"model_name": "chat", "litellm_params": {"model": "chat", "custom_llm_provider": "stackspot"}}
    entries = [dict(entry) for entry in (GROQ, FIREWORKS, split)]
    models = ModelList([GROQ, FIREWORKS, split])
    models.prepare(entries)
    assert [entry["model_name"] for entry in entries] == ["qwen", "chat"]
    assert entries[0]["litellm_params"]["api_key"] == "key"
    assert entries[1]["litellm_params"]["model"] == "stackspot/chat"
    models.require_enabled("qwen")
    with pytest.raises(ModelDisabled) as raised:
        models.require_enabled("llama")
    assert (raised.value.code, raised.value.to_dict()["code"]) == ("503", "model_disabled")


def wild(name, model, **info):
    return {"model_name": name, "litellm_params": {"model": model}, "model_info": info}


def test_entries_that_let_callers_choose_an_agent_are_kept_from_the_router():
    written = [STACKSPOT, wild("stackspot/*", "stackspot/*"), wild("x-*", "stackspot/01*"), wild("oa/*", "openai/*")]
    entries = [dict(entry) for entry in written]
    ModelList(written).prepare(entries)
    assert [entry["model_name"] for entry in entries] == ["chat", "oa/*"]


async def test_a_disabled_model_is_not_retrieved_beside_a_default_model(monkeypatch):
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "stackspot", "custom_handler": CustomLLM()}])
    written = [GROQ, {"model_name": "*", "litellm_params": {"model": "stackspot/chat"}}]
    models, entries = ModelList(written), [dict(entry) for entry in written]
    models.prepare(entries)
    router, caller = litellm.Router(model_list=entries), UserAPIKeyAuth(team_id="team", team_models=["team-*", "llama"])
    names = ["team-model", "llama", "other"]
    found = {name: await models.unlisted_entry(name, caller, router) is not None for name in names}
    assert found == {"team-model": True, "llama": False, "other": False}


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("chat", True),
        ("oa/gpt", True),
        ("claude-x", True),
        ("stackspot/chat", True),  # LiteLLM takes the `model` of an entry for its name
        ("unknown", True),  # which LiteLLM itself refuses
        ("stackspot/foo", False),
        ("agents/foo", False),
        ("agents/", False),
    ],
)
def test_only_models_that_the_router_has_are_listed(model, listed, monkeypatch):
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "stackspot", "custom_handler": CustomLLM()}])
    written = [STACKSPOT, wild("agents/*", "stackspot/*"), wild("oa/*", "openai/*"), wild("claude-*", "stackspot/chat")]
    models, entries = ModelList(written), [dict(entry) for entry in written]
    models.prepare(entries)
    without_wildcards = [entry for entry in entries if "*" not in entry["model_name"]]
    router = litellm.Router(model_list=entries if model != "stackspot/chat" else without_wildcards)
    for body in (
        {"model": model},
        {"model": "chat", "fallbacks": [model]},
        {"model": "chat", "fallbacks": [{"model": model}]},
    ):
        with contextlib.nullcontext() if listed else pytest.raises(ModelNotFound, match="is not listed"):
            models.require_listed(body, router)
