"""Fixtures of the real proxy and its simulator, for the conftest.py of each folder whose tests use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy, Simulator, running_proxy, running_simulator


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
