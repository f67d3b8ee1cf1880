"""A call of an MCP tool that a client has approved is made once, with the real proxy and a real server."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import HOLD, ONLY_SMALL
from tests.support.mcp import RESPONSES, ask, final, follow, servers
from tests.support.protocols import STREAMED, block
from tests.support.proxy import Proxy, Simulator
from tests.support.waiting import eventually

TOOLS = servers("ledger", approval="always")
QUESTION = {"role": "user", "content": "Que horas são em Recife?"}


@pytest.fixture
def hold(gateway: Proxy) -> Iterator[Path]:
    """Hold all payments until the file is deleted."""
    file = gateway.log.with_name(HOLD)
    file.touch()
    yield file
    file.unlink(missing_ok=True)


def asked(gateway: Proxy, simulator: Simulator, owner: str, *later: dict[str, Any]) -> Any:
    """Return a response in which the agent asks for the approval of a payment."""
    simulator.script({"text": block("ledger-pay", owner=owner)}, *later)
    return final(ask(gateway, RESPONSES, stream=False, tools=TOOLS))


def approval_of(response: Any) -> dict[str, Any]:
    [item] = response["output"]
    return {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": True}


def made(response: Any) -> Any:
    """Return the one call of a response."""
    [item] = [item for item in response["output"] if item["type"] == "mcp_call"]
    return item


@STREAMED
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "sent"])
def test_an_approval_that_is_sent_again_has_the_first_result(
    gateway: Proxy, simulator: Simulator, *, kept: bool, stream: bool
) -> None:
    owner = f"again-{kept}-{stream}"
    first = asked(gateway, simulator, owner)
    history, said = [QUESTION, *first["output"]], [approval_of(first)]
    for _ in range(3):
        answer = follow(gateway, first, history, said, tools=TOOLS, kept=kept, stream=stream)
        call = made(final(answer))
        assert (call["status"], call["output"]) == ("completed", f"payment 1 to {owner}")
        assert f"payment 1 to {owner}" in simulator.prompts()[-1]


def test_a_failed_answer_of_the_agent_costs_no_second_call(gateway: Proxy, simulator: Simulator) -> None:
    first = asked(gateway, simulator, "ana", {"status": 500}, {"text": "Pronto."})
    sent = {"model": "stackspot-chat", "tools": TOOLS, "previous_response_id": first["id"]}
    assert gateway.post(RESPONSES, {**sent, "input": [approval_of(first)]}).status_code == 500
    assert made(gateway.post(RESPONSES, {**sent, "input": [approval_of(first)]}).json())["output"] == "payment 1 to ana"


def test_of_two_approvals_at_a_time_one_makes_the_call(gateway: Proxy, simulator: Simulator, hold: Path) -> None:
    first = asked(gateway, simulator, "rui")

    def send() -> Any:
        return made(follow(gateway, first, [], [approval_of(first)], tools=TOOLS, kept=True, stream=False))

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(send)]
        eventually(hold.with_suffix(".rui").exists)
        calls.append(pool.submit(send))
        time.sleep(0.5)  # the second is on its way, or comes later: the outcome is the same
        assert not any(call.done() for call in calls)
        hold.unlink()
        assert [call.result()["output"] for call in calls] == ["payment 1 to rui"] * 2


def test_without_store_the_call_is_known_and_its_result_is_not(gateway: Proxy, simulator: Simulator) -> None:
    first = asked(gateway, simulator, "eva")
    sent = {"model": "stackspot-chat", "tools": TOOLS, "input": [QUESTION, *first["output"], approval_of(first)]}
    assert made(gateway.post(RESPONSES, {**sent, "store": False}).json())["output"] == "payment 1 to eva"
    again = made(gateway.post(RESPONSES, {**sent, "store": False}).json())
    assert (again["status"], again["output"]) == ("failed", None)
    assert "its request had store: false. The call was not made again." in again["error"]["message"]
    assert again["error"]["message"] in simulator.prompts()[-1]


def test_another_key_has_approvals_of_its_own(gateway: Proxy, simulator: Simulator) -> None:
    first = asked(gateway, simulator, "lia")
    sent = {"tools": TOOLS, "model": "stackspot-small", "input": [QUESTION, *first["output"], approval_of(first)]}
    outputs = [
        made(gateway.post(RESPONSES, sent, **headers).json())["output"]
        for headers in ({}, {"Authorization": f"Bearer {ONLY_SMALL}"}, {})
    ]
    assert outputs == ["payment 1 to lia", "payment 2 to lia", "payment 1 to lia"]


def test_a_call_of_a_proxy_that_stopped_is_not_made_again(gateway: Proxy, simulator: Simulator) -> None:
    first = asked(gateway, simulator, "ivo")
    sent = {"model": "stackspot-chat", "tools": TOOLS, "previous_response_id": first["id"]}
    assert made(gateway.post(RESPONSES, {**sent, "input": [approval_of(first)]}).json())["output"] == "payment 1 to ivo"
    with sqlite3.connect(gateway.log.with_name("jobs") / "responses.sqlite3") as store:  # as if it had stopped then
        query = "select rowid, content from response where id like 'approval%' order by created desc limit 1"
        row, content = store.execute(query).fetchone()
        record = {"call": json.loads(zlib.decompress(content))["call"], "until": 0}
        changed = zlib.compress(json.dumps(record).encode())
        store.execute("update response set content = ? where rowid = ?", (changed, row))
    again = gateway.post(RESPONSES, {**sent, "input": [approval_of(first)]})
    assert again.status_code == 200, again.text
    call = made(again.json())
    assert (call["status"], call["output"]) == ("failed", None)
    assert "it is unknown whether the tool has run. The call was not made again." in call["error"]["message"]
    assert call["error"]["message"] in simulator.prompts()[-1]


REQUEST = {"type": "mcp_approval_request", "id": "mcpr_own", "name": "ledger-balance_of", "server_label": "ledger"}
APPROVAL = {"type": "mcp_approval_response", "approval_request_id": "mcpr_own", "approve": True}


@STREAMED
@pytest.mark.parametrize(
    ("name", "arguments", "kind", "text"),
    [
        ("ledger-balance_of", '{"owner": "nobody"}', "mcp_tool_execution_error", "Error executing tool"),
        ("ledger-balance_of", '["ana"]', "mcp_protocol_error", "The arguments are not a JSON object."),
        ("ledger-balance_of", '{"owner": ', "mcp_protocol_error", "The arguments are not a JSON object."),
        ("ledger-nothing", "{}", "mcp_protocol_error", "The tool ledger-nothing is not offered."),
    ],
)
def test_an_approved_call_that_fails_says_so(
    gateway: Proxy, simulator: Simulator, *, name: str, arguments: str, kind: str, text: str, stream: bool
) -> None:
    request_id = f"mcpr_{uuid.uuid4().hex}"
    items = [
        {**REQUEST, "id": request_id, "name": name, "arguments": arguments},
        {**APPROVAL, "approval_request_id": request_id},
    ]
    simulator.script({"text": "Não deu."})
    response = final(ask(gateway, RESPONSES, stream=stream, tools=TOOLS, input=[QUESTION, *items]))
    call = made(response)
    assert (call["status"], call["output"], call["error"]["type"]) == ("failed", None, kind)
    assert text in json.dumps(call["error"])
    [prompt] = simulator.prompts()
    assert f"«tool result name={name}»\n{text}" in prompt


@pytest.mark.parametrize("approve", ["no", "true", 1, None])
def test_an_approval_must_say_yes_or_no(gateway: Proxy, simulator: Simulator, approve: Any) -> None:
    items = [QUESTION, {**REQUEST, "arguments": "{}"}, {**APPROVAL, "approve": approve}]
    refused = gateway.post(RESPONSES, {"model": "stackspot-chat", "tools": TOOLS, "input": items})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[2].approve"), refused.text
    assert simulator.prompts() == []


@STREAMED
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "sent"])
def test_another_question_leaves_the_call_unmade(
    gateway: Proxy, simulator: Simulator, *, kept: bool, stream: bool
) -> None:
    calls = block("ledger-pay", owner="ada") + block("ledger-pay", owner="eli")
    simulator.script({"text": calls}, {"text": "Está bem."}, {"text": "Pago."})
    first = final(ask(gateway, RESPONSES, stream=False, tools=TOOLS))
    said: list[Any] = [{"role": "user", "content": "Esqueça. Que dia é hoje?"}]
    second = final(follow(gateway, first, [QUESTION, *first["output"]], said, tools=TOOLS, kept=kept, stream=stream))
    assert [item["type"] for item in second["output"]] == ["message"]
    prompt = simulator.prompts()[1]
    assert prompt.count("The user has not approved this call. It was not made.") == 2
    assert prompt.index("It was not made.") < prompt.index("Esqueça.")

    one, _ = first["output"]  # the user comes back to it
    said = [{"type": "mcp_approval_response", "approval_request_id": one["id"], "approve": True}]
    history = [QUESTION, *first["output"], {"role": "user", "content": "Esqueça. Que dia é hoje?"}, *second["output"]]
    third = final(follow(gateway, second, history, said, tools=TOOLS, kept=kept, stream=stream))
    assert made(third)["output"].endswith("to ada")
    assert simulator.prompts()[2].count("The user has not approved this call. It was not made.") == 1
