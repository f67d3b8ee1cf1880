"""The provider's four methods against the simulator: whoever asks, and however, is told the same."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import litellm
import pytest

from custom_handler import StackspotLLM
from custom_handler.provider.handler import IgnoredParameters

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER_AGENT = "01K00000000000000000000000"
MODEL = "stackspot-chat"
CALL = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "São Paulo"}\nFUNCTION_CALL_END'
SENTENCE = "Escreva FUNCTION_CALL_START assim."
LONG = json.dumps({"city": "x" * 3000 + '"\n'})


@dataclass(frozen=True, slots=True)
class Case:
    """What the agent does, and what everybody is told; a usage of None is an estimate."""

    id: str
    play: dict[str, Any]
    content: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    finish: str = "stop"
    output: int | None = None
    tools: bool = False


WEATHER_CALL = ("get_weather", {"city": "São Paulo"})
CASES = [
    Case("words", {"text": "Olá, tudo bem?"}, "Olá, tudo bem?", output=4),
    Case("increments that repeat", {"pieces": ["ha", "ha", "", "!"]}, "haha!"),
    Case("fat frames", {"text": "um dois", "fat": True}, "um dois"),
    Case("cut at every byte", {"text": "ação ☀ 😀", "cut": 1}, "ação ☀ 😀"),
    Case("CRLF cut in threes", {"text": "um dois", "line_ending": "\r\n", "cut": 3}, "um dois"),
    Case("CR", {"text": "um dois", "line_ending": "\r"}, "um dois"),
    Case("[DONE]", {"text": "um dois", "done": True}, "um dois"),
    Case("text in the last frame", {"text": "um", "final": {"message": " dois"}}, "um dois"),
    Case("no last frame", {"text": "um dois", "omit_final": True}, "um dois", output=2),
    Case("the older counts", {"text": "um", "tokens": {"user": 3, "enrichment": 4, "output": 5}}, "um", output=5),
    Case("a JSON body", {"text": "um dois", "fault": "json_body"}, "um dois"),
    Case("OpenAI's shape", {"text": "um dois", "fault": "openai_shape"}, "um dois"),
    Case("frames that cannot be read", {"text": "um dois", "fault": "bad_frame"}, "um dois"),
    Case("half a character", {"text": "um dois", "fault": "surrogate"}, "um\ufffd dois"),
    Case("a line of almost a megabyte", {"pieces": ["x" * 900_000]}, "x" * 900_000),
    Case("an end within a character", {"text": "um dois", "fault": "truncated_utf8", "after": 2}, "um dois"),
    Case("no text for its tokens", {"pieces": [""]}, output=0),
    Case(
        "a filter after text", {"text": "um dois", "stop_reason": "content_filter"}, "um dois", finish="content_filter"
    ),
    Case("nothing at all", {"text": ""}, output=0),
    Case("a call", {"text": CALL}, calls=(WEATHER_CALL,), finish="tool_calls", tools=True),
    Case(
        "a call cut anywhere",
        {"pieces": list(CALL), "cut": 5},
        calls=(WEATHER_CALL,),
        finish="tool_calls",
        tools=True,
    ),
    Case(
        "text before two calls",
        {"text": f"Um momento.\n{CALL}\n{CALL}"},
        "Um momento.",
        (WEATHER_CALL, WEATHER_CALL),
        "tool_calls",
        tools=True,
    ),
    Case(
        "a long call",
        {"text": f"FUNCTION_CALL_START\nget_weather\narguments: {LONG}\nFUNCTION_CALL_END", "cut": 100},
        calls=(("get_weather", json.loads(LONG)),),
        finish="tool_calls",
        tools=True,
    ),
    Case("a call that nobody offered", {"text": CALL}, CALL),
    Case("a marker within a sentence", {"text": SENTENCE}, SENTENCE, tools=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_four_methods_return_the_same(case, provider, simulator, entries, hello, weather):
    simulator.script({**case.play, "times": 4})
    call = weather if case.tools else {}
    told = {name: ask(provider, hello, **call).told() for name, ask in entries.items()}
    content, calls, finish, usage = told["completion"]
    assert told == dict.fromkeys(entries, told["completion"])
    assert content.rstrip("\n") == case.content if case.tools else content == case.content
    assert tuple((name, json.loads(arguments)) for name, arguments in calls) == case.calls
    assert finish == case.finish
    assert usage[0] > 0 or case.play.get("fault") == "json_body"
    assert case.output in {None, usage[1]}


def test_the_agents_own_counts_are_the_usage(ask, provider, simulator, hello):
    simulator.script({"text": "um", "tokens": {"input": 1234, "output": 567}})
    assert ask(provider, hello).usage == (1234, 567)


def test_the_simulators_agent_calls_a_tool_and_uses_its_result(ask, provider, simulator, weather):
    question = {"role": "user", "content": "Qual o tempo em São Paulo?"}
    answer = ask(provider, [question], **weather)
    assert [(name, json.loads(arguments)) for name, arguments in answer.calls] == [WEATHER_CALL]
    ((name, arguments),) = answer.calls
    made = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "25 graus"}
    told = ask(provider, [question, {"role": "assistant", "content": None, "tool_calls": [made]}, result], **weather)
    assert "25 graus" in told.content
    assert (told.calls, told.finish) == ((), "stop")


def test_a_request_has_the_contracts_four_fields_and_streams(ask, provider, simulator, hello, weather):
    params = weather["optional_params"] | {"temperature": 0.1, "stream": False, "max_tokens": 5, "stop": ["a"]}
    ask(provider, hello, optional_params=params)
    (record,) = simulator.requests("chat")
    assert record["body"] == {"streaming": True, "stackspot_knowledge": False, "return_ks_in_response": False}
    assert record["prompt"].startswith("«tools»\n")
    assert record["headers"]["accept"] == "text/event-stream"
    assert record["headers"]["content-type"] == "application/json"


def test_the_correlation_id_goes_to_the_agent(ask, provider, simulator, hello):
    ask(provider, hello, litellm_params={"metadata": {"headers": {"correlation-id": "talk-7"}}})
    ask(provider, hello)
    first, second = (record["headers"]["correlation-id"] for record in simulator.requests("chat"))
    assert first == "talk-7"
    assert len(second) == 36


def test_without_a_required_correlation_id_no_request_is_sent(ask, settings, simulator, hello):
    strict = StackspotLLM(settings.changed(requests={"require_correlation_id": True}))
    with pytest.raises(litellm.BadRequestError, match="correlation-id"):
        ask(strict, hello)
    assert simulator.state()["chat_requests"] == 0
    assert ask(strict, hello, headers={"x-correlation-id": "talk-7"}).finish == "stop"


@pytest.mark.parametrize(
    ("model", "call", "agent"),
    [
        (MODEL, {}, AGENT),
        (OTHER_AGENT, {}, OTHER_AGENT),
        (MODEL, {"litellm_params": {"model_info": {"agent_id": OTHER_AGENT}}}, OTHER_AGENT),
        (MODEL, {"optional_params": {"agent_id": OTHER_AGENT, "realm": "evil", "model_info": {"agent_id": 7}}}, AGENT),
    ],
    ids=["default", "by model", "by model_info", "a request body chooses none"],
)
def test_the_operator_chooses_the_agent(provider, simulator, hello, model, call, agent):
    provider.completion(model, hello, **call)
    (record,) = simulator.requests("chat")
    assert record["agent_id"] == agent
    assert simulator.requests("token")[0]["path"] == "/simulator/oidc/oauth/token"


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong, and the error of LiteLLM's that everybody gets."""

    id: str
    play: dict[str, Any]
    kind: type[Exception]
    status: int
    said: str
    headers: dict[str, str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


TOO_LONG = {
    "type": "INFERENCE",
    "code": "INFERENCE_6001_LLM_MODEL_BAD_REQUEST",
    "details": "Input tokens exceed the configured limit of 10 tokens. Your messages resulted in 20 tokens.",
}
LIMIT = {"code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", "details": "x"}
FAILURES = [
    Failure("too long", {"status": 400, "body": TOO_LONG}, litellm.ContextWindowExceededError, 400, "20 tokens"),
    Failure("bad request", {"status": 400, "body": {"code": "X_1"}}, litellm.BadRequestError, 400, "X_1"),
    Failure("forbidden", {"status": 403}, litellm.PermissionDeniedError, 403, "not shared"),
    Failure("no such agent", {"status": 404}, litellm.NotFoundError, 404, "GENAI_AGENT_ID"),
    Failure("limit", {"status": 429, "body": LIMIT}, litellm.RateLimitError, 429, "3008", {"retry-after": "10"}),
    Failure(
        "limit with a time",
        {"status": 429, "body": LIMIT, "headers": {"Retry-After": "7"}},
        litellm.RateLimitError,
        429,
        "7 s",
        {"retry-after": "7"},
    ),
    Failure(
        "no credit",
        {"status": 429, "body": "Credit Limit Reached"},
        litellm.exceptions.PaymentRequiredError,
        402,
        "credit",
    ),
    Failure("inner error", {"status": 500, "body": {"code": "X_5"}}, litellm.InternalServerError, 500, "X_5"),
    Failure("a page", {"fault": "html_502"}, litellm.BadGatewayError, 502, "HTTP 502"),
    Failure("down", {"status": 503}, litellm.ServiceUnavailableError, 503, "HTTP 503"),
    Failure("too late", {"status": 504}, litellm.Timeout, 504, "HTTP 504"),
    Failure("the gateway's patience", {"status": 408}, litellm.Timeout, 504, "try again"),
    Failure("401 for ever", {"status": 401}, litellm.BadGatewayError, 502, "CLIENT_ID"),
    Failure("no connection", {"fault": "reset_before"}, litellm.ServiceUnavailableError, 503, "127.0.0.1"),
    Failure("an error at once", {"fault": "error_frame", "after": 0}, litellm.BadGatewayError, 502, "INFERENCE_5000"),
    Failure("an error within", {"text": "a b", "fault": "error_frame"}, litellm.BadGatewayError, 502, "INFERENCE_5000"),
    Failure("broken within", {"text": "a b", "fault": "close_within"}, litellm.BadGatewayError, 502, "broke"),
    Failure("nothing readable", {"frames": ["a"]}, litellm.BadGatewayError, 502, "STACKSPOT_INFERENCE_URL"),
    Failure("wrong key", {"at": "token", "status": 401}, litellm.BadGatewayError, 502, "CLIENT_SECRET"),
    Failure("wrong realm", {"at": "token", "status": 404}, litellm.BadGatewayError, 502, "REALM"),
    Failure("no token", {"at": "token", "status": 500}, litellm.ServiceUnavailableError, 503, "STACKSPOT_IDM_URL", {"retry-after": "5"}),
    Failure("no secret", {}, litellm.ServiceUnavailableError, 503, "CLIENT_SECRET", settings={"account": {"client_secret": ""}}),
    Failure("no agent", {}, litellm.ServiceUnavailableError, 503, "GENAI_AGENT_ID", settings={"account": {"agent_id": ""}}),
    Failure("no host", {}, litellm.ServiceUnavailableError, 503, "INFERENCE_URL", settings={"account": {"inference_url": "http://["}}),
]  # fmt: skip


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.id)
def test_a_failure_has_its_class_status_message_and_headers(case, ask, settings, simulator, hello):
    simulator.script({**case.play, "times": 2 if case.play.get("status") == 401 and "at" not in case.play else 1})
    provider = StackspotLLM(settings.changed(**case.settings))
    with pytest.raises(case.kind) as raised:
        ask(provider, hello)
    assert (type(raised.value), raised.value.status_code) == (case.kind, case.status)
    assert case.said in str(raised.value)
    assert (getattr(raised.value, "headers", None) or None) == case.headers
    assert simulator.state()["plays_waiting"] == (0 if case.play else 1)


def test_one_401_renews_the_token_and_repeats_the_call(ask, provider, simulator, hello):
    assert ask(provider, hello).finish == "stop"
    simulator.revoke()
    assert ask(provider, hello).finish == "stop"
    state = simulator.state()
    assert (state["token_requests"], state["chat_requests"], state["unauthorized"]) == (2, 3, 1)


def test_repeated_401s_do_not_request_tokens_repeatedly(ask, provider, simulator, hello):
    simulator.script({"status": 401, "times": "always"})
    with pytest.raises(litellm.BadGatewayError):
        ask(provider, hello)
    state = simulator.state()
    assert (state["token_requests"], state["chat_requests"]) == (2, 2)


def test_many_callers_renew_a_revoked_token_once(provider, simulator, hello):
    provider.completion(MODEL, hello)
    simulator.revoke()

    async def ask_many() -> list[Any]:
        return await asyncio.gather(*(provider.acompletion(MODEL, hello) for _ in range(20)))

    answers = asyncio.run(ask_many())
    assert len({answer.id for answer in answers}) == 20
    assert simulator.state()["token_requests"] == 2


def test_after_a_failure_the_next_call_is_served(ask, provider, simulator, hello):
    simulator.script({"status": 500}, {"status": 429, "headers": {"Retry-After": "1"}})
    with pytest.raises(litellm.InternalServerError):
        ask(provider, hello)
    with pytest.raises(litellm.RateLimitError):
        ask(provider, hello)
    assert ask(provider, hello).finish == "stop"


def test_two_runs_of_asyncio_serve_one_provider(provider, simulator, hello, from_whole):
    answers = [from_whole(asyncio.run(provider.acompletion(MODEL, hello))) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert simulator.state()["token_requests"] == 1
    gc.collect()  # a connection left behind by the first loop would complain here


def test_threads_share_one_provider(provider, simulator, hello):
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(provider.completion(MODEL, hello))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({answer.id for answer in answers}) == 8
    assert simulator.state()["token_requests"] == 1


@pytest.mark.parametrize("fault", ["hang_headers", "stall"])
@pytest.mark.usefixtures("stopped_deadlines")
def test_a_silent_agent_times_out_after_the_calls_timeout(ask, provider, simulator, hello, fault):
    ask(provider, hello)  # now it has a token, and a connection
    simulator.script({"text": "um dois", "fault": fault})
    with pytest.raises(litellm.Timeout, match=r"sent nothing for 0\.5 s"):
        ask(provider, hello, timeout=httpx.Timeout(0.5))


def test_an_agent_that_sends_only_empty_frames_times_out(ask, provider, simulator, hello, ticking_deadlines):
    simulator.script({"fault": "endless_empty"})
    with pytest.raises(litellm.Timeout, match=r"sent no text within 95 s"):
        ask(provider, hello, timeout=ticking_deadlines)


@pytest.mark.parametrize("name", ["streaming", "astreaming"])
@pytest.mark.parametrize("wrong", ["no messages", "no correlation id"])
def test_an_invalid_request_is_rejected_before_its_stream_is_read(settings, hello, name, wrong):
    strict = StackspotLLM(settings.changed(requests={"require_correlation_id": True}))
    with pytest.raises(litellm.BadRequestError):
        getattr(strict, name)(MODEL, hello if wrong == "no correlation id" else [])


@pytest.fixture(params=["streaming", "astreaming"])
def chunks_of(request, entries):
    """The chunks of a streamed answer, asked for in one of two ways."""
    return lambda *given, **call: entries[request.param](*given, **call).chunks


def test_all_chunks_of_a_stream_have_one_id_time_and_model(chunks_of, provider, simulator, hello, weather):
    simulator.script({"text": f"Um momento.\n{CALL}"})
    chunks = chunks_of(provider, hello, **weather)
    ((identifier, created, model),) = {(chunk.id, chunk.created, chunk.model) for chunk in chunks}
    assert identifier.startswith("chatcmpl-")
    assert (type(created), model) == (int, MODEL)


def test_each_chunk_names_the_deployment_that_was_called(chunks_of, provider, simulator, hello):
    simulator.script({"text": "um dois"})
    chunks = chunks_of(provider, hello, litellm_params={"model_info": {"id": "deployment-1"}})
    assert {chunk._hidden_params["model_id"] for chunk in chunks} == {"deployment-1"}
    assert all(not chunk._hidden_params for chunk in chunks_of(provider, hello))


def test_only_the_first_chunk_has_a_role(chunks_of, provider, simulator, hello, weather):
    simulator.script({"text": f"Um momento.\n{CALL}"})
    first, *others = [chunk.choices[0].delta.role for chunk in chunks_of(provider, hello, **weather)]
    assert (first, set(others)) == ("assistant", {None})


def test_a_stream_has_one_usage_and_ends_with_one_finish(chunks_of, provider, simulator, hello):
    simulator.script({"text": "um dois", "tokens": {"input": 42, "output": 5}})
    chunks = chunks_of(provider, hello)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    [usage] = [found for chunk in chunks if (found := getattr(chunk, "usage", None))]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (42, 5, 47)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "um dois"


def test_a_call_starts_with_id_and_name_before_its_arguments(chunks_of, provider, simulator, hello, weather):
    simulator.script({"text": f"{CALL}\n{CALL}"})
    pieces = [
        call for chunk in chunks_of(provider, hello, **weather) for call in chunk.choices[0].delta.tool_calls or ()
    ]
    starts = [call for call in pieces if call.id]
    assert [(call.index, call.function.name, call.function.arguments) for call in starts] == [
        (0, "get_weather", ""),
        (1, "get_weather", ""),
    ]
    assert len({call.id for call in starts}) == 2
    assert all(call.function.name is None and call.function.arguments for call in pieces if not call.id)


def test_ids_of_tool_calls_are_unique(provider, simulator, hello, weather):
    simulator.script({"text": CALL, "times": 2})
    answers = [provider.completion(MODEL, hello, **weather) for _ in range(2)]
    assert len({answer.choices[0].message.tool_calls[0].id for answer in answers}) == 2


def test_text_is_forwarded_while_the_agent_still_streams(provider, simulator, hello):
    simulator.script({"text": "um dois", "fault": "stall"})
    stream = provider.streaming(MODEL, hello)
    assert next(stream).choices[0].delta.content == "um"
    stream.close()


def left(simulator: Any) -> bool:
    return [record["disconnected"] for record in simulator.requests("chat")] == [True]


def test_closing_a_stream_closes_the_connection(provider, simulator, hello, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    stream = provider.streaming(MODEL, hello)
    next(stream)
    assert not left(simulator)
    stream.close()
    assert eventually(lambda: left(simulator))


def test_closing_an_unread_stream_sends_no_request(provider, simulator, hello):
    provider.streaming(MODEL, hello).close()
    asyncio.run(provider.astreaming(MODEL, hello).aclose())
    assert simulator.state()["chat_requests"] == 0


async def test_closing_an_async_stream_closes_the_connection(provider, simulator, hello, eventually):
    simulator.script({"text": "um dois", "fault": "stall"})
    stream = provider.astreaming(MODEL, hello)
    await anext(stream)
    await stream.aclose()
    assert await asyncio.to_thread(eventually, lambda: left(simulator))


@pytest.mark.parametrize("fault", ["stall", "hang_headers"])
@pytest.mark.parametrize("name", ["acompletion", "astreaming"])
async def test_cancelling_the_call_closes_the_connection(provider, simulator, hello, eventually, name, fault):
    simulator.script({"text": "um dois", "fault": fault})

    async def ask() -> None:
        if name == "acompletion":
            await provider.acompletion(MODEL, hello)
        else:
            async for _ in provider.astreaming(MODEL, hello):
                pass

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(eventually, lambda: simulator.state()["open_streams"])
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(eventually, lambda: left(simulator))


async def test_cancelling_one_caller_does_not_cancel_the_token_request(provider, simulator, hello, eventually):
    simulator.script({"at": "token", "delay_first": 0.2})
    first, second = (asyncio.create_task(provider.acompletion(MODEL, hello)) for _ in range(2))
    await asyncio.to_thread(eventually, lambda: simulator.state()["token_requests"])
    first.cancel()
    answer = await second
    assert answer.choices[0].finish_reason == "stop"
    assert first.cancelled()
    assert simulator.state()["token_requests"] == 1


class Trap(Mapping[str, Any]):
    """A message that can be read a number of times."""

    def __init__(self, reads: int) -> None:
        self._reads = reads

    def __getitem__(self, key: str) -> Any:
        self._reads -= key == "content"
        if self._reads < 0:
            raise RuntimeError("canary")
        return {"role": "user", "content": "Olá"}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("role", "content"))

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize("reads", [0, 1], ids=["while the request is read", "while the answer is made"])
def test_an_unexpected_error_reveals_no_detail(ask, provider, simulator, reads):
    with pytest.raises(litellm.InternalServerError) as raised:
        ask(provider, [Trap(reads)])
    assert "canary" not in str(raised.value)
    assert "log has the details" in str(raised.value)


@pytest.fixture
def probe() -> dict[str, Any]:
    """A call of the proxy's health check."""
    return {"litellm_params": {"metadata": {"user_api_key": "litellm-internal-health-check"}}}


@pytest.mark.parametrize("name", ["completion", "acompletion"])
def test_a_health_probe_does_not_call_the_agent(entries, settings, simulator, hello, probe, name):
    strict = StackspotLLM(settings.changed(requests={"require_correlation_id": True}, account={"agent_id": ""}))
    assert entries[name](strict, hello, **probe).content == "ok"
    state = simulator.state()
    assert (state["chat_requests"], state["token_requests"]) == (0, 1)


@pytest.mark.parametrize("name", ["completion", "acompletion"])
def test_a_health_probe_fails_without_a_valid_token(entries, settings, simulator, hello, probe, name):
    with pytest.raises(litellm.BadGatewayError, match="CLIENT_SECRET"):
        entries[name](StackspotLLM(settings.changed(account={"client_secret": "wrong"})), hello, **probe)
    assert simulator.state()["chat_requests"] == 0


class Logging:
    """LiteLLM's object for a call's records, as far as a provider needs it."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def pre_call(self, **call: Any) -> None:
        self.calls.append(call)


def test_litellms_clock_starts_before_the_agent_is_called(ask, provider, simulator, hello):
    log = Logging()
    ask(provider, hello, logging_obj=log)
    (call,) = log.calls
    assert (call["input"], call["api_key"]) == (hello, "")


def test_authenticate_requests_a_token_and_caches_it(provider, simulator):
    assert provider.authenticate() is None
    provider.authenticate()
    state = simulator.state()
    assert (state["tokens_issued"], state["chat_requests"]) == (1, 0)


OLD_FORM = {"optional_params": {"functions": [{"name": "get_weather"}], "function_call": "auto"}}


def test_legacy_functions_return_a_function_call(provider, simulator, hello):
    simulator.script({"text": f"Um momento.\n{CALL}\n{CALL}", "times": 2})
    choice = provider.completion(MODEL, hello, **OLD_FORM).choices[0]
    assert (choice.message.content.strip(), choice.finish_reason) == ("Um momento.", "function_call")
    assert json.loads(choice.message.function_call.arguments) == WEATHER_CALL[1]
    chunks = list(provider.streaming(MODEL, hello, **OLD_FORM))
    called = [chunk.choices[0].delta.function_call for chunk in chunks if chunk.choices[0].delta.function_call]
    assert [call.name for call in called if call.name] == ["get_weather"]
    assert json.loads("".join(call.arguments for call in called)) == WEATHER_CALL[1]
    assert chunks[-1].choices[0].finish_reason == "function_call"


def test_embeddings_are_rejected(provider, simulator):
    with pytest.raises(litellm.BadRequestError, match="makes no embeddings"):
        provider.embedding(MODEL, ["a"], optional_params={})
    with pytest.raises(litellm.BadRequestError, match="makes no embeddings"):
        asyncio.run(provider.aembedding(MODEL, ["a"], optional_params={}))
    assert simulator.state()["chat_requests"] == 0


@pytest.mark.parametrize(
    "params",
    [{"n": 2}, {"logprobs": True}, {"audio": {"voice": "a"}}, {"stop": 3}, {"response_format": {"type": "x"}}],
    ids=str,
)
def test_unsupported_parameters_return_400_before_any_request(ask, provider, simulator, hello, params):
    (name,) = params
    with pytest.raises(litellm.BadRequestError, match=name):
        ask(provider, hello, optional_params=params)
    assert simulator.state()["chat_requests"] == 0


def told_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        line.partition("Parameters without effect from ")[2] for line in caplog.messages if "without effect" in line
    ]


def test_ignored_parameters_are_logged_once_a_client(provider, simulator, hello, caplog):
    caplog.set_level("INFO", "custom_handler")
    for agent in ("openai/1", "openai/1", "anthropic/2", "openai/1"):
        provider.completion(
            MODEL,
            hello,
            headers={"user-agent": agent},
            optional_params={"temperature": 0.5, "seed": 7, "user": "canary"},
        )
    assert told_of(caplog) == ["'openai/1': temperature, seed, user", "'anthropic/2': temperature, seed, user"]
    assert "canary" not in caplog.text


def test_only_new_ignored_parameters_of_a_client_are_logged(caplog):
    caplog.set_level("INFO", "custom_handler")
    ignored = IgnoredParameters()
    for names in (("seed",), ("seed", "user"), ("user",), (), ("seed", "user")):
        ignored.log("a", names)
    assert told_of(caplog) == ["a: seed", "a: user"]


def test_the_number_of_remembered_clients_is_bounded(caplog):
    caplog.set_level("INFO", "custom_handler")
    ignored = IgnoredParameters()
    for number in (*range(IgnoredParameters.MAX_CLIENTS + 1), 0, IgnoredParameters.MAX_CLIENTS):
        ignored.log(f"client {number}", ("seed",))
    assert len(told_of(caplog)) == IgnoredParameters.MAX_CLIENTS + 2
