"""Quick Commands as models: executions, their answers and their errors, against the simulator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from custom_handler import StackspotLLM
from custom_handler.instrumentation import ExecutionEnded, ExecutionPolled, PromptSent
from custom_handler.provider.litellm_call import FIXED_AGENT
from custom_handler.stackspot.state.ledger import Limits
from tests.support.asking import Ask
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

EXPLAIN = "quick-command/explain"
MESSAGES = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Count to 3"},
]
COUNT = [{"role": "user", "content": "Count to 50"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


def info(**given: Any) -> dict[str, Any]:
    return {"litellm_params": {"model_info": given}}


def asked(simulator: Any) -> Any:
    return simulator.requests(at="execution")[-1]["body"]["input_data"]


def refused(provider: StackspotLLM, model: str = EXPLAIN, messages: Any = MESSAGES, **call: Any) -> Any:
    with pytest.raises(openai.APIError) as caught:
        provider.completion(model, messages, **call)
    return caught.value


@pytest.mark.parametrize(
    ("slug", "text"), [("explain", "1 2 3"), ("review", "1 2 3"), ("total", '{"answer": "1 2 3"}')]
)
def test_the_last_user_message_is_the_input_and_the_result_is_the_answer(
    entries: dict[str, Ask], provider: StackspotLLM, simulator: Any, slug: str, text: str
) -> None:
    for name, ask in entries.items():
        answer = ask(provider, MESSAGES, model=f"quick-command/{slug}")
        assert (name, answer.content, answer.finish, answer.usage[0]) == (name, text, "stop", 3)
    assert asked(simulator) == "Count to 3"
    assert len(simulator.requests(at="execution")) == 4
    assert len(simulator.requests(at="callback")) >= 8
    assert not simulator.requests(at="chat")


def test_a_template_forms_the_input(provider: StackspotLLM, simulator: Any) -> None:
    template = {"code": "{last_user_message}", "rules": ["{system}", 7], "style": "short {other}"}
    provider.completion(EXPLAIN, MESSAGES, **info(quick_command={"input": template}))
    assert asked(simulator) == {"code": "Count to 3", "rules": ["Be short.", 7], "style": "short {other}"}


def test_with_the_conversation_as_input_tools_and_json_work_as_with_an_agent(
    entries: dict[str, Ask], provider: StackspotLLM, simulator: Any
) -> None:
    whole = info(quick_command={"input": "{conversation}"})
    question = [{"role": "user", "content": "What does get_weather say?"}]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
    for ask in entries.values():
        answer = ask(provider, question, model=EXPLAIN, optional_params={"tools": [TOOL]}, **whole)
        assert (answer.calls, answer.finish) == ((("get_weather", "{}"),), "tool_calls")
        answer = ask(provider, question, model=EXPLAIN, optional_params={"response_format": schema}, **whole)
        assert answer.content == "{}"
    assert "«conversation»" in asked(simulator)


@pytest.mark.parametrize("params", [{"tools": [TOOL]}, {"response_format": {"type": "json_object"}}])
def test_the_last_message_alone_takes_neither_tools_nor_json(
    provider: StackspotLLM, simulator: Any, params: dict[str, Any]
) -> None:
    error = refused(provider, optional_params=params)
    assert (error.status_code, error.param) == (400, next(iter(params)))
    assert "{conversation}" in error.message
    assert not simulator.requests(at="execution")


def test_stop_and_max_tokens_cut_the_result(entries: dict[str, Ask], provider: StackspotLLM) -> None:
    for ask in entries.values():
        answer = ask(provider, MESSAGES, model=EXPLAIN, optional_params={"stop": [" 3"]})
        assert (answer.content, answer.finish) == ("1 2", "stop")
        answer = ask(provider, COUNT, model=EXPLAIN, optional_params={"max_tokens": 2})
        assert (answer.finish, answer.content.startswith("1 2"), answer.usage[1]) == ("length", True, 2)


def test_sources_of_the_steps_are_annotations(provider: StackspotLLM) -> None:
    response: Any = provider.completion("quick-command/review", MESSAGES)
    (annotation,) = response.choices[0].message.annotations
    assert "Payments handbook" in str(annotation)
    footer: Any = provider.completion("quick-command/review", MESSAGES, **info(sources="footer"))
    assert footer.choices[0].message.content == "1 2 3\n\n---\nSources: Payments handbook"
    none: Any = provider.completion("quick-command/review", MESSAGES, **info(sources="none"))
    assert none.choices[0].message.content == "1 2 3"


@pytest.mark.parametrize(
    ("slug", "status", "text"),
    [("unknown", 404, "There is no Quick Command"), ("private", 403, "is not shared"), ("broken", 502, "failed on")],
)
def test_the_platforms_refusals_have_errors_of_their_own(
    provider: StackspotLLM, slug: str, status: int, text: str
) -> None:
    error = refused(provider, f"quick-command/{slug}")
    assert (error.status_code, text in error.message) == (status, True), error.message


@pytest.mark.parametrize("word", ["FAILED", "error", "CANCELLED"])
def test_other_words_for_a_failure_are_failures(provider: StackspotLLM, simulator: Any, word: str) -> None:
    simulator.script({"at": "callback", "body": {"progress": {"status": word}}})
    assert refused(provider).status_code == 502


@pytest.mark.parametrize(
    "body",
    [
        {"progress": {"status": "SLEEPING", "execution_percentage": "half"}, "steps": None},
        {"progress": None, "steps": "none", "result": 0},
        {"steps": [None, 7, {"step_result": {"answer": "early"}}], "progress": {"status": "RUNNING"}},
        "<html>",
        [1],
    ],
)
def test_an_odd_report_is_polled_again(provider: StackspotLLM, simulator: Any, settings: Any, body: Any) -> None:
    provider = StackspotLLM(settings.changed(limits={"max_retries": 1}))
    simulator.script({"at": "callback", "body": body})
    response: Any = provider.completion(EXPLAIN, MESSAGES)
    assert response.choices[0].message.content == "1 2 3"
    assert len(simulator.requests(at="execution")) == 1


@pytest.mark.parametrize(
    ("play", "status", "text"),
    [
        ({"at": "execution", "status": 400, "body": {"details": "no"}}, 400, "refuses its input"),
        ({"at": "execution", "body": {"id": None}}, 502, "no execution id"),
        ({"at": "execution", "status": 503, "body": ""}, 502, "may have been started"),
        ({"at": "execution", "status": 408}, 504, "may have been started"),
        ({"at": "execution", "status": 503, "headers": {"retry-after": "1"}}, 503, "failed with HTTP 503"),
        ({"at": "callback", "status": 418, "body": "tea"}, 400, "refuses its input"),
        ({"at": "callback", "body": {"progress": {"status": "COMPLETED"}, "result": None}}, 502, "without a result"),
    ],
)
def test_what_cannot_be_read_or_helped_ends_the_execution(
    provider: StackspotLLM, simulator: Any, play: dict[str, Any], status: int, text: str
) -> None:
    simulator.script(play)
    error = refused(provider)
    assert (error.status_code, text in error.message) == (status, True), error.message


def test_a_daily_limit_of_the_platform_ends_the_call(provider: StackspotLLM, simulator: Any) -> None:
    details = "Maximum number of requests reached. Your limit is 100 requests in the last 1440 minutes"
    code = "CODEBUDDY_1044_QUICK_COMMAND_RATE_LIMIT_EXCEEDED"
    simulator.script({"at": "execution", "status": 429, "body": {"code": code, "details": details}})
    error = refused(provider)
    assert (error.status_code, "100 requests in 1440 minutes" in error.message) == (429, True)


def test_a_rejected_token_is_renewed_while_an_execution_is_polled(provider: StackspotLLM, simulator: Any) -> None:
    simulator.script({"at": "callback", "status": 401, "body": {}})
    response: Any = provider.completion(EXPLAIN, MESSAGES)
    assert response.choices[0].message.content == "1 2 3"


def test_requests_and_polls_count_in_a_quota_of_their_own(settings: Any, simulator: Any) -> None:
    provider = StackspotLLM(settings.changed(limits={"quick_commands_per_minute": 2, "requests_per_minute": 1}))
    simulator.script({"at": "callback", "body": {"progress": {"status": "COMPLETED"}, "result": "done"}})
    assert provider.completion(EXPLAIN, MESSAGES).choices[0].message.content == "done"
    assert provider.quotas()["default"].usage.used == 0
    provider = StackspotLLM(
        settings.changed(limits={"quick_commands_per_minute": 1, "queue_timeout": 0.1}),
    )
    error = refused(provider, timeout=2)
    assert (error.status_code, len(simulator.requests(at="execution"))) == (504, 2), "its poll had no place"
    assert "the quota of Quick Commands had no place for its last polls" in error.message
    assert error.headers == {"x-should-retry": "false"}
    error = refused(provider, timeout=2)
    assert (error.status_code, len(simulator.requests(at="execution"))) == (429, 2), "no other was started"
    assert error.headers["retry-after"]


@pytest.mark.slow
def test_processes_that_share_a_redis_share_the_quota_of_quick_commands(
    settings: Any, simulator: Any, tmp_path: Path
) -> None:
    simulator.script(
        {"at": "callback", "times": "always", "body": {"progress": {"status": "COMPLETED"}, "result": "done"}}
    )
    limits = {"quick_commands_per_minute": 3, "quick_commands_per_day": 5, "requests_per_minute": 1}
    limits |= {"queue_timeout": 2.0}
    with running_redis(tmp_path) as redis:
        shared = settings.changed(limits=limits, redis={"url": redis.url})
        one, other = StackspotLLM(shared), StackspotLLM(shared)
        assert one.completion(EXPLAIN, MESSAGES).choices[0].message.content == "done"
        error = refused(other, timeout=8)
        assert error.status_code == 504
        assert len(simulator.requests(at="execution")) == 2, "the third request is the second execution, without a poll"
        assert other.completion("chat", MESSAGES).choices[0].message.content, "agents have their own quota"
        for provider in (one, other):
            quota = provider.quotas(quick_commands=True)["default"]
            assert (quota.limits, quota.usage.used) == (Limits(1), 1)
            commands = quota.quick_commands
            assert commands is not None
            assert (commands.limits, commands.usage.used, commands.usage.used_today) == (Limits(3, 5), 3, 3)
            assert provider.quotas()["default"].quick_commands is None


def test_a_client_that_leaves_ends_the_polling(provider: StackspotLLM, simulator: Any) -> None:
    simulator.script({"at": "callback", "times": "always", "body": {"progress": {"status": "RUNNING"}}})
    outcomes: list[str] = []
    provider.hooks.add(lambda one: outcomes.append(one.outcome) if isinstance(one, ExecutionEnded) else None)

    async def leave() -> None:
        task = asyncio.ensure_future(provider.acompletion(EXPLAIN, MESSAGES))
        await asyncio.to_thread(eventually, lambda: simulator.requests(at="callback"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    eventually(lambda: outcomes == ["abandoned"])


def test_executions_and_polls_are_measured(provider: StackspotLLM) -> None:
    seen: list[Any] = []
    provider.hooks.add(seen.append)
    provider.completion(EXPLAIN, MESSAGES)
    assert [one.outcome for one in seen if isinstance(one, ExecutionEnded)] == ["completed"]
    assert len([one for one in seen if isinstance(one, ExecutionPolled)]) == 2
    assert [one.characters for one in seen if isinstance(one, PromptSent)] == [len(MESSAGES[-1]["content"])]


def test_a_name_that_only_a_wildcard_matched_reaches_no_quick_command(provider: StackspotLLM, simulator: Any) -> None:
    matched = {"metadata": {"deployment_model_name": "stackspot/*"}}
    error = refused(provider, litellm_params=matched)
    assert error.status_code == 404
    fixed = {**matched, "model_info": {FIXED_AGENT: True}}
    assert provider.completion(EXPLAIN, MESSAGES, litellm_params=fixed)
    assert len(simulator.requests(at="execution")) == 1


@pytest.mark.parametrize(
    ("model", "given", "text"),
    [
        ("quick-command/", {}, "is malformed"),
        ("quick-command/a/b", {}, "is malformed"),
        (EXPLAIN, {"agent_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "agent_id stands beside"),
        (EXPLAIN, {"knowledge": True}, "knowledge stands beside"),
        (EXPLAIN, {"quick_command": {"inputs": "x"}}, "must hold one entry"),
        (EXPLAIN, {"quick_command": {"input": "x"}}, "nothing of the request"),
        ("stackspot-chat", {"quick_command": {"input": "x"}}, "which is an agent"),
    ],
)
def test_wrong_options_are_named(provider: StackspotLLM, model: str, given: dict[str, Any], text: str) -> None:
    error = refused(provider, model, **info(**given))
    assert (error.status_code, text in error.message) == (503, True), error.message


def test_files_are_uploaded_for_an_execution(settings: Any, simulator: Any) -> None:
    provider = StackspotLLM(settings.changed(uploads={"enabled": True}))
    image = "data:image/png;base64,iVBORw0KGgo="
    parts = [{"type": "text", "text": "Count to 3"}, {"type": "image_url", "image_url": {"url": image}}]
    provider.completion(EXPLAIN, [{"role": "user", "content": parts}])
    (upload,) = simulator.requests(at="execution")[-1]["body"]["upload_ids"]
    assert upload == simulator.uploads()[-1].get("id", upload)
