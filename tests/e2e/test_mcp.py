"""An agent uses the tools of MCP servers that LiteLLM knows, on every protocol, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.gateway import DOCUMENTED_PORT, ONLY_SMALL, documented
from tests.support.mcp import ask, calls_of, final, follow, servers, text_of
from tests.support.protocols import PATHS, STREAMED, block, body
from tests.support.providers import Providers
from tests.support.proxy import Proxy, Simulator
from tests.support.search_server import SearchServer
from tests.support.specification import check_error

CHAT, MESSAGES, RESPONSES = PATHS
EVERY_PROTOCOL = pytest.mark.parametrize("path", PATHS)
RECIFE = block("clock-offset_of", city="Recife")


@EVERY_PROTOCOL
@STREAMED
def test_a_tool_of_a_server_is_run_for_the_agent(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock"))
    assert text_of(path, answer) == "Recife está em UTC-3."
    first, second = simulator.prompts()
    assert '{"name":"clock-offset_of","description":"Return the offset of a city\'s time from UTC, in hours."' in first
    assert "ledger-balance_of" not in first
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in second


@EVERY_PROTOCOL
@STREAMED
def test_a_key_with_models_of_its_own_may_use_tools(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": block("ledger-balance_of", owner="ana")}, {"text": "Pronto."})
    asked = {**body(path, "Quanto tem ana?", stream=stream), "model": "stackspot-small", "tools": servers("ledger")}
    answer = gateway.post(path, asked, Authorization=f"Bearer {ONLY_SMALL}")
    assert answer.status_code == 200, answer.text
    assert "«tool result name=ledger-balance_of»\nR$ 120,00\n" in simulator.prompts()[1]


def test_a_key_with_models_of_its_own_may_call_tools_itself(gateway: Proxy) -> None:
    call = {"name": "ledger-balance_of", "arguments": {"owner": "ana"}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"Authorization": f"Bearer {ONLY_SMALL}", "Accept": "application/json, text/event-stream"}
    answer = gateway.post("/mcp/ledger", asked, **headers)
    assert "R$ 120,00" in answer.text


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@STREAMED
def test_with_approval_the_client_receives_the_call(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": RECIFE})
    answer = ask(gateway, path, stream=stream, tools=servers("clock", approval="always"))
    assert calls_of(path, answer) == {"clock-offset_of"}
    assert len(simulator.prompts()) == 1


@STREAMED
def test_a_response_has_the_call_of_a_tool_and_the_answer(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": f"Vejo.\n{RECIFE}"}, {"text": "Recife está em UTC-3."})
    response = final(ask(gateway, RESPONSES, stream=stream, tools=servers("clock")))
    [call] = [item for item in response["output"] if item["type"] == "mcp_call"]
    assert (call["name"], call["arguments"]) == ("clock-offset_of", '{"city":"Recife"}')
    assert (call["server_label"], call["output"], call["approval_request_id"]) == ("clock", "UTC-3", None)
    assert {item["type"] for item in response["output"]} == {"mcp_call", "message"}


@STREAMED
def test_a_chat_completion_with_calls_is_one_answer(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": RECIFE}, {"text": "Recife está em UTC-3."})
    answer = ask(gateway, CHAT, stream=stream, tools=servers("clock"))
    assert not calls_of(CHAT, answer)
    parts = answer if stream else [answer]
    ends = [choice["finish_reason"] for part in parts for choice in part["choices"] if choice["finish_reason"]]
    assert ends == ["stop"]


@STREAMED
@pytest.mark.parametrize("approve", [True, False], ids=["approved", "denied"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "sent"])
def test_a_call_waits_for_the_clients_approval(
    gateway: Proxy, simulator: Simulator, *, kept: bool, approve: bool, stream: bool
) -> None:
    tools = servers("clock", approval="always")
    simulator.script({"text": RECIFE}, {"text": "Pronto."}, {"text": "De nada."})
    first = final(ask(gateway, RESPONSES, stream=stream, tools=tools))
    [asked] = first["output"]
    assert (asked["type"], asked["name"], asked["server_label"]) == ("mcp_approval_request", "clock-offset_of", "clock")
    assert json.loads(asked["arguments"]) == {"city": "Recife"}

    history: list[Any] = [{"role": "user", "content": "Que horas são em Recife?"}, *first["output"]]
    said: Any = [{"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve}]
    second = final(follow(gateway, first, history, said, tools=tools, kept=kept, stream=stream))
    made = [(item["output"], item["approval_request_id"]) for item in second["output"] if item["type"] == "mcp_call"]
    assert made == ([("UTC-3", asked["id"])] if approve else [])
    assert text_of(RESPONSES, second) == "Pronto."
    result = "UTC-3" if approve else "The user did not approve this call. It was not made."
    assert f"«tool result name=clock-offset_of»\n{result}\n" in simulator.prompts()[1]

    history += [*said, *second["output"]]
    third = final(
        follow(
            gateway, second, history, [{"role": "user", "content": "Obrigado"}], tools=tools, kept=kept, stream=stream
        )
    )
    assert [item["type"] for item in third["output"]] == ["message"], "no approved call is made twice"
    assert simulator.prompts()[2].count(result) == 1


@pytest.mark.parametrize("tools", [[], servers("clock", approval="always")], ids=["no server", "no request"])
def test_an_approval_of_nothing_is_refused(gateway: Proxy, simulator: Simulator, tools: list[dict[str, Any]]) -> None:
    said = [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}]
    refused = gateway.post(RESPONSES, {"model": "stackspot-chat", "input": said, "tools": tools})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input"), refused.text
    assert "mcp_approval_response" in refused.json()["error"]["message"]
    assert not simulator.prompts()


@EVERY_PROTOCOL
@STREAMED
def test_the_agent_reads_the_error_of_a_tool(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": block("clock-offset_of", city="Atlantis")}, {"text": "Não conheço essa cidade."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock"))
    assert text_of(path, answer) == "Não conheço essa cidade."
    _, second = simulator.prompts()
    told = "Error executing tool offset_of: unknown city: ask for the cities"
    assert f"«tool result name=clock-offset_of»\n{told}\n" in second
    if path == RESPONSES:
        [call, _] = final(answer)["output"]
        [part] = call["error"]["content"]
        assert (call["status"], call["output"], part["type"]) == ("failed", None, "text")
        assert part["text"] == told


@STREAMED
def test_calls_that_fail_are_told_from_those_beside_them(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    calls = RECIFE + block("clock-offset_of", city="Atlantis") + block("clock-offset_of", city="Tokyo")
    simulator.script({"text": calls}, {"text": "Pronto."})
    answer = ask(gateway, RESPONSES, stream=stream, tools=servers("clock"))
    made = [item for item in final(answer)["output"] if item["type"] == "mcp_call"]
    assert [(item["status"], item["output"]) for item in made] == [
        ("completed", "UTC-3"),
        ("failed", None),
        ("completed", "UTC+9"),
    ]
    if stream:
        ended = [event["type"].rpartition(".")[2] for event in answer if event["type"].startswith("response.mcp_call.")]
        assert [name for name in ended if name != "in_progress"] == ["completed", "failed", "completed"]


@STREAMED
def test_a_tool_that_is_not_offered_fails(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    nowhere = {"text": block("clock-nowhere", city="Recife")}
    simulator.script(nowhere, nowhere, {"text": "Não existe."})  # the second answers the question for another call
    answer = final(ask(gateway, RESPONSES, stream=stream, tools=servers("clock")))
    [call] = [item for item in answer["output"] if item["type"] == "mcp_call"]
    assert (call["status"], call["output"]) == ("failed", None)


@EVERY_PROTOCOL
@STREAMED
def test_tools_of_two_servers_are_called_at_once(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": RECIFE + block("ledger-balance_of", owner="ana")}, {"text": "UTC-3 e R$ 120,00."})
    answer = ask(gateway, path, stream=stream, tools=servers("clock", "ledger"))
    assert text_of(path, answer) == "UTC-3 e R$ 120,00."
    _, second = simulator.prompts()
    assert "«tool result 1/2 name=clock-offset_of»\nUTC-3\n" in second
    assert "«tool result 2/2 name=ledger-balance_of»\nR$ 120,00\n" in second


@STREAMED
def test_a_tool_of_the_client_beside_a_server_stays_the_clients(
    gateway: Proxy, simulator: Simulator, stream: bool
) -> None:
    own = {"type": "function", "function": {"name": "save", "parameters": {"type": "object", "properties": {}}}}
    simulator.script({"text": block("save")})
    answer = ask(gateway, CHAT, stream=stream, tools=[*servers("clock", approval="always"), own])
    assert calls_of(CHAT, answer) == {"save"}


@STREAMED
@pytest.mark.parametrize(("path", "rounds"), [(MESSAGES, 10), (RESPONSES, 5), (CHAT, 1)])
def test_calls_of_several_rounds_have_a_limit(
    gateway: Proxy, simulator: Simulator, path: str, rounds: int, stream: bool
) -> None:
    rounds = 1 if path == RESPONSES and not stream else rounds
    simulator.script(*[{"text": RECIFE}] * 12)
    ask(gateway, path, stream=stream, tools=servers("clock"))
    asked = simulator.prompts()
    assert len(asked) == rounds + 1
    assert asked[-1].count("«tool result") == rounds
    has_tools = ["clock-offset_of" in prompt.partition("Que horas")[0] for prompt in asked]
    assert has_tools == [True] * rounds + [path != RESPONSES or not stream]


@STREAMED
def test_geminis_protocol_has_no_servers(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    question = {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}], "tools": servers("clock")}
    answer = gateway.post(f"/v1beta/models/stackspot-chat:{method}", question)
    assert answer.status_code == 200, answer.text
    [prompt] = simulator.prompts()
    assert "clock" not in prompt


def test_an_error_before_the_first_text_of_a_stream_has_its_status(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"status": 403, "body": {"code": "FORBIDDEN"}})
    request = {**body(CHAT, "Olá", stream=True), "tools": servers("clock")}
    assert gateway.post(CHAT, request).status_code == 403


BREAKS = {"pieces": ["Era uma vez"], "fault": "error_frame", "after": 1}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("plays", "code"),
    [
        ([BREAKS], "server_error"),
        ([{"text": RECIFE}, BREAKS], "server_error"),
        ([{"text": RECIFE}, {"status": 403, "body": {"code": "FORBIDDEN"}}], "server_error"),
        ([{"text": RECIFE}, {"status": 402, "body": {"code": "NO_CREDITS"}}], "invalid_prompt"),
    ],
    ids=["first answer", "after a call", "forbidden", "no credits"],
)
def test_an_error_in_a_stream_is_its_last_event(
    gateway: Proxy, simulator: Simulator, path: str, plays: list[dict[str, Any]], code: str
) -> None:
    simulator.script(*plays)
    answer = ask(gateway, path, stream=True, tools=servers("clock"))
    if path == CHAT:
        assert answer[-1]["error"]["message"]
        return
    assert ["failed" in event["type"] for event in answer] == [False] * (len(answer) - 1) + [True]
    failed = answer[-1]["response"]
    assert (answer[-1]["type"], failed["status"], failed["error"]["code"]) == ("response.failed", "failed", code)
    assert failed["id"] == answer[0]["response"]["id"]
    assert [event["sequence_number"] for event in answer] == list(range(len(answer)))


def test_the_log_has_the_agents_answer_and_not_the_servers(gateway: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": RECIFE}, {"text": "UTC-3."})
    ask(gateway, CHAT, stream=False, tools=servers("clock"))
    ask(gateway, CHAT, stream=False, tools=[])  # its line comes behind the one of the call before
    lines = [line for line in gateway.log.read_text().splitlines() if "custom_handler.calls: call" in line]
    assert lines
    assert not [line for line in lines if "model=MCP" in line]


def test_the_document_shows_the_server_that_it_configures() -> None:
    assert DOCUMENTED_PORT in documented("python")
    assert f"http://127.0.0.1:{DOCUMENTED_PORT}/mcp" in documented("yaml")
    assert "litellm_proxy/mcp/clock" in documented("bash")


OUTSIDE = {
    "type": "mcp",
    "server_label": "out",
    "server_url": "https://mcp.example.com/mcp",
    "require_approval": "never",
}
REFUSED = "connects agents to the MCP servers of its own configuration only"


@EVERY_PROTOCOL
@STREAMED
@pytest.mark.parametrize("url", [OUTSIDE["server_url"], "https://mcp.example.com/mcp/unknown"])
def test_a_server_of_the_clients_own_is_refused(
    gateway: Proxy, simulator: Simulator, *, path: str, url: str, stream: bool
) -> None:
    request = {**body(path, "Oi", stream=stream), "tools": [*servers("clock"), {**OUTSIDE, "server_url": url}]}
    refused = gateway.post(path, request)
    assert refused.status_code == 400, refused.text
    check_error(path, refused.text)
    assert f"tools[1].server_url: this proxy {REFUSED}" in refused.json()["error"]["message"]
    assert simulator.prompts() == []


@STREAMED
def test_the_servers_of_anthropics_field_are_refused(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    brought = [{"type": "url", "name": "out", "url": "https://mcp.example.com/sse", "authorization_token": "t0ken"}]
    refused = gateway.post(MESSAGES, {**body(MESSAGES, "Oi", stream=stream), "mcp_servers": brought})
    assert refused.status_code == 400, refused.text
    check_error(MESSAGES, refused.text)
    assert f"mcp_servers: this proxy {REFUSED}" in refused.json()["error"]["message"]
    assert simulator.prompts() == []


@STREAMED
def test_the_servers_of_geminis_field_are_refused(gateway: Proxy, simulator: Simulator, stream: bool) -> None:
    path = f"/v1beta/models/stackspot-chat:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"
    tools = [{"mcpServers": [{"name": "out", "streamableHttpTransport": {"url": "https://mcp.example.com"}}]}]
    refused = gateway.post(path, {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}], "tools": tools})
    assert refused.status_code == 400, refused.text
    assert "tools[0].mcpServers: MCP servers are not supported on this protocol" in refused.text
    assert simulator.prompts() == []


def test_an_address_of_the_proxy_itself_names_its_server(gateway: Proxy, simulator: Simulator) -> None:
    [server] = servers("clock")
    simulator.script({"text": RECIFE}, {"text": "UTC-3."})
    ask(gateway, CHAT, stream=False, tools=[{**server, "server_url": f"{gateway.url}/mcp/clock"}])
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in simulator.prompts()[1]


def test_another_providers_model_may_bring_its_servers(services: Proxy, providers: Providers) -> None:
    answer = services.post(CHAT, {**body(CHAT, "Oi", stream=False), "model": "chat/llama-small", "tools": [OUTSIDE]})
    assert answer.status_code == 200, answer.text
    assert providers.requests


SAVE = {"name": "save", "parameters": {"type": "object", "properties": {"note": {"type": "string"}}}}
OWN = {
    CHAT: {"type": "function", "function": SAVE},
    MESSAGES: {"name": "save", "input_schema": SAVE["parameters"]},
    RESPONSES: {"type": "function", **SAVE},
}
NOTE = block("save", note="Recife")


@EVERY_PROTOCOL
@STREAMED
def test_the_clients_own_function_is_left_to_it(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": NOTE})
    answer = ask(gateway, path, stream=stream, tools=[*servers("clock"), OWN[path]])
    assert calls_of(path, answer) == {"save"}
    assert len(simulator.prompts()) == 1
    if path == RESPONSES:
        [call] = final(answer)["output"]
        assert (call["type"], json.loads(call["arguments"])) == ("function_call", {"note": "Recife"})


@EVERY_PROTOCOL
@STREAMED
def test_the_clients_own_function_is_called_after_those_of_a_server(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": RECIFE + NOTE}, {"text": NOTE})
    answer = ask(gateway, path, stream=stream, tools=[*servers("clock"), OWN[path]])
    assert calls_of(path, answer) == {"save"}
    _, second = simulator.prompts()
    assert "«tool result 1/2 name=clock-offset_of»\nUTC-3\n" in second
    assert "«tool result 2/2 name=save»\nThis call was not made: the client makes it. Call it again now" in second
    if path == RESPONSES:
        assert [(item["type"], item["name"]) for item in final(answer)["output"]] == [
            ("mcp_call", "clock-offset_of"),
            ("function_call", "save"),
        ]


@EVERY_PROTOCOL
@STREAMED
def test_with_approval_the_client_receives_the_calls_of_both_kinds_in_their_order(
    gateway: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": NOTE + RECIFE + NOTE + RECIFE})
    answer = ask(gateway, path, stream=stream, tools=[*servers("clock", approval="always"), OWN[path]])
    if path == RESPONSES:
        asked = [(item["type"], item["name"]) for item in final(answer)["output"]]
        assert asked == [("function_call", "save"), ("mcp_approval_request", "clock-offset_of")] * 2
    else:
        assert calls_of(path, answer) == {"clock-offset_of", "save"}


@EVERY_PROTOCOL
@STREAMED
def test_a_server_that_is_away_costs_no_answer(gateway: Proxy, simulator: Simulator, path: str, stream: bool) -> None:
    simulator.script({"text": RECIFE}, {"text": "UTC-3."})
    answer = ask(gateway, path, stream=stream, tools=servers("away", "clock"))
    assert text_of(path, answer) == "UTC-3."
    assert "«tool result name=clock-offset_of»\nUTC-3\n" in simulator.prompts()[1]
    simulator.script({"text": "Sem ferramentas."})
    assert text_of(path, ask(gateway, path, stream=stream, tools=servers("away"))) == "Sem ferramentas."


SEARCHING: dict[str, dict[str, Any]] = {
    CHAT: {"web_search_options": {}},
    MESSAGES: {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    RESPONSES: {"tools": [{"type": "web_search"}]},
}


@EVERY_PROTOCOL
@STREAMED
@pytest.mark.parametrize("search_first", [True, False], ids=["search first", "tool first"])
def test_an_agent_searches_and_uses_tools_for_one_answer(
    gateway: Proxy,
    simulator: Simulator,
    search_server: SearchServer,
    *,
    path: str,
    search_first: bool,
    stream: bool,
) -> None:
    calls = [block("web_search", query="taxa de juros"), RECIFE]
    simulator.script(*({"text": call} for call in calls[:: 1 if search_first else -1]), {"text": "Doze por cento."})
    more = {**SEARCHING[path], "tools": [*servers("clock"), *SEARCHING[path].get("tools", ())]}
    answer = ask(gateway, path, stream=stream, **more)
    assert text_of(path, answer) == "Doze por cento."
    assert search_server.queries == ["taxa de juros"]
    last = simulator.prompts()[2]
    found = [last.index("«tool result name=web_search»\n1. Juros sobem"), last.index("name=clock-offset_of»\nUTC-3\n")]
    assert found == sorted(found, reverse=not search_first)
    assert search_server.pages[0]["url"] in json.dumps(answer), "the answer cites the page"
