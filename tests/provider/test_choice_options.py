"""Options of `model_info` on an agent's models and versions."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from custom_handler.errors import ConfigurationError
from custom_handler.provider.choice_options import choice_of
from custom_handler.provider.litellm_call import turn_from_call
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.agent_choice import NO_CHOICE

PLAIN = {"streaming": True, "stackspot_knowledge": False, "return_ks_in_response": False}
SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"selected_model": None, "agent_version": None}, {}),
    ({"selected_model": " gpt-5 "}, {"selected_model": "gpt-5"}),
    ({"agent_version": 3}, {"agent_version_number": 3}),
    (
        {"selected_model": "claude-sonnet-4.5", "agent_version": 1},
        {"selected_model": "claude-sonnet-4.5", "agent_version_number": 1},
    ),
]
WRONG: list[tuple[str, object]] = [
    ("selected_model", ""),
    ("selected_model", " "),
    ("selected_model", "a\nb"),
    ("selected_model", "a" * 201),
    ("selected_model", 5),
    ("selected_model", ["gpt-5"]),
    ("agent_version", 0),
    ("agent_version", -1),
    ("agent_version", True),
    ("agent_version", "3"),
    ("agent_version", 1.5),
    ("agent_version", 10**9),
]
BROKEN = "FUNCTION_CALL_START\nlook\narguments: {oops\nFUNCTION_CALL_END"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def model(**info: Any) -> dict[str, Any]:
    return {"litellm_params": {"model_info": info}}


@pytest.mark.parametrize(("info", "fields"), SENT)
def test_only_what_is_configured_is_sent(ask, provider, simulator, hello, info, fields):
    ask(provider, hello, **model(**info))
    (record,) = simulator.requests("chat")
    assert record["body"] == {**PLAIN, **fields}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_option_is_an_error_that_names_it(name, value):
    with pytest.raises(ConfigurationError, match=rf"model_info\.{name} is .* in config\.yaml: "):
        choice_of({name: value})


def test_a_repair_asks_the_same_model(provider, simulator, hello):
    simulator.script({"text": BROKEN}, {"text": "Pronto."})
    call = model(selected_model="gpt-5") | {"optional_params": {"tools": [LOOK]}}
    provider.completion("stackspot-chat", hello, **call)
    bodies = [record["body"] for record in simulator.requests("chat")]
    assert [body["selected_model"] for body in bodies] == ["gpt-5", "gpt-5"]


@pytest.mark.parametrize(
    ("info", "error"),
    [
        ({"selected_model": "gpt-2"}, litellm.BadRequestError),
        ({"agent_version": 9}, litellm.NotFoundError),
    ],
)
def test_a_refusal_names_the_option(provider, hello, info, error):
    with pytest.raises(error, match=rf"It may not know what model_info\.{next(iter(info))} asks for: try without"):
        provider.completion("stackspot-chat", hello, **model(**info))


def test_models_of_one_agent_count_and_converse_apart():
    settings = Settings(account=AccountSettings(agent_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    infos: list[dict[str, Any]] = [info for info, fields in SENT if fields]
    turns = [turn_from_call("chat", [{"role": "user", "content": "Oi"}], model(**info), settings) for info in infos]
    keys = {turn.choice.key(turn.agent_id) for turn in turns}
    assert len(keys) == len(infos)
    assert NO_CHOICE.key("01ARZ3NDEKTSV4RRFFQ69G5FAV") == "01ARZ3NDEKTSV4RRFFQ69G5FAV"
