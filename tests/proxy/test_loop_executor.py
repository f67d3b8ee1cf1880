"""An agent's call is prepared on the event loop, everything else on a thread."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import litellm
import pytest
from litellm import main
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import GenericStreamingChunk, ModelResponse

from custom_handler.proxy.loop_executor import MAX_PARTS, LoopExecutor, prepare_on_the_loop

MESSAGE = {"role": "user", "content": "x"}
TOOL = {"type": "function", "function": {"name": "f"}}
TEXT = {"type": "text", "text": "x"}
FILE = {"type": "file", "file": {"file_id": "bGl0ZWxsbV9wcm94eQ=="}}
CALL: Mapping[str, Any] = {"model": "stackspot/a", "messages": [MESSAGE], "tools": None, "acompletion": True}
NAME = contextvars.ContextVar("name", default="")


@pytest.fixture
def executor() -> Iterator[LoopExecutor]:
    with LoopExecutor(1) as executor:
        yield executor


def prepared_here(executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch, **given: Any) -> bool:
    """Return whether a call with these parameters is prepared on this thread."""
    monkeypatch.setattr(main, "completion", lambda **_: threading.current_thread())
    prepare = functools.partial(main.completion, **{**CALL, **given})
    future = executor.submit(functools.partial(contextvars.copy_context().run, prepare))
    return future.result() is threading.current_thread()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"custom_llm_provider": "stackspot", "mock_response": None, "fallbacks": []},
        {"messages": [MESSAGE] * MAX_PARTS, "tools": [TOOL] * MAX_PARTS},
        {"messages": [MESSAGE, {"role": "user", "content": [TEXT] * (MAX_PARTS - 2)}]},
        {"messages": None, "tools": None},
    ],
    ids=lambda given: str(given)[:80],
)
def test_an_agents_call_is_prepared_where_it_is_submitted(
    executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    assert prepared_here(executor, monkeypatch, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"model": "openai/a"},
        {"model": "stackspots/a"},
        {"model": "a"},
        {"model": None},
        {"custom_llm_provider": "openai"},
        {"custom_llm_provider": {}},
        {"acompletion": False},
        {"acompletion": None},
        {"messages": [MESSAGE] * (MAX_PARTS + 1)},
        {"messages": [MESSAGE, {"role": "user", "content": [TEXT] * (MAX_PARTS - 1)}]},
        {"messages": [MESSAGE, {"role": "user", "content": [TEXT, FILE]}]},
        {"tools": [TOOL] * (MAX_PARTS + 1)},
        {"additional_drop_params": ["tools[*].a"]},
        {"mock_response": "text"},
        {"mock_timeout": True},
        {"mock_tool_calls": [{}]},
        {"prompt_id": "p"},
        {"vector_store_ids": ["v"]},
        {"cache_control_injection_points": [{}]},
        {"fallbacks": ["openai/a"]},
        {"model_list": [{}]},
        {"deployment_id": "d"},
        {"azure": True},
    ],
    ids=lambda given: str(given)[:80],
)
def test_what_may_take_long_is_prepared_on_a_thread(
    executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    assert not prepared_here(executor, monkeypatch, **given)


def test_parts_of_another_form_are_left_to_litellm(executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepared_here(executor, monkeypatch, messages=[5, {"content": [5]}, {"content": 5}], tools=True)


@pytest.mark.parametrize("setting", ["secret_manager_client", "proxy_auth", "model_fallbacks", "model_alias_map"])
def test_settings_that_may_wait_use_a_thread(
    executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr(litellm, setting, {"a": "b"})
    assert not prepared_here(executor, monkeypatch)


def thread_of(**_: object) -> threading.Thread:
    return threading.current_thread()


def run_by_another(function: Callable[[], object]) -> object:
    return function()


def test_other_functions_run_on_a_thread(executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    run, here = contextvars.copy_context().run, threading.current_thread()
    other = functools.partial(run, functools.partial(thread_of, **CALL))
    monkeypatch.setattr(main, "completion", lambda *_, **__: threading.current_thread())
    agent = functools.partial(main.completion, **CALL)
    for function in (
        threading.current_thread,
        other,
        functools.partial(run_by_another, agent),
        functools.partial(run, functools.partial(main.completion, "stackspot/a", **CALL)),
        functools.partial(run, agent, "stackspot/a"),
        functools.partial(run, main.completion),
    ):
        assert executor.submit(function).result() is not here
    assert executor.submit(functools.partial(run, agent), "stackspot/a").result() is not here
    assert executor.submit(pow, 2, 3).result() == 8


def test_an_error_is_that_of_the_future(executor: LoopExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(main, "completion", fail)
    future = executor.submit(functools.partial(contextvars.copy_context().run, functools.partial(fail, **CALL)))
    with pytest.raises(ValueError, match="no"):
        future.result()


class Agent(CustomLLM):
    """A provider that notes the thread on which LiteLLM called it, and sets a context variable."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def acompletion(self, *_: Any, **__: Any) -> Any:
        self.threads.append(threading.current_thread())
        NAME.set("changed")
        return self._answer()

    async def _answer(self) -> ModelResponse:
        return ModelResponse(choices=[{"message": {"role": "assistant", "content": "Hello."}}])

    def astreaming(self, *_: Any, **__: Any) -> AsyncIterator[GenericStreamingChunk]:
        self.threads.append(threading.current_thread())
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[GenericStreamingChunk]:
        chunk: dict[str, Any] = {"text": "Hello.", "is_finished": True, "finish_reason": "stop", "index": 0}
        yield GenericStreamingChunk(**chunk, tool_use=None, usage=None)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent()
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "stackspot", "custom_handler": agent}])
    monkeypatch.setattr(litellm, "_custom_providers", [*litellm._custom_providers])
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list])
    litellm.utils.custom_llm_setup()
    return agent


async def text_of(answer: Any) -> str:
    if isinstance(answer, ModelResponse):
        return str(answer.choices[0].message.content)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_litellm_calls_an_agent_on_the_loop(agent: Agent, stream: bool) -> None:
    """As long as LiteLLM submits its calls as it does; otherwise they are prepared on threads."""
    prepare_on_the_loop()
    before = NAME.get()
    call: Any = {"model": "stackspot/a", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    answer: Any = await litellm.acompletion(**call)
    assert await text_of(answer) == "Hello."
    assert agent.threads == [threading.main_thread()]
    assert NAME.get() == before  # the call has a context of its own, as on a thread
    assert await asyncio.to_thread(threading.current_thread) is not threading.main_thread()
