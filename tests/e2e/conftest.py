"""The processes that the tests share: a simulator, the real proxy, and stand-ins for the other providers.

These tests run in `.venv-clients`, with today's client libraries and without LiteLLM.
"""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from playwright.sync_api import Browser

from tests.support.browser import running_browser
from tests.support.gateway import running_gateway
from tests.support.prices import write_config, write_keys
from tests.support.providers import Providers, running_providers
from tests.support.proxy import Proxy, Simulator, running_proxy
from tests.support.proxy_fixtures import proxy, search_server, search_server_process, simulator, simulator_process
from tests.support.search_server import SearchServer

__all__ = ["proxy", "search_server", "search_server_process", "simulator", "simulator_process"]


@pytest.fixture(scope="session")
def providers_process() -> Iterator[Providers]:
    with running_providers() as running:
        yield running


@pytest.fixture
def providers(providers_process: Providers) -> Providers:
    """The other providers, with their usual answers."""
    providers_process.reset()
    return providers_process


@pytest.fixture(scope="session")
def services(
    simulator_process: Simulator, providers_process: Providers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy whose models of config.yaml can all be asked."""
    environ = simulator_process.environ | providers_process.environ
    with running_proxy(tmp_path_factory.mktemp("services") / "log", **environ) as running:
        yield running


@pytest.fixture(scope="session")
def priced(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy whose models have prices, and whose keys have budgets."""
    folder = tmp_path_factory.mktemp("priced")
    environ = {**simulator_process.environ, "KEYS_FILE": write_keys(folder / "keys.yaml")}
    environ |= {"STACKSPOT_QUICK_COMMANDS_POLL": "0.02", "STACKSPOT_QUICK_COMMANDS_PER_MINUTE": "0"}
    with running_proxy(folder / "log", config=write_config(folder / "config.yaml"), **environ) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(
    simulator_process: Simulator, search_server_process: SearchServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with MCP servers and a search server."""
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, search_server_process.url, **simulator_process.environ) as running:
        yield running


@pytest.fixture(scope="session")
def client(proxy: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file: its driver has an event loop in the thread of the tests."""
    with running_browser() as running:
        yield running
