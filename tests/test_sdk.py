"""The provider through LiteLLM's own SDK, with and without the plugin."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

from custom_handler.proxy_plugin import Plugin

# LiteLLM's own way with its models, in every stream.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MODEL = "stackspot/stackspot-chat"
CALL = 'Um momento.\nFUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'


class Records(CustomLogger):
    """What LiteLLM tells its observers."""

    def __init__(self) -> None:
        super().__init__()
        self.successes: asyncio.Queue[tuple[dict[str, Any], Any]] = asyncio.Queue()
        self.failures: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def async_log_success_event(self, kwargs, response_obj, **_):
        self.successes.put_nowait((kwargs, response_obj))

    async def async_log_failure_event(self, kwargs, **_):
        self.failures.put_nowait(kwargs)


@pytest.fixture
def sdk(provider, monkeypatch):
    """LiteLLM with our provider."""
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "stackspot", "custom_handler": provider}])
    monkeypatch.setattr(litellm, "suppress_debug_info", True)
    monkeypatch.setattr(litellm, "callbacks", [])
    for kind in ("success_callback", "failure_callback", "input_callback"):
        monkeypatch.setattr(litellm, kind, [])
        monkeypatch.setattr(litellm, f"_async_{kind}", [])
    return litellm


@pytest.fixture
def plugin(settings, monkeypatch, tmp_path):
    """The plugin, made in an empty folder where the operator has seen to the log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "sa-east-1")
    monkeypatch.setenv("BEDROCK_MODEL_ID", "a-model")
    package, handler = logging.getLogger("custom_handler"), logging.NullHandler()
    before = package.level
    package.addHandler(handler)
    yield Plugin(settings.changed(telemetry={"enabled": False}))
    package.removeHandler(handler)
    package.setLevel(before)


@pytest.fixture
def observed(sdk, plugin):
    """What LiteLLM's observers hear while the plugin is at work."""
    records = Records()
    sdk.callbacks = [plugin, records]
    return records


def seen(queue: asyncio.Queue[Any]) -> Any:
    return asyncio.wait_for(queue.get(), 10)


async def collected(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


def test_completion_returns_the_answer(sdk, simulator, hello, from_whole):
    simulator.script({"text": "Oi!", "tokens": {"input": 42, "output": 5}})
    response = sdk.completion(model=MODEL, messages=hello)
    answer = from_whole(response)
    assert answer.told() == ("Oi!", (), "stop", (42, 5))
    assert response.choices[0].message.role == "assistant"


def test_completion_streams(sdk, simulator, hello, from_chunks):
    simulator.script({"text": "um dois", "tokens": {"input": 42, "output": 5}})
    stream = sdk.completion(model=MODEL, messages=hello, stream=True, stream_options={"include_usage": True})
    assert from_chunks(list(stream)).told() == ("um dois", (), "stop", (42, 5))


async def test_acompletion_returns_the_answer(sdk, simulator, hello, from_whole):
    simulator.script({"text": "Oi!", "tokens": {"input": 42, "output": 5}})
    answer = from_whole(await sdk.acompletion(model=MODEL, messages=hello))
    assert answer.told() == ("Oi!", (), "stop", (42, 5))


@pytest.mark.parametrize("opened_first", [False, True], ids=["plain", "with the plugin"])
async def test_acompletion_streams(sdk, plugin, simulator, hello, from_chunks, opened_first):
    sdk.callbacks = [plugin] if opened_first else []
    simulator.script({"text": "um dois", "tokens": {"input": 42, "output": 5}})
    stream = await sdk.acompletion(model=MODEL, messages=hello, stream=True, stream_options={"include_usage": True})
    assert from_chunks(await collected(stream)).told() == ("um dois", (), "stop", (42, 5))


async def test_a_stream_that_was_opened_first_keeps_one_id_and_model(observed, sdk, simulator, hello):
    simulator.script({"text": "um dois"})
    chunks = await collected(await sdk.acompletion(model=MODEL, messages=hello, stream=True))
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"


def test_the_seeds_form_of_the_model_works_too(sdk, simulator, hello, from_whole):
    answer = from_whole(sdk.completion(model="stackspot-chat", custom_llm_provider="stackspot", messages=hello))
    assert answer.finish == "stop"
    assert simulator.requests("chat")[0]["agent_id"] == AGENT


def test_the_model_can_name_the_agent(sdk, simulator, hello):
    sdk.completion(model="stackspot/01K00000000000000000000000", messages=hello)
    assert simulator.requests("chat")[0]["agent_id"] == "01K00000000000000000000000"


@pytest.mark.parametrize("entry", ["stackspot/*", "*"])
@pytest.mark.parametrize("name", ["stackspot/foo", "stackspot/01K00000000000000000000000"])
async def test_a_wildcard_of_litellms_router_lets_nobody_choose_an_agent(sdk, simulator, hello, entry, name):
    router = sdk.Router(model_list=[{"model_name": entry, "litellm_params": {"model": entry}}], num_retries=0)
    for asked in ({}, {"stream": True}):
        with pytest.raises(litellm.NotFoundError, match="is not listed") as refused:
            await router.acompletion(model=name, messages=hello, **asked)
        assert refused.value.code == "model_not_found"
        with pytest.raises(litellm.NotFoundError, match="is not listed"):
            router.completion(model=name, messages=hello)
    assert simulator.requests("chat") == []


@pytest.mark.parametrize("key", ["agent_id", "realm"])
def test_a_parameter_of_the_call_chooses_neither_agent_nor_realm(sdk, simulator, hello, key):
    sdk.completion(model=MODEL, messages=hello, **{key: "01K00000000000000000000000"})
    assert simulator.requests("chat")[0]["agent_id"] == AGENT
    assert simulator.requests("token")[0]["path"] == "/simulator/oidc/oauth/token"


def test_a_tool_loop_with_the_messages_that_the_sdk_gives(sdk, simulator, weather):
    messages: list[Any] = [{"role": "user", "content": "Qual o tempo em Recife?"}]
    response = sdk.completion(model=MODEL, messages=messages, **weather["optional_params"])
    (call,) = response.choices[0].message.tool_calls
    messages += [
        response.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "31 graus"},
    ]
    answer = sdk.completion(model=MODEL, messages=messages, **weather["optional_params"])
    assert "31 graus" in answer.choices[0].message.content
    assert "«tool result name=get_weather»\n31 graus" in simulator.requests("chat")[-1]["prompt"]


async def test_a_stream_of_calls_adds_up_to_the_call(observed, sdk, simulator, hello, weather, from_chunks):
    simulator.script({"text": CALL})
    stream = await sdk.acompletion(model=MODEL, messages=hello, stream=True, **weather["optional_params"])
    answer = from_chunks(await collected(stream))
    assert [(name, json.loads(arguments)) for name, arguments in answer.calls] == [("get_weather", {"city": "Recife"})]
    assert (answer.content.strip(), answer.finish) == ("Um momento.", "tool_calls")
    _, assembled = await seen(observed.successes)
    assert assembled.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_headers_of_the_call_carry_the_correlation_id(sdk, simulator, hello):
    sdk.completion(model=MODEL, messages=hello, extra_headers={"correlation-id": "talk-7"})
    assert simulator.requests("chat")[0]["headers"]["correlation-id"] == "talk-7"


LIMIT = {"status": 429, "body": {"code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED"}, "headers": {"Retry-After": "7"}}


def test_an_error_keeps_its_class_and_headers(sdk, simulator, hello):
    simulator.script(LIMIT)
    with pytest.raises(litellm.RateLimitError) as raised:
        sdk.completion(model=MODEL, messages=hello, max_retries=0)
    assert (raised.value.status_code, raised.value.headers) == (429, {"retry-after": "7"})


def test_an_error_of_a_stream_that_was_not_opened_first_keeps_its_message(sdk, simulator, hello):
    simulator.script(LIMIT)
    with pytest.raises(litellm.exceptions.MidStreamFallbackError, match="try again in 7 s") as raised:
        list(sdk.completion(model=MODEL, messages=hello, stream=True, max_retries=0))
    assert isinstance(raised.value.original_exception, litellm.RateLimitError)
    assert raised.value.status_code == 429


async def test_with_the_plugin_a_stream_that_fails_is_never_begun(observed, sdk, simulator, hello):
    simulator.script(LIMIT)
    with pytest.raises(litellm.RateLimitError) as raised:
        await sdk.acompletion(model=MODEL, messages=hello, stream=True, max_retries=0)
    assert raised.value.headers == {"retry-after": "7"}
    assert (await seen(observed.failures))["exception"] is not None


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        ({"status": 403}, litellm.PermissionDeniedError),
        ({"status": 404}, litellm.NotFoundError),
        ({"fault": "reset_before"}, litellm.ServiceUnavailableError),
        ({"fault": "error_frame", "after": 0}, litellm.BadGatewayError),
        ({"at": "token", "status": 401}, litellm.BadGatewayError),
    ],
    ids=["403", "404", "no connection", "an error frame", "credentials"],
)
async def test_whatever_fails_before_the_first_chunk_is_raised_by_the_call(observed, sdk, simulator, hello, play, kind):
    simulator.script(play)
    with pytest.raises(kind):
        await sdk.acompletion(model=MODEL, messages=hello, stream=True, max_retries=0)


async def test_with_the_plugin_a_streams_usage_reaches_the_observers(observed, sdk, simulator, hello):
    simulator.script({"text": "um dois", "tokens": {"input": 1234, "output": 567}})
    await collected(await sdk.acompletion(model=MODEL, messages=hello, stream=True))
    kwargs, response = await seen(observed.successes)
    record = kwargs["standard_logging_object"]
    assert (record["prompt_tokens"], record["completion_tokens"]) == (1234, 567)
    assert response.choices[0].message.content == "um dois"
    assert response.usage.total_tokens == 1801


async def test_with_the_plugin_a_stream_is_one_success(observed, sdk, simulator, hello):
    await collected(await sdk.acompletion(model=MODEL, messages=hello, stream=True))
    await seen(observed.successes)
    await collected(await sdk.acompletion(model=MODEL, messages=hello, stream=True))
    await seen(observed.successes)
    assert (observed.successes.qsize(), observed.failures.qsize()) == (0, 0)


async def test_with_the_plugin_a_whole_answer_stays_whole(observed, sdk, simulator, hello, from_whole):
    simulator.script({"text": "Oi!"})
    assert from_whole(await sdk.acompletion(model=MODEL, messages=hello)).content == "Oi!"
    kwargs, _ = await seen(observed.successes)
    assert kwargs["standard_logging_object"]["prompt_tokens"] > 0


async def test_with_the_plugin_leaving_a_stream_hangs_up(observed, sdk, simulator, hello, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    stream = await sdk.acompletion(model=MODEL, messages=hello, stream=True)
    await anext(stream)
    await stream.aclose()
    await asyncio.to_thread(eventually, lambda: simulator.requests("chat")[0]["disconnected"])
