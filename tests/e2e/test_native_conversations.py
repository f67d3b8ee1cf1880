"""A model of config.yaml whose conversations the platform keeps, asked by real SDKs through two processes that share a Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.support.protocols import STREAMED, ask_chat, ask_messages, ask_responses, block, calls_of, tool
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.redis_server import running_redis

CONFIG = """
model_list:
  - model_name: plain
    litellm_params: {model: stackspot-chat, custom_llm_provider: stackspot}
  - model_name: native
    litellm_params: {model: stackspot-chat, custom_llm_provider: stackspot}
    model_info: {conversation: native}
litellm_settings:
  custom_provider_map: [{provider: stackspot, custom_handler: custom_handler.stackspot_llm}]
  callbacks: [custom_handler.plugin]
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  custom_auth: custom_handler.authenticate_key
"""
KEYS = {"team-a": "sk-native-conversation-a", "team-b": "sk-native-conversation-b"}
TURNS = 20
SYSTEM = {"role": "system", "content": "Use as ferramentas. " + "Seja breve. " * 300}
CITY = tool("tempo", "cidade")
CITIES = ("Recife", "Olinda", "Natal", "Belém", "Manaus", "Macapá", "Palmas", "Cuiabá", "Goiânia", "Vitória")


@pytest.fixture(scope="module")
def native_proxy(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("native")
    config, keys = folder / "config.yaml", folder / "keys.yaml"
    config.write_text(CONFIG)
    keys.write_text(json.dumps({"keys": [{"name": name, "key": key} for name, key in KEYS.items()]}))
    environ = simulator_process.environ | {"KEYS_FILE": str(keys), "STACKSPOT_MAX_CONCURRENCY": "32"}
    with (
        running_redis(folder, durable=True) as redis,
        running_proxy(folder / "log", str(config), workers=2, **environ, REDIS_URL=redis.url) as running,
    ):
        yield running


def client_of(native_proxy: Proxy, key: str, correlation: str) -> openai.OpenAI:
    headers = {"correlation-id": correlation}
    return openai.OpenAI(base_url=f"{native_proxy.url}/v1", api_key=key, max_retries=0, default_headers=headers)


def loop(client: openai.OpenAI, model: str, turns: int = TURNS, *, stream: bool = False) -> list[Any]:
    """Ask for city after city, and give each call its result; what is told in each turn."""
    messages: list[Any] = [SYSTEM]
    told: list[Any] = []
    cities = iter(CITIES)
    for number in range(turns):
        if not told or not told[-1][1]:
            messages.append({"role": "user", "content": f'Como está o tempo em "{next(cities)}"?'})
        choice = ask_chat(client, messages, model=model, tools=[CITY], stream=stream)
        told.append((choice.message.content or "", calls_of(choice), choice.finish_reason))
        messages.append(choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
        for call in choice.message.tool_calls or ():
            result = json.dumps({"turno": number, "tempo": "sol entre nuvens " * 30})
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return told


def sent(simulator: Simulator) -> list[tuple[str | None, int]]:
    """The conversation and the characters of each question that the agent was asked."""
    return [(record["body"].get("conversation_id"), record["characters"]) for record in simulator.requests()]


@STREAMED
def test_a_loop_of_twenty_turns_is_answered_alike_for_far_fewer_characters(
    native_proxy: Proxy, simulator: Simulator, stream: bool
) -> None:
    with client_of(native_proxy, KEYS["team-a"], f"loop-{stream}") as client:
        natively, native = loop(client, "native", stream=stream), sent(simulator)
        simulator.reset()
        plainly, plain = loop(client, "plain", stream=stream), sent(simulator)
    assert natively == plainly
    assert sum(bool(calls) for _, calls, _ in natively) == sum(bool(text) for text, *_ in natively) == TURNS / 2
    assert [len({conversation for conversation, _ in asked}) for asked in (native, plain)] == [1, 1]
    assert (len(native), len(plain), plain[0][0]) == (TURNS, TURNS, None)
    few, many = (sum(size for _, size in asked) for asked in (native, plain))
    print(f"\n{TURNS} turns: {many:,} characters in prompts, {few:,} natively: {1 - few / many:.1%} saved")
    assert few < 0.15 * many


def test_callers_of_one_correlation_id_do_not_meet(native_proxy: Proxy, simulator: Simulator) -> None:
    def run(key: str) -> list[Any]:
        with client_of(native_proxy, key, "the-same") as client:
            return loop(client, "native", 6)

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(run, KEYS.values())
    assert first == second
    conversations = [conversation for conversation, _ in sent(simulator)]
    assert sorted(map(conversations.count, set(conversations))) == [6, 6]


@pytest.mark.parametrize(
    ("path", "messages"),
    [("/v1/chat/completions", "messages"), ("/v1/messages", "messages"), ("/v1/responses", "input")],
)
def test_a_conversation_is_its_keys_own_in_every_protocol(
    native_proxy: Proxy, simulator: Simulator, path: str, messages: str
) -> None:
    history = [{"role": "user", "content": "Oi"}]
    forged = {"user_api_key": "forged"}  # what a client says of itself counts for nothing
    for key in ("team-a", "team-b", "team-a"):
        simulator.script({"text": "Olá."})
        body = {"model": "native", "max_tokens": 99, messages: history, "metadata": forged}
        headers = {"Authorization": f"Bearer {KEYS[key]}", "correlation-id": f"own-{path}"}
        WEB.post(f"{native_proxy.url}{path}", json=body, headers=headers).raise_for_status()
        if len(history) == 1:
            history += [{"role": "assistant", "content": "Olá."}, {"role": "user", "content": "Tudo bem?"}]
    first, stranger, again = (conversation for conversation, _ in sent(simulator))
    assert first == again != stranger


def test_agents_that_work_at_once_under_one_correlation_id_and_key_do_not_meet(
    native_proxy: Proxy, simulator: Simulator
) -> None:
    def run(_: int) -> list[Any]:
        with client_of(native_proxy, KEYS["team-a"], "subagents") as client:
            return loop(client, "native", 6)

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(run, range(4)))
    assert all(answer == answers[0] for answer in answers)
    listed = WEB.get(f"{simulator.url}/control/conversations").json()
    assert sum(conversation["exchanges"] for conversation in listed) == 24
    assert max(conversation["exchanges"] for conversation in listed) <= 6


# A stream of which only the last frame tells that the conversation is another one has gone out by then: tests/chat/test_conversation.py.
@pytest.mark.parametrize(("loss", "stream"), [("refused", False), ("refused", True), ("new", False)])
def test_an_answer_is_right_though_the_platform_lost_the_conversation(
    native_proxy: Proxy, simulator: Simulator, stream: bool, loss: str
) -> None:
    simulator.configure(lost_conversation=loss)
    with client_of(native_proxy, KEYS["team-a"], f"lost-{stream}-{loss}") as client:
        messages: list[Any] = [SYSTEM, {"role": "user", "content": 'Como está o tempo em "Recife"?'}]
        first = ask_chat(client, messages, model="native", tools=[CITY], stream=stream)
        WEB.delete(f"{simulator.url}/control/conversations").raise_for_status()
        [call] = first.message.tool_calls
        messages.append(first.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "28 graus"})
        messages.append({"role": "user", "content": 'Como está o tempo em "Olinda"?'})
        second = ask_chat(client, messages, model="native", tools=[CITY], stream=stream)
    assert [name for name, _ in calls_of(second)] == ["tempo"]  # which only the first turn declared
    assert SYSTEM["content"] in simulator.prompts()[-1]


QUESTION, NEXT_QUESTION = (
    {"role": "user", "content": f'Como está o tempo em "{city}"?'} for city in ("Recife", "Olinda")
)
PLAY = {"text": "Vou ver.\n" + block("tempo", cidade="Recife")}
ASKED = 4


def all_in_one_conversation(simulator: Simulator) -> bool:
    return len(sent(simulator)) == ASKED and len({conversation for conversation, _ in sent(simulator)}) == 1


@STREAMED
def test_it_goes_on_in_anthropics_protocol(native_proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    declared = {"name": "tempo", "description": "Diz o tempo", "input_schema": CITY["function"]["parameters"]}
    fixed = {"model": "native", "tools": [declared], "system": "Breve.", "stream": stream}
    messages: list[Any] = [QUESTION]
    simulator.script(PLAY)
    headers = {"correlation-id": f"claude-{stream}"}
    claude = anthropic.Anthropic(
        base_url=native_proxy.url, api_key=KEYS["team-a"], max_retries=0, default_headers=headers
    )
    with claude as client:
        for _ in range(ASKED):
            content = ask_messages(client, messages, **fixed).content
            messages.append({"role": "assistant", "content": [part.model_dump(exclude_none=True) for part in content]})
            results = [
                {"type": "tool_result", "tool_use_id": part.id, "content": "20 graus"}
                for part in content
                if part.type == "tool_use"
            ]
            messages.append({"role": "user", "content": results} if results else NEXT_QUESTION)
    assert all_in_one_conversation(simulator)


@STREAMED
def test_it_goes_on_in_the_protocol_of_responses(native_proxy: Proxy, simulator: Simulator, stream: bool) -> None:
    declared = {"type": "function", **CITY["function"]}
    fixed = {"model": "native", "tools": [declared], "instructions": "Breve.", "stream": stream}
    items: list[Any] = [QUESTION]
    simulator.script(PLAY)
    with client_of(native_proxy, KEYS["team-a"], f"responses-{stream}") as client:
        for _ in range(ASKED):
            output = ask_responses(client, items, **fixed).output
            items += [item.model_dump(exclude_none=True, exclude={"status"}) for item in output]
            results = [
                {"type": "function_call_output", "call_id": item.call_id, "output": "20 graus"}
                for item in output
                if item.type == "function_call"
            ]
            items += results or [NEXT_QUESTION]
    assert all_in_one_conversation(simulator)


def test_without_a_correlation_id_the_platform_keeps_nothing(native_proxy: Proxy, simulator: Simulator) -> None:
    with openai.OpenAI(base_url=f"{native_proxy.url}/v1", api_key=KEYS["team-a"], max_retries=0) as client:
        loop(client, "native", 3)
    assert all("use_conversation" not in record["body"] for record in simulator.requests())


def test_a_caller_cannot_make_a_model_native(native_proxy: Proxy, simulator: Simulator) -> None:
    body = {"model": "plain", "messages": [{"role": "user", "content": "Oi"}], "model_info": {"conversation": "native"}}
    native_proxy.post("/v1/chat/completions", body, **{"correlation-id": "mine"})
    assert all("use_conversation" not in record["body"] for record in simulator.requests())


def test_a_kept_response_is_continued_natively_by_its_own_key_only(native_proxy: Proxy, simulator: Simulator) -> None:
    texts = ("Oi", "Tudo bem?", "E agora?", "Fim?")
    with client_of(native_proxy, KEYS["team-a"], "kept") as client:
        said = None
        for number, text in enumerate(texts):  # each request may reach another process
            said = ask_responses(
                client, text, model="native", stream=bool(number % 2), previous_response_id=said and said.id
            )
        assert said is not None
        assert client.responses.retrieve(said.id).output_text == said.output_text
        listed = client.responses.input_items.list(said.id, order="asc", limit=100).data
        assert [item.content[0].text for item in listed if item.role == "user"] == list(texts)
    assert len({conversation for conversation, _ in sent(simulator)}) == 1
    assert [prompt.count("Tudo bem?") for prompt in simulator.prompts()] == [0, 1, 0, 0]  # the platform has the rest
    with client_of(native_proxy, KEYS["team-b"], "kept") as stranger:
        calls = (stranger.responses.retrieve, stranger.responses.cancel, stranger.responses.input_items.list)
        for call in (*calls, stranger.responses.delete):
            with pytest.raises(openai.NotFoundError):
                call(said.id)
        for foreign in ({"previous_response_id": said.id}, {"input": [{"id": said.output[0].id}]}):
            with pytest.raises(openai.NotFoundError):
                stranger.responses.create(**{"model": "native", "input": "?", **foreign})
    assert len(simulator.requests()) == len(texts)
