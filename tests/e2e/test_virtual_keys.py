"""Virtual keys of LiteLLM with a budget, against Postgres: CI runs this, with Prisma's engine and DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.prices import write_config
from tests.support.protocols import PATHS, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy

DATABASE = os.environ.get("DATABASE_URL", "")
pytestmark = pytest.mark.skipif(not DATABASE, reason="needs Postgres in DATABASE_URL, and Prisma's engine")


@pytest.fixture(scope="module")
def virtual(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("virtual")
    environ = {**simulator_process.environ, "DATABASE_URL": DATABASE}
    with running_proxy(folder / "log", config=write_config(Path(folder / "config.yaml")), **environ) as running:
        yield running


def call(proxy: Proxy, key: str, path: str, *, stream: bool) -> httpx.Response:
    asked: dict[str, Any] = {**body(path, "Oi", stream=stream), "model": "credits"}
    return WEB.post(f"{proxy.url}{path}", json=asked, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_a_virtual_key_that_has_spent_its_budget_is_refused(
    virtual: Proxy, simulator: Simulator, path: str, *, stream: bool
) -> None:
    made = virtual.post("/key/generate", {"max_budget": 0.4}).raise_for_status().json()
    statuses = []
    while 422 not in statuses and len(statuses) < 10:
        answer = call(virtual, made["key"], path, stream=stream)
        statuses.append(answer.status_code)
    assert statuses[:2] == [200, 200], "0.25 of 0.4 is spent"
    assert 422 in statuses
    assert "budget_exceeded" in answer.text or "Budget has been exceeded" in answer.text
