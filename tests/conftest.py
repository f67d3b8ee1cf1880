"""A simulator for the whole run, a provider that talks to it, and the four ways to ask one.

The tests in `tests/e2e` run without LiteLLM and our dependencies: whatever needs them is imported where it is used.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.asking import ENTRIES, Answer, Ask, read_chunks, read_whole
from tests.support.waiting import eventually

# Without it LiteLLM fetches its price list from the network when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# A shell that runs this in the background has it ignore SIGINT, and then its children would as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

with contextlib.suppress(ImportError):  # the clients' environment may lack it
    import hypothesis

    hypothesis.settings.register_profile(
        "noisy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("noisy machine")

AGENT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NO_PARAMETERS = SimpleNamespace(params={})


def pytest_configure(config: pytest.Config) -> None:
    # Pydantic says it once, when LiteLLM's message types are first used.
    config.addinivalue_line("filterwarnings", "ignore:Items? .* using the `ReadOnly` qualifier:UserWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what starts a Redis server, for which no test has to name the marker."""
    for item in items:
        params = getattr(item, "callspec", NO_PARAMETERS).params
        if "redis" in params.values() or {"redis_server", "redis_process"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=list(ENTRIES))
def ask(request: pytest.FixtureRequest) -> Ask:
    """One of the four ways to ask, as a function of provider, messages and call that returns an Answer."""
    return ENTRIES[request.param]


@pytest.fixture
def entries() -> dict[str, Ask]:
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
            agents_url=simulator.url,
            quick_commands_url=simulator.url,
        ),
        limits=LimitSettings(
            requests_per_minute=0, max_retries=0, quick_commands_per_minute=0, quick_commands_poll=0.001
        ),
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
def ticking_deadlines(monkeypatch: pytest.MonkeyPatch) -> float:
    """Deadlines for which ten seconds pass whenever they are asked; returns a timeout of some reads.

    A read may take five seconds at least, so the network's own limit ends no call.
    """
    from custom_handler.chat import turn
    from custom_handler.stackspot.deadline import Deadline

    def deadline(timeout: float, _: Any) -> Deadline:
        ticks = itertools.count(step=10.0)
        return Deadline(timeout, lambda: next(ticks))

    monkeypatch.setattr(turn, "Deadline", deadline)
    return 95.0


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


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """Wait for a condition that another thread brings about, and return its value."""
    return eventually
