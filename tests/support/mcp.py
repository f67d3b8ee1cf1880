"""Requests with MCP servers of the proxy, and what their answers say."""

from __future__ import annotations

import json
from typing import Any

from tests.support.protocols import PATHS, body
from tests.support.proxy import Proxy
from tests.support.specification import check

CHAT, MESSAGES, RESPONSES = PATHS


def servers(*names: str, approval: str = "never") -> list[dict[str, Any]]:
    return [
        {"type": "mcp", "server_label": name, "server_url": f"litellm_proxy/mcp/{name}", "require_approval": approval}
        for name in names
    ]


def ask(gateway: Proxy, path: str, *, stream: bool, tools: list[dict[str, Any]], **more: Any) -> Any:
    """Return the body of the answer, or the events of its stream, in the form that its protocol publishes."""
    request = {**body(path, "Que horas são em Recife?", stream=stream), "tools": tools, **more}
    answer = gateway.post(path, request)
    assert answer.status_code == 200, answer.text
    check(path, answer.text, stream=stream)
    if not stream:
        return answer.json()
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(path: str, answer: Any) -> str:
    """Return the text of an answer or of its stream."""
    if path == CHAT:
        parts = answer if isinstance(answer, list) else [answer]
        choices = [choice for part in parts for choice in part["choices"]]
        return "".join((one.get("delta") or one.get("message") or {}).get("content") or "" for one in choices)
    if path == MESSAGES:
        if isinstance(answer, list):
            return "".join(event["delta"].get("text", "") for event in answer if event["type"] == "content_block_delta")
        return "".join(part.get("text", "") for part in answer["content"])
    if isinstance(answer, list):
        return "".join(event["delta"] for event in answer if event["type"] == "response.output_text.delta")
    return "".join(part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"])


def calls_of(path: str, answer: Any) -> set[str]:
    """Return the names of the tools that a client is asked to call."""
    if path == CHAT:
        parts = answer if isinstance(answer, list) else [answer]
        places = [choice.get("delta") or choice.get("message") for part in parts for choice in part["choices"]]
        calls = [call for place in places if place for call in place.get("tool_calls") or ()]
        return {call["function"]["name"] for call in calls if call["function"].get("name")}
    if path == MESSAGES:
        events = answer if isinstance(answer, list) else []
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        content = blocks if isinstance(answer, list) else answer["content"]
        return {part["name"] for part in content if part["type"] == "tool_use"}
    final = answer[-1]["response"] if isinstance(answer, list) else answer
    return {item["name"] for item in final["output"] if item["type"] == "function_call"}


def final(answer: Any) -> Any:
    """Return the response, or the one at the end of a stream, whose events had the same items."""
    if not isinstance(answer, list):
        return answer
    response = answer[-1]["response"]
    done = [(event["output_index"], event["item"]) for event in answer if event["type"] == "response.output_item.done"]
    added = [event["output_index"] for event in answer if event["type"] == "response.output_item.added"]
    assert added == sorted(added) == [index for index, _ in done] == list(range(len(response["output"])))
    assert [(item["type"], item["id"]) for _, item in done] == [(one["type"], one["id"]) for one in response["output"]]
    assert {event["response"]["id"] for event in answer if "response" in event} == {response["id"]}
    return response


def follow(
    gateway: Proxy, response: Any, history: list[Any], said: list[Any], *, tools: Any, kept: bool, stream: bool
) -> Any:
    """Return the answer to what the client says next, by the kept response or with all items."""
    given = {"input": said, "previous_response_id": response["id"]} if kept else {"input": [*history, *said]}
    return ask(gateway, RESPONSES, stream=stream, tools=tools, **given)
