"""Fixtures of the real proxy, its simulator and a search server, for the conftest.py of each folder whose tests use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy, Simulator, running_proxy, running_simulator
from tests.support.search_server import SearchServer, running_search_server


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_simulator(tmp_path_factory.mktemp("simulator") / "log") as running:
        yield running


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """The simulator, quick and with nothing scripted."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture(scope="session")
def proxy(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy") / "log", **simulator_process.environ) as running:
        yield running


@pytest.fixture(scope="session")
def search_server_process() -> Iterator[SearchServer]:
    with running_search_server() as running:
        yield running


@pytest.fixture
def search_server(search_server_process: SearchServer) -> SearchServer:
    """The search server, with its usual pages."""
    search_server_process.reset()
    return search_server_process
