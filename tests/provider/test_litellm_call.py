"""What LiteLLM hands over: the agent, the caller's correlation id, the patience, and the health probe."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from custom_handler.errors import ConfigurationError, ModelUnknown, RequestError
from custom_handler.provider.litellm_call import is_health_probe, turn_from_call
from custom_handler.request.caller import ANYONE, Caller, KeyQuota
from custom_handler.settings import AccountSettings, LimitSettings, RequestSettings, Settings

ULID = "01K00000000000000000000000"
DEFAULT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
HELLO = [{"role": "user", "content": "Olá"}]


def turn(model: str = "stackspot-chat", settings: Settings | None = None, **call: Any):
    return turn_from_call(model, HELLO, call, settings or Settings(account=AccountSettings(agent_id=DEFAULT)))


@pytest.mark.parametrize(
    ("model", "params", "agent"),
    [
        ("stackspot-chat", {}, DEFAULT),
        ("stackspot-chat", {"model_info": None}, DEFAULT),
        (ULID, {}, ULID),
        (ULID.lower(), {}, ULID.lower()),
        ("stackspot-chat", {"model_info": {"agent_id": "01MODELINFO"}}, "01MODELINFO"),
        (ULID, {"model_info": {"agent_id": "01MODELINFO"}}, "01MODELINFO"),
        ("stackspot-chat", {"agent_id": ULID}, DEFAULT),
        (ULID + "0", {}, DEFAULT),
    ],
    ids=["default", "no model_info", "by model", "in small letters", "by model_info", "both", "body", "almost an id"],
)
def test_the_agent_is_the_one_that_the_operator_configured(model, params, agent):
    assert turn(model, litellm_params=params).agent_id == agent


WILD = {"deployment_model_name": "stackspot/*"}


@pytest.mark.parametrize("model", [ULID, "foo", "stackspot-chat", "*"])
@pytest.mark.parametrize(
    "params",
    [
        {"metadata": WILD},
        {"litellm_metadata": WILD, "metadata": {"deployment_model_name": "stackspot-chat"}},
        {"metadata": {"deployment_model_name": "*"}, "model_info": {"id": "a"}},
        {"model_info": {"team_public_model_name": "stackspot/*"}},
    ],
    ids=["a wildcard", "of a bridge", "a catch-all", "of a team"],
)
def test_a_name_that_only_a_wildcard_matched_chooses_no_agent(model, params):
    with pytest.raises(ModelUnknown, match="is not listed: ask for one of GET /v1/models"):
        turn(model, litellm_params=params)


def test_the_operator_may_serve_all_names_of_a_wildcard_with_one_agent():
    for info in ({"stackspot_fixed_agent": True}, {"agent_id": DEFAULT}):
        assert turn("chat", litellm_params={"metadata": WILD, "model_info": info}).agent_id == DEFAULT


@pytest.mark.parametrize("key", ["agent_id", "realm", "model_info", "idm_url", "inference_url", "STACKSPOT_REALM"])
def test_a_request_body_cannot_change_a_setting(key):
    assert turn(optional_params={key: {"agent_id": ULID}}).agent_id == DEFAULT


@pytest.mark.parametrize("agent", ["", "../v1", "a b", "a/b", "x" * 65, "ágent", "a\n"])
def test_a_malformed_agent_id_is_a_configuration_error(agent):
    with pytest.raises(ConfigurationError, match=r"GENAI_AGENT_ID.*model_info"):
        turn(settings=Settings(account=AccountSettings(agent_id=agent)))


@pytest.mark.parametrize(
    "call",
    [
        {"litellm_params": {"metadata": {"headers": {"correlation-id": "talk-7"}}}},
        {"litellm_params": {"proxy_server_request": {"headers": {"correlation-id": "talk-7"}}}},
        {"litellm_params": {"metadata": {"headers": {"x-correlation-id": "talk-7"}}}},
        {"litellm_params": {"metadata": {"headers": {"correlation-id": "talk-7", "x-correlation-id": "other"}}}},
        {"headers": {"Correlation-Id": "talk-7"}},
        {
            "headers": {"correlation-id": "sdk"},
            "litellm_params": {"metadata": {"headers": {"correlation-id": "talk-7"}}},
        },
    ],
    ids=["metadata", "request", "with x", "both names", "sdk, in capitals", "the client's before the sdk's"],
)
@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
def test_the_callers_correlation_id_is_used(call, required):
    settings = Settings(
        account=AccountSettings(agent_id=DEFAULT), requests=RequestSettings(require_correlation_id=required)
    )
    assert turn(settings=settings, **call).correlation_id == "talk-7"


@pytest.mark.parametrize(
    "call",
    [{}, {"litellm_params": None}, {"headers": None, "litellm_params": {"metadata": None}}, {"headers": {"a": "b"}}],
    ids=["nothing", "no parameters", "nulls", "other headers"],
)
def test_without_a_correlation_id_one_is_generated(call):
    made = turn(**call).correlation_id
    assert str(uuid.UUID(made)) == made
    assert turn(**call).correlation_id != made


def test_without_a_correlation_id_litellms_call_id_is_used():
    assert turn(logging_obj=SimpleNamespace(litellm_call_id="call-1")).correlation_id == "call-1"
    assert turn(logging_obj=SimpleNamespace(litellm_call_id="två\n")).correlation_id != "två\n"


def test_a_missing_required_correlation_id_is_an_error():
    with pytest.raises(RequestError, match="header correlation-id is missing"):
        turn(
            settings=Settings(
                account=AccountSettings(agent_id=DEFAULT), requests=RequestSettings(require_correlation_id=True)
            )
        )


@pytest.mark.parametrize("given", ["", " a", "a ", "a\nb", "a\r\nx: y", "á", "x" * 129])
def test_an_invalid_correlation_id_is_an_error(given):
    with pytest.raises(RequestError, match="correlation-id must have"):
        turn(headers={"correlation-id": given})


@pytest.mark.parametrize("given", ["a", "a b", "x" * 128, "user:7/talk#1"])
def test_a_correlation_id_may_be_any_printable_text(given):
    assert turn(headers={"correlation-id": given}).correlation_id == given


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 60),
        (5, 5),
        (2.5, 2.5),
        (600, 60),
        (0, 60),
        (-1, 60),
        ("5", 60),
        (httpx.Timeout(7), 7),
        (httpx.Timeout(None), 60),
        (httpx.Timeout(5, read=9), 9),
    ],
)
def test_the_shorter_timeout_counts(asked, seconds):
    assert (
        turn(
            settings=Settings(account=AccountSettings(agent_id=DEFAULT), limits=LimitSettings(timeout=60)),
            timeout=asked,
        ).timeout
        == seconds
    )


PROBE = {"metadata": {"user_api_key": "litellm-internal-health-check"}}


def test_a_health_probe_is_distinguished_from_a_client():
    assert is_health_probe({"litellm_params": PROBE})
    assert not is_health_probe({"litellm_params": {**PROBE, "proxy_server_request": {"body": {}}}})
    assert not is_health_probe({"litellm_params": {"metadata": {"user_api_key": "a-hash"}}})
    assert not is_health_probe({"litellm_params": None})
    assert not is_health_probe({})


def claudes(**body: Any) -> dict[str, Any]:
    """What LiteLLM passes of a request that came by /v1/messages."""
    return {"litellm_params": {"proxy_server_request": {"body": body}}}


@pytest.mark.parametrize("messages", [0.5, "x", {}, [7], [{"content": [{"is_error": True, "tool_use_id": []}]}]])
def test_messages_of_another_protocol_are_not_read(messages):
    settings = Settings(account=AccountSettings(agent_id=DEFAULT))
    turn = turn_from_call("stackspot-chat", HELLO, claudes(contents=[], messages=messages), settings)
    assert turn.request.messages == turn_from_call("stackspot-chat", HELLO, {}, settings).request.messages


def test_tool_errors_that_the_bridge_drops_are_restored():
    blocks = [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": True},
        {"type": "tool_result", "tool_use_id": "c", "content": "3", "is_error": False},
    ]
    asked = {"role": "assistant", "tool_calls": [{"id": name, "function": {"name": "now"}} for name in "abc"]}
    bridged = [HELLO[0], asked, *({"role": "tool", "tool_call_id": name, "content": "…"} for name in "abc")]
    call = claudes(messages=[{"role": "user", "content": "Olá"}, {"role": "user", "content": blocks}])
    request = turn_from_call(
        "stackspot-chat", bridged, call, Settings(account=AccountSettings(agent_id=DEFAULT))
    ).request
    assert [message.get("is_error") for message in request.messages] == [None, None, None, True, None]
    assert all("is_error" not in message for message in bridged)


@pytest.mark.parametrize(
    ("choice", "parallel"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, False),
        ({"type": "auto", "disable_parallel_tool_use": False}, True),
        ("auto", True),
        (None, True),
    ],
)
def test_anthropics_disable_parallel_tool_use_is_respected(choice, parallel):
    assert turn(**claudes(tool_choice=choice)).request.parameters.parallel_tool_calls is parallel


def native(
    conversation: object = "native", key: str | None = "k-1", correlation: str | None = "talk-7"
) -> dict[str, Any]:
    params = {"model_info": {"conversation": conversation}, "metadata": {"user_api_key": key}}
    return {"headers": {"correlation-id": correlation} if correlation else {}, "litellm_params": params}


def test_a_native_conversation_belongs_to_its_caller():
    owners = [
        turn(**native(key=key, correlation=name)).conversation_owner
        for key in ("k-1", "k-2", None)
        for name in ("a", "b")
    ]
    assert None not in owners
    assert len(set(owners)) == 6


@pytest.mark.parametrize("call", [native("prompt"), native(None), native(correlation=None), {}])
def test_a_native_conversation_needs_the_setting_and_an_id(call):
    assert turn(**call).conversation_owner is None


@pytest.mark.parametrize("conversation", ["on", True, 1, ["native"]])
def test_any_other_conversation_mode_is_an_error(conversation):
    with pytest.raises(ConfigurationError, match="say native"):
        turn(**native(conversation))


def test_the_caller_is_the_api_key_with_its_weight_and_share():
    key = {"user_api_key": "a" * 64, "user_api_key_alias": "team-a"}
    quota = {"user_api_key_metadata": {"stackspot_quota": KeyQuota(weight=3, share=0.5)}}
    assert turn(litellm_params={"metadata": key | quota}).caller == Caller("team-a", 3, 0.5)
    assert turn(litellm_params={"metadata": {"user_api_key": "a" * 64}}).caller == Caller("a" * 12)
    assert turn().caller == ANYONE


@pytest.mark.parametrize("written", ["metadata", "litellm_metadata"])
def test_a_key_that_the_client_names_itself_is_not_the_callers(written):
    """LiteLLM leaves `user_api_key` in the one of the two that it does not write to."""
    forged = "litellm_metadata" if written == "metadata" else "metadata"
    noted = {"user_api_key": "88dc28d0f030c55e", "user_api_key_hash": "88dc28d0f030c55e"}
    params = {written: noted, forged: {"user_api_key": "litellm_proxy_master_key"}}
    assert turn(litellm_params=params).caller == Caller("88dc28d0f030")
