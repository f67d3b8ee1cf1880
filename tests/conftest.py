"""A simulator for the whole run, a provider that talks to it, and the four ways to ask one.

The tests in `tests/e2e` run without LiteLLM and our dependencies: whatever needs them is imported where it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Without it LiteLLM fetches its price list from the network when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# A shell that runs this in the background has it ignore SIGINT, and then its children would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MODEL = "stackspot-chat"


def pytest_configure(config: pytest.Config) -> None:
    # Pydantic says it once, when LiteLLM's message types are first used.
    config.addinivalue_line("filterwarnings", "ignore:Items? .* using the `ReadOnly` qualifier:UserWarning")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told, however it asked; ids are left out, `chunks` is empty for a whole answer."""

    content: str
    calls: tuple[tuple[str, str], ...]
    finish: str
    usage: tuple[int, int]
    chunks: tuple[Any, ...] = ()

    def told(self) -> tuple[Any, ...]:
        """What must not depend on the way of asking."""
        return self.content, self.calls, self.finish, self.usage


def read_whole(response: Any) -> Answer:
    choice = response.choices[0]
    calls = tuple((call.function.name, call.function.arguments) for call in choice.message.tool_calls or ())
    usage = response.usage.prompt_tokens, response.usage.completion_tokens
    return Answer(choice.message.content or "", calls, choice.finish_reason, usage)


def read_chunks(chunks: list[Any]) -> Answer:
    content, finish, usage = "", [], [(0, 0)]
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        if getattr(chunk, "usage", None) is not None:
            usage.append((chunk.usage.prompt_tokens, chunk.usage.completion_tokens))
        for choice in chunk.choices:
            content += choice.delta.content or ""
            finish += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or ():
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    assert len(finish) == 1
    return Answer(content, tuple((name, args) for name, args in calls.values()), finish[0], usage[-1], tuple(chunks))


async def _gathered(stream: Any) -> list[Any]:
    async with contextlib.aclosing(stream):
        return [chunk async for chunk in stream]


async def _astreamed(provider: Any, messages: Any, call: dict[str, Any]) -> list[Any]:
    return await _gathered(provider.astreaming(MODEL, messages, **call))


def _ask_completion(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_whole(provider.completion(MODEL, messages, **call))


def _ask_acompletion(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_whole(asyncio.run(provider.acompletion(MODEL, messages, **call)))


def _ask_streaming(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_chunks(list(provider.streaming(MODEL, messages, **call)))


def _ask_astreaming(provider: Any, messages: Any, **call: Any) -> Answer:
    return read_chunks(asyncio.run(_astreamed(provider, messages, call)))


ENTRIES: dict[str, Callable[..., Answer]] = {
    "completion": _ask_completion,
    "acompletion": _ask_acompletion,
    "streaming": _ask_streaming,
    "astreaming": _ask_astreaming,
}


@pytest.fixture(params=list(ENTRIES))
def ask(request: pytest.FixtureRequest) -> Callable[..., Answer]:
    """One of the four ways to ask, as a function of provider, messages and call that returns an Answer."""
    return ENTRIES[request.param]


@pytest.fixture
def entries() -> dict[str, Callable[..., Answer]]:
    """All four ways to ask, by the name of the method."""
    return ENTRIES


@pytest.fixture
def from_chunks() -> Callable[[list[Any]], Answer]:
    return read_chunks


@pytest.fixture
def from_whole() -> Callable[[Any], Answer]:
    return read_whole


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Any]:
    from custom_handler.simulator import SimulatorSettings, SimulatorThread

    quick = SimulatorSettings(first_token_delay=0, cadence=0)
    with SimulatorThread(quick) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Any) -> Any:
    """The simulator, without anything of the test before."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one certificate authority: nothing here speaks TLS, and reading them all takes a while."""
    import certifi

    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(first + end, encoding="utf-8")
    return file


@pytest.fixture
def settings(simulator: Any, one_certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings that lead to the simulator."""
    from custom_handler.settings import AccountSettings, LimitSettings, Settings

    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))
    return Settings(
        account=AccountSettings(
            client_id="simulator",
            client_secret="simulator-secret",
            realm="simulator",
            agent_id=AGENT,
            idm_url=simulator.url,
            inference_url=simulator.url,
            files_url=simulator.url,
        ),
        limits=LimitSettings(requests_per_minute=0, max_retries=0),
    )


@pytest.fixture
def provider(settings: Any) -> Any:
    from custom_handler import StackspotLLM

    return StackspotLLM(settings)


@pytest.fixture
def stopped_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines for which no time passes: only the network's own limit ends a call, after the whole of its timeout."""
    from custom_handler.chat import turn
    from custom_handler.stackspot.deadline import Deadline

    monkeypatch.setattr(turn, "Deadline", lambda timeout, _: Deadline(timeout, lambda: 0.0))


@pytest.fixture
def hello() -> list[dict[str, str]]:
    return [{"role": "user", "content": "Olá"}]


@pytest.fixture
def weather() -> dict[str, Any]:
    """Optional parameters that declare one tool."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "get_weather", "description": "Tells the weather of a city", "parameters": schema}
    return {"optional_params": {"tools": [{"type": "function", "function": function}]}}


@pytest.fixture
def block() -> Callable[..., str]:
    """The text of a tool call as an agent writes it."""

    def write(name: str = "get_weather", **arguments: Any) -> str:
        return f"FUNCTION_CALL_START\n{name}\narguments: {json.dumps(arguments, ensure_ascii=False)}\nFUNCTION_CALL_END"

    return write


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Wait for a condition that another thread brings about, and return its value."""

    def wait(condition: Callable[[], Any], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.005)
        return value

    return wait
