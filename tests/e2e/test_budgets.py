"""Budgets of KEYS_FILE, through the real proxy: a key that has spent its own is refused on every protocol."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.prices import GEMINI, write_config, write_keys
from tests.support.protocols import PATHS, STREAMED, body
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

CREDIT = 0.25
COMPLETIONS = "/v1/completions"


def ask(
    proxy: Proxy,
    key: str,
    path: str = PATHS[0],
    *,
    model: str = "credits",
    stream: bool = False,
    text: str = "Oi",
    fallbacks: list[Any] | None = None,
) -> httpx.Response:
    asked = {**body(path, text, stream=stream), "model": model}
    if path == GEMINI:
        path, asked = path.format(model), {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    if path == COMPLETIONS:
        asked = {"model": model, "prompt": text, "stream": stream}
    if fallbacks:
        asked["fallbacks"] = fallbacks
    return WEB.post(f"{proxy.url}{path}", json=asked, headers=headers_of(key))


def headers_of(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer sk-the-key-of-{key}-1"}


def budget_of(proxy: Proxy, key: str) -> dict[str, Any]:
    [entry] = WEB.get(f"{proxy.url}/quota", headers=headers_of(key)).json()["keys"]
    found: dict[str, Any] = entry["budget"]
    return found


def test_a_key_is_refused_at_once_when_its_calls_have_cost_its_budget(priced: Proxy, simulator: Simulator) -> None:
    assert [ask(priced, "poor", stream=stream).status_code for stream in (False, True, False, True)] == [
        200,
        200,
        200,
        422,
    ]
    asked = len(simulator.requests())
    assert budget_of(priced, "poor")["spent"] == 3 * CREDIT
    for path in (*PATHS, GEMINI, COMPLETIONS):
        for stream in (False, True):
            refused = ask(priced, "poor", path, stream=stream)
            assert refused.status_code == 422, (path, refused.text)
            assert "Budget has been exceeded! Key=poor Current cost: 0.75, Max budget: 0.6. It starts" in refused.text
            assert "sk-" not in refused.text
    error = ask(priced, "poor").json()["error"]
    assert (error["type"], error["code"]) == ("budget_exceeded", "422")
    assert len(simulator.requests()) == asked, "a refused request reached the agent"
    assert ask(priced, "none").status_code == ask(priced, "rich").status_code == 200
    assert ask(priced, "poor", model="gratis").status_code == 200
    assert WEB.get(f"{priced.url}/v1/models", headers=headers_of("poor")).status_code == 200


@STREAMED
@pytest.mark.parametrize("path", [*PATHS, GEMINI, COMPLETIONS])
def test_a_free_model_does_not_fall_back_to_a_priced_one_when_the_budget_is_spent(
    priced: Proxy, simulator: Simulator, path: str, *, stream: bool
) -> None:
    eventually(lambda: ask(priced, "away").status_code == 422)
    spent = budget_of(priced, "away")["spent"]
    asked = len(simulator.requests())
    assert ask(priced, "away", path, model="backed", stream=stream).status_code == 200
    for fallbacks in (None, ["credits"], [{"model": "credits"}]):
        simulator.script({"status": 503, "body": "{}"})
        refused = ask(priced, "away", path, model="backed", stream=stream, fallbacks=fallbacks)
        assert refused.status_code == 503, refused.text
        assert "Budget has been exceeded! Key=away" in refused.text
        assert "x-should-retry" not in refused.headers
    assert len(simulator.requests()) == asked + 4, "the priced model was asked"
    simulator.script({"status": 503, "body": "{}"})
    assert ask(priced, "rich", path, model="backed", stream=stream).status_code == 200
    assert len(simulator.requests()) == asked + 6
    assert budget_of(priced, "away")["spent"] == spent


@pytest.mark.parametrize("path", [*PATHS, GEMINI, COMPLETIONS])
def test_aliases_and_wildcards_are_as_free_as_their_models(priced: Proxy, simulator: Simulator, path: str) -> None:
    eventually(lambda: ask(priced, "away").status_code == 422)
    names = ("of-credits", "priced-9", "openai/credits", "of-gratis", "free-9", "openai/gratis")
    statuses = {name: ask(priced, "away", path, model=name).status_code for name in names}
    assert statuses == {name: 200 if "gratis" in name or "free" in name else 422 for name in names}


def test_the_sdk_does_not_try_again(priced: Proxy, simulator: Simulator) -> None:
    eventually(lambda: ask(priced, "away").status_code == 422)
    with (
        openai.OpenAI(base_url=f"{priced.url}/v1", api_key="sk-the-key-of-away-1", max_retries=3) as client,
        pytest.raises(openai.UnprocessableEntityError) as refused,
    ):
        client.chat.completions.create(model="credits", messages=[{"role": "user", "content": "Oi"}])
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_calls_at_once_exceed_a_budget_by_no_more_than_themselves(priced: Proxy, simulator: Simulator) -> None:
    for _ in range(3):
        assert ask(priced, "many").status_code == 200
    simulator.configure(first_token_delay=0.3)
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: ask(priced, "many"), range(8))]
    admitted = statuses.count(200)
    assert 1 <= admitted <= 8
    assert ask(priced, "many").status_code == 422
    assert budget_of(priced, "many")["spent"] == (3 + admitted) * CREDIT


@STREAMED
def test_the_chat_service_spends_and_refuses(priced: Proxy, simulator: Simulator, *, stream: bool) -> None:
    path = "/chat/stream" if stream else "/chat"
    asked = {"message": "Oi", "model": "credits"}
    eventually(lambda: ask(priced, "chat").status_code == 422)
    refused = WEB.post(f"{priced.url}{path}", json=asked, headers=headers_of("chat"))
    assert "Budget has been exceeded" in refused.text
    assert refused.status_code == 422


def test_the_items_of_a_job_fail_with_the_refusal(priced: Proxy, simulator: Simulator) -> None:
    eventually(lambda: ask(priced, "chat").status_code == 422)
    asked = {"model": "credits", "messages": ["Oi", "Olá"]}
    job = WEB.post(f"{priced.url}/ingest", json=asked, headers=headers_of("chat")).raise_for_status().json()["job_id"]

    def told() -> dict[str, Any]:
        found: dict[str, Any] = WEB.get(f"{priced.url}/status/{job}", headers=headers_of("chat")).json()
        return found

    eventually(lambda: told()["status"] == "failed")
    assert [item["error"]["type"] for item in told()["result"]] == ["budget_exceeded"] * 2


def test_the_metrics_have_spend_budget_and_refusals(priced: Proxy, simulator: Simulator) -> None:
    eventually(lambda: ask(priced, "away").status_code == 422)

    def told() -> str:
        return WEB.get(f"{priced.url}/metrics", headers=priced.headers).text

    assert 'stackspot_key_spend_usd{api_key_alias="away"} 0.25' in told()
    assert 'stackspot_key_budget_usd{api_key_alias="rich"} 1000.0' in told(), "of the start, without a call"
    assert 'stackspot_key_budget_usd{api_key_alias="away"} 0.1' in told()
    assert 'stackspot_budget_refusals_total{api_key_alias="away"}' in told()
    assert "Calls of free cost no budget of KEYS_FILE" in priced.log.read_text()


def test_the_spend_stands_in_the_file_beside_the_jobs(priced: Proxy, simulator: Simulator) -> None:
    assert ask(priced, "rich").status_code == 200
    with contextlib.closing(sqlite3.connect(priced.log.parent / "jobs" / "spend.sqlite3")) as file:
        query = "select amount from spend where key = 'rich' and period = 0"
        eventually(lambda: file.execute(query).fetchone() == (budget_of(priced, "rich")["spent"],))


def test_two_workers_share_the_spend_and_a_restart_keeps_it(simulator: Simulator, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.yaml")
    with running_redis(tmp_path, durable=True) as server:
        environ = {**simulator.environ, "KEYS_FILE": write_keys(tmp_path / "keys.yaml"), "REDIS_URL": server.url}
        with running_proxy(tmp_path / "log", config=config, workers=2, **environ) as proxy:
            statuses = [ask(proxy, "many").status_code for _ in range(12)]
            assert 4 <= statuses.count(200) <= 5, "the other worker may not know the cost of a call yet"
            spent = statuses.count(200) * CREDIT
            eventually(lambda: budget_of(proxy, "many")["spent"] == spent)
        with running_proxy(tmp_path / "again", config=config, **environ) as proxy:
            assert ask(proxy, "many").status_code == 422
            assert budget_of(proxy, "many") == {"limit": 1, "spent": spent, "resets_at": None}
