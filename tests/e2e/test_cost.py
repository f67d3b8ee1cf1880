"""Prices of config.yaml, through the real proxy: each protocol costs the same, and clients see limits and capabilities."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.prices import GEMINI
from tests.support.protocols import PATHS, STREAMED, block, body, tool
from tests.support.proxy import WEB, Proxy, Simulator
from tests.support.waiting import eventually

PLAY = {"text": "um dois", "tokens": {"input": 7, "output": 3}}
COSTS = {"tokens": 0.037, "credits": 0.25, "mixed": 0.53}


def spend(proxy: Proxy, model: str) -> float:
    """Return what LiteLLM has counted for a model, in USD."""
    text = WEB.get(f"{proxy.url}/metrics", headers=proxy.headers).text
    values = re.findall(rf'^litellm_spend_metric_total{{.*requested_model="{model}".*}} (\S+)$', text, re.MULTILINE)
    return sum(map(float, values))


def costs(proxy: Proxy, model: str, path: str, asked: dict[str, Any]) -> dict[str, str]:
    """Ask, and wait until LiteLLM has counted what the model costs; return the headers."""
    before = spend(proxy, model)
    answer = proxy.post(path, asked)
    assert answer.status_code == 200, answer.text
    eventually(lambda: spend(proxy, model) - before == pytest.approx(COSTS[model]))
    return dict(answer.headers)


@STREAMED
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", COSTS)
def test_every_protocol_costs_the_agents_tokens_and_requests(
    priced: Proxy, simulator: Simulator, model: str, path: str, *, stream: bool
) -> None:
    simulator.script(PLAY)
    headers = costs(priced, model, path, {**body(path, "Oi", stream=stream), "model": model})
    if not stream:
        assert float(headers["x-litellm-response-cost"]) == pytest.approx(COSTS[model])


@pytest.mark.parametrize("model", COSTS)
def test_geminis_protocol_costs_the_same(priced: Proxy, simulator: Simulator, model: str) -> None:
    simulator.script(PLAY)
    costs(priced, model, GEMINI.format(model), {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]})


@STREAMED
def test_text_completions_cost_the_same(priced: Proxy, simulator: Simulator, *, stream: bool) -> None:
    simulator.script(PLAY)
    costs(priced, "credits", "/v1/completions", {"model": "credits", "prompt": "Oi", "stream": stream})


def test_a_hidden_request_costs_another_credit(priced: Proxy, simulator: Simulator) -> None:
    spoiled = "FUNCTION_CALL_START\nlook\narguments: {oops\nFUNCTION_CALL_END"
    simulator.script({"text": spoiled}, {"text": block("look", at="a")})
    asked = {**body(PATHS[0], "Oi", stream=False), "model": "credits", "tools": [tool("look", "at")]}
    answer = priced.post(PATHS[0], asked)
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert float(answer.headers["x-litellm-response-cost"]) == 0.5


@STREAMED
def test_a_quick_command_costs_its_execution_and_no_polls(priced: Proxy, simulator: Simulator, *, stream: bool) -> None:
    before = spend(priced, "command")
    answer = priced.post(PATHS[0], {**body(PATHS[0], "Count to 3", stream=stream), "model": "command"})
    assert answer.status_code == 200
    assert len(simulator.requests(at="callback")) >= 2
    if not stream:
        assert float(answer.headers["x-litellm-response-cost"]) == pytest.approx(0.4)
    eventually(lambda: spend(priced, "command") - before == pytest.approx(0.4))


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_its_client_leaves_costs_its_request(priced: Proxy, simulator: Simulator, path: str) -> None:
    simulator.script({"text": "um dois " * 5, "fault": "stall", "after": 2})
    before = spend(priced, "credits")
    asked = {**body(path, "Oi", stream=True), "model": "credits"}
    with WEB.stream("POST", f"{priced.url}{path}", json=asked, headers=priced.headers) as answer:
        next(line for line in answer.iter_lines() if "um" in line)
    eventually(lambda: spend(priced, "credits") - before == pytest.approx(0.25))


def test_clients_find_limits_capabilities_and_prices(priced: Proxy) -> None:
    def told(path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = WEB.get(f"{priced.url}{path}", headers=priced.headers).json()["data"]
        return found

    groups = {group["model_group"]: group for group in told("/model_group/info")}
    free, tokens = groups["free"], groups["tokens"]
    assert free["max_input_tokens"] == 250_000
    assert (free["mode"], free["supports_function_calling"]) == ("chat", True)
    assert {"tools", "response_format"} <= set(free["supported_openai_params"])
    assert (tokens["input_cost_per_token"], tokens["output_cost_per_token"]) == (0.001, 0.01)
    infos = {model["model_name"]: model["model_info"] for model in told("/v1/model/info")}
    assert infos["free"]["supports_response_schema"] is True
    assert infos["credits"]["input_cost_per_query"] == 0.25
    assert infos["mixed"]["input_cost_per_query"] == 0.5
    assert {model["max_input_tokens"] for model in told("/v1/models")} == {250_000}
    assert "register_model" not in priced.log.read_text()
