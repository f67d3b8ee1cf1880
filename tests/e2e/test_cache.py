"""Models with a cache, through the real proxy: every protocol, whole and streamed, for the caller alone, at no cost."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.support.prices import GEMINI
from tests.support.processes import ROOT
from tests.support.protocols import (
    PATHS,
    STREAMED,
    ask_chat,
    ask_messages,
    ask_responses,
    block,
    body,
    calls_of,
    complete_chat,
    tool,
)
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

HEADER = "x-stackspot-cache"
ENTRY = """
  - model_name: {name}
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{{info}}}
"""
MODELS = {
    "own": "cache: key",
    # Asked by one test alone: LiteLLM counts a cost after the response, perhaps within the next test.
    "paid": "cache: key, input_cost_per_token: 0.001, output_cost_per_token: 0.01, input_cost_per_query: 0.5",
    "common": "cache: account, cache_ttl: 60",
    "wiki": "cache: key, knowledge: true",
    "kept": "cache: key, conversation: native",
    # On paths with this word, LiteLLM notes the key in another field than elsewhere.
    "assistant": "cache: key",
}
CONFIG = f"""
model_list:{"".join(ENTRY.format(name=name, info=info) for name, info in MODELS.items())}
litellm_settings:
  custom_provider_map: [{{provider: stackspot, custom_handler: custom_handler.stackspot_llm}}]
  callbacks: [custom_handler.plugin, prometheus]
  drop_params: true
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  custom_auth: custom_handler.authenticate_key
"""
TEAMS = {"first": "sk-cache-of-the-first", "second": "sk-cache-of-the-second"}
STREAMED_GEMINI = GEMINI.replace("generateContent", "streamGenerateContent")
PLAY = {"text": "um dois", "tokens": {"input": 7, "output": 3}, "times": "always"}
GEMINI_BODY = {"contents": [{"role": "user", "parts": [{"text": "Gemini?"}]}]}


def write_files(folder: Path) -> tuple[str, str]:
    """Write config.yaml and the keys; return their paths."""
    config, keys = folder / "config.yaml", folder / "keys.yaml"
    config.write_text(CONFIG)
    keys.write_text(json.dumps({"keys": [{"name": name, "key": key} for name, key in TEAMS.items()]}))
    return str(config), str(keys)


@pytest.fixture(scope="module")
def cached(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("cache")
    config, keys = write_files(folder)
    with running_proxy(folder / "log", config, **simulator_process.environ, KEYS_FILE=keys) as running:
        yield running


@pytest.fixture(scope="module")
def two_proxies(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Proxy]]:
    """Two proxies with limits and one Redis."""
    folder = tmp_path_factory.mktemp("shared-cache")
    config, keys = write_files(folder)
    limits = {"STACKSPOT_REQUESTS_PER_MINUTE": "1000", "STACKSPOT_REQUESTS_PER_DAY": "10000"}
    environ = {**simulator_process.environ, **limits, "KEYS_FILE": keys}
    with contextlib.ExitStack() as stack:
        environ["REDIS_URL"] = stack.enter_context(running_redis(folder)).url
        logs = [folder / name / "log" for name in ("first", "second")]
        for log in logs:
            log.parent.mkdir()
        yield [stack.enter_context(running_proxy(log, config, **environ)) for log in logs]


@pytest.fixture(scope="module")
def gpt(cached: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{cached.url}/v1", api_key=cached.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(cached: Proxy) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=cached.url, auth_token=cached.key, max_retries=0) as client:
        yield client


def post(proxy: Proxy, text: str, path: str = PATHS[0], *, stream: bool = False, **change: Any) -> httpx.Response:
    key, model = change.pop("key", proxy.key), change.pop("model", "own")
    headers = {"Authorization": f"Bearer {key}"} | change.pop("headers", {})
    asked = body(path, text, stream=stream) | {"model": model} | change
    answer = WEB.post(f"{proxy.url}{path}", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def spend(proxy: Proxy) -> float:
    """Return what LiteLLM has counted for the model, in USD."""
    text = WEB.get(f"{proxy.url}/metrics/", headers=proxy.headers).text
    values = re.findall(r'^litellm_spend_metric_total{.*requested_model="paid".*} (\S+)$', text, re.MULTILINE)
    return sum(map(float, values))


def lines(proxy: Proxy) -> list[dict[str, Any]]:
    files = (proxy.log.parent / "runs").rglob("interactions.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@STREAMED
@pytest.mark.parametrize("path", PATHS)
def test_a_repeated_question_is_a_hit_on_every_protocol(
    cached: Proxy, simulator: Simulator, path: str, *, stream: bool
) -> None:
    simulator.script(PLAY)
    text = f"{path} {stream}?"
    asked = [post(cached, text, path, stream=stream).headers[HEADER] for _ in range(2)]
    assert asked == ["miss", "hit"]
    assert len(simulator.requests()) == 1


@STREAMED
def test_the_sdks_read_the_same_from_a_hit(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator, *, stream: bool
) -> None:
    simulator.script(PLAY)
    question = f"Qual? {stream}"
    for _ in range(2):
        completion = complete_chat(
            gpt, question, model="own", stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})
        )
        assert completion.choices[0].message.content == "um dois"
        assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (7, 3)
        response = ask_responses(gpt, question, model="own", stream=stream)
        assert (response.output_text, response.usage.input_tokens) == ("um dois", 7)
        message = ask_messages(claude, question, model="own", stream=stream)
        assert (message.content[0].text, message.usage.output_tokens) == ("um dois", 3)
    assert len(simulator.requests()) == 2  # one with max_tokens, which /v1/messages requires


def test_a_streamed_answer_serves_whole_requests_on_other_protocols(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    assert post(cached, "Cruzado?", stream=True).headers[HEADER] == "miss"
    assert post(cached, "Cruzado?").headers[HEADER] == "hit"
    assert post(cached, "Cruzado?", PATHS[2]).headers[HEADER] == "hit"
    assert len(simulator.requests()) == 1


def test_geminis_routes_and_the_services_use_it(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    for path, asked in (
        (GEMINI.format("own"), GEMINI_BODY),
        ("/chat", {"model": "own", "message": "Serviço?"}),
        ("/chat/stream", {"model": "own", "message": "Em partes?"}),
    ):
        answers = [cached.post(path, asked) for _ in range(2)]
        assert [answer.headers.get(HEADER) for answer in answers] == ["miss", "hit"], answers[1].text
    assert len(simulator.requests()) == 3


@STREAMED
def test_calls_are_cached(gpt: openai.OpenAI, simulator: Simulator, *, stream: bool) -> None:
    simulator.script({"text": block("look", at="Recife"), "times": 1})
    choices = [ask_chat(gpt, f"Olhe {stream}", model="own", stream=stream, tools=[tool("look", "at")]) for _ in "12"]
    assert [calls_of(choice) for choice in choices] == [[("look", {"at": "Recife"})]] * 2
    assert choices[0].message.tool_calls[0].id != choices[1].message.tool_calls[0].id
    assert len(simulator.requests()) == 1


@STREAMED
def test_sources_are_cached(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, cached: Proxy, simulator: Simulator, *, stream: bool
) -> None:
    simulator.script(PLAY)
    question = f"Fontes? {stream}"
    annotations = [ask_chat(gpt, question, model="wiki", stream=stream).message.annotations for _ in range(2)]
    cited = [ask_responses(gpt, question, model="wiki", stream=stream).output[0].content[0] for _ in range(2)]
    blocks = [ask_messages(claude, question, model="wiki", stream=stream).content[0] for _ in range(2)]
    assert annotations[0] == annotations[1] != []
    assert cited[0].annotations == cited[1].annotations != []
    assert blocks[0].citations == blocks[1].citations
    assert blocks[1].citations
    assert len(simulator.requests()) == 2  # one with max_tokens
    eventually(lambda: any(line.get("cache") == "hit" and line.get("sources") for line in lines(cached)))


@STREAMED
def test_no_key_sees_the_answer_of_another(cached: Proxy, simulator: Simulator, *, stream: bool) -> None:
    for number, key in enumerate((*TEAMS.values(), cached.key)):
        simulator.script({"text": f"resposta {number}"})
        answers = [post(cached, f"Quem sou? {stream}", stream=stream, key=key) for _ in range(2)]
        assert [answer.headers[HEADER] for answer in answers] == ["miss", "hit"]
        assert all(str(number) in answer.text for answer in answers)
    assert len(simulator.requests()) == 3


@pytest.mark.parametrize("path", ["/openai/deployments/assistant/chat/completions", *PATHS])
def test_no_key_reads_an_answer_by_metadata_that_name_another_key(
    cached: Proxy, simulator: Simulator, path: str
) -> None:
    """Nor does a request leave the log as a health check, whose key it may claim to have."""
    simulator.script(PLAY)
    owners, calls = ("litellm_proxy_master_key", "litellm-internal-health-check"), []
    for number, (owner, field) in enumerate(itertools.product(owners, ("metadata", "litellm_metadata"))):
        shape = PATHS[0] if "deployments" in path else path
        asked = body(shape, f"Segredo? {path} {number}", stream=False) | {"model": "assistant"}
        assert cached.post(path, asked).headers[HEADER] == "miss"
        forged = asked | {field: {"user_api_key": owner, "user_api_key_hash": owner}}
        answer = cached.post(path, forged, Authorization=f"Bearer {TEAMS['first']}")
        assert (answer.status_code, answer.headers[HEADER]) == (200, "miss"), answer.text
        calls.append(answer.headers["x-litellm-call-id"])
    eventually(lambda: set(calls) <= {line["call_id"] for line in lines(cached)})


def test_keys_share_the_cache_of_the_account(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    keys = (*TEAMS.values(), cached.key)
    outcomes = [post(cached, "Comum?", model="common", key=key).headers[HEADER] for key in keys]
    assert outcomes == ["miss", "hit", "hit"]


def test_a_request_decides_by_cache_control(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    for control, outcome in (("no-store", "bypass"), ("", "miss"), ("no-cache", "miss"), ("", "hit")):
        headers = {"Cache-Control": control} if control else {}
        for path in PATHS[:1]:
            assert post(cached, "Controle?", path, headers=headers).headers[HEADER] == outcome
    for path in PATHS[1:]:
        assert post(cached, "Controle?", path, headers={"Cache-Control": "no-store"}).headers[HEADER] == "bypass"
    assert post(cached, "Controle?", cache={"no-store": True}).headers[HEADER] == "bypass"


def test_kept_conversations_and_files_are_not_cached(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Foto?"}, picture]}]
    for _ in range(2):
        kept = post(cached, "Nativa?", model="kept", headers={"correlation-id": "conversation-1"})
        assert kept.headers[HEADER] == "bypass"
        assert post(cached, "", messages=messages).headers[HEADER] == "bypass"
    assert len(simulator.requests()) == 4


@pytest.mark.parametrize("path", PATHS)
@STREAMED
def test_a_hit_costs_nothing_and_uses_no_quota(cached: Proxy, simulator: Simulator, path: str, *, stream: bool) -> None:
    simulator.script(PLAY)
    text, before = f"Custa? {path} {stream}", spend(cached)
    price = pytest.approx(before + 0.537)
    post(cached, text, path, model="paid", stream=stream)
    eventually(lambda: spend(cached) == price)
    hit = post(cached, text, path, model="paid", stream=stream)
    assert hit.headers[HEADER] == "hit"
    if not stream:
        assert float(hit.headers.get("x-litellm-response-cost", 0)) == 0  # LiteLLM leaves out a cost of 0
    call = hit.headers["x-litellm-call-id"]
    eventually(lambda: any(line["call_id"] == call and line.get("cache") == "hit" for line in lines(cached)))
    post(cached, f"{text} outra", path, model="paid", stream=stream)  # what it costs is counted after the hit
    eventually(lambda: spend(cached) == pytest.approx(before + 2 * 0.537))


@pytest.mark.parametrize(
    ("path", "stream"),
    [*itertools.product((*PATHS, "/v1/completions"), (False, True)), (GEMINI, False), (STREAMED_GEMINI, True)],
)
def test_proxies_with_redis_share_answers_and_a_hit_leaves_the_quota_as_it_is(
    two_proxies: list[Proxy], simulator: Simulator, path: str, *, stream: bool
) -> None:
    simulator.script(PLAY)
    text = f"Redis? {path} {stream}"
    question = {
        "/v1/completions": {"model": "own", "prompt": text, "stream": stream},
        GEMINI: (contents := {"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        STREAMED_GEMINI: contents,
    }.get(path, body(path, text, stream=stream) | {"model": "own"})
    first, second = two_proxies

    def ask(proxy: Proxy, key: str) -> str:
        answer = proxy.post(path.format("own"), question, Authorization=f"Bearer {key}")
        assert (answer.status_code, "dois" in answer.text) == (200, True), answer.text
        return answer.headers[HEADER]

    def used(proxy: Proxy) -> tuple[int, list[tuple[str, int]]]:
        told = WEB.get(f"{proxy.url}/quota", headers=proxy.headers).json()
        return told["day"]["used"], [(key["name"], key["used"]) for key in told["keys"]]

    before = used(first)
    assert ask(first, TEAMS["first"]) == "miss"
    asked = used(first)
    assert asked[0] == before[0] + 1
    assert [ask(proxy, TEAMS["first"]) for proxy in (second, first)] == ["hit", "hit"]
    assert used(first)[0] == used(second)[0] == asked[0]
    assert dict(used(second)[1])["first"] <= dict(asked[1])["first"], "it may only get less, as minutes pass"
    assert len(simulator.requests()) == 1
    assert ask(second, TEAMS["second"]) == "miss"


@STREAMED
def test_equal_questions_at_the_same_time_ask_once(cached: Proxy, simulator: Simulator, *, stream: bool) -> None:
    simulator.script({"text": "um dois três", "delay_first": 1.0, "times": "always"})
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: post(cached, f"Juntos? {stream}", stream=stream), range(6)))
    outcomes = sorted(answer.headers[HEADER] for answer in answers)
    assert outcomes.count("miss") == 1
    assert set(outcomes) <= {"hit", "miss", "shared"}  # one that started late may find the answer
    assert len(simulator.requests()) == 1


def test_a_client_that_joins_receives_what_has_arrived(cached: Proxy, simulator: Simulator) -> None:
    """The agent stalls within its answer: both clients have its start, and it is asked once."""
    simulator.script({"text": "um dois três", "fault": "stall", "after": 2, "times": "always"})
    asked = body(PATHS[0], "Devagar?", stream=True) | {"model": "own"}

    url = f"{cached.url}{PATHS[0]}"
    with WEB.stream("POST", url, json=asked, headers=cached.headers) as first:
        read = first.iter_lines()  # the connection closes with the iterator
        assert any('"content":"um' in line for line in read)
        with WEB.stream("POST", url, json=asked, headers=cached.headers) as joined:
            assert joined.headers[HEADER] == "shared"
            assert any('"content":"um' in line for line in joined.iter_lines())
    assert simulator.wait_for_disconnect()


def test_the_example_shows_a_hit(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    environ = os.environ | {"PROXY_URL": cached.url, "LITELLM_MASTER_KEY": cached.key}
    command = [sys.executable, str(ROOT / "examples/openai/cached.py"), "common"]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f"{outcome}: um dois" for outcome in ("miss", "hit", "miss")]


def test_the_metric_counts_what_happened(cached: Proxy, simulator: Simulator) -> None:
    simulator.script(PLAY)
    for _ in range(2):
        post(cached, "Contado?")
    text = WEB.get(f"{cached.url}/metrics/", headers=cached.headers).text
    counted = dict(
        re.findall(r'^stackspot_cache_lookups_total{account="default",outcome="(\w+)"} (\S+)$', text, re.MULTILINE)
    )
    assert float(counted["hit"]) >= 1
    assert float(counted["miss"]) >= 1
