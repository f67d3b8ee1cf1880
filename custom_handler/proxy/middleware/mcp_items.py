"""Show MCP calls in responses of /v1/responses as OpenAI does.

LiteLLM shows a call that it runs as the call of a function and, in a stream, as `mcp_call`, too; a
whole response has the results in items of its own types. A call that needs approval is the call of
a function. Each answer of the agent has its own id in a stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...request.mcp_turn import McpTurn
from .mcp_chunks import McpChunks
from .sse_events import changed_body, data_of, event_of, split

_NOT_STARTED = frozenset({"response.created", "response.in_progress", "response.queued"})
_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_ITEM = "response.output_item."
_COMPLETED, _FAILED = "response.mcp_call.completed", "response.mcp_call.failed"


class McpItems:
    """The items `mcp_call` and `mcp_approval_request` of one response."""

    def __init__(self) -> None:
        self._id: str | None = None  # of the response
        self._index: dict[int, int] = {}  # of an item, by LiteLLM's output_index
        self._next = 0
        self._hidden: set[object] = set()  # ids of the items of functions
        self._waiting: list[tuple[str, str]] = []  # names and ids of calls without an item `mcp_call`
        self._calls: dict[object, str] = {}  # ids of calls by those of their items
        self._ended: dict[str, Any] | None = None
        self._own: set[object] = set()  # ids of the items of the client's functions
        self._open: set[object] = set()  # ids of the items of calls that are to be approved, and go on
        self._held: list[dict[str, Any]] = []  # events, until it is known who makes the calls, or none is open
        self._has_begun = False

    def whole(self, body: bytes, turn: McpTurn) -> bytes:
        """Return the body of a whole response with these items."""

        def change(response: dict[str, Any]) -> None:
            if not str(response.get("previous_response_id")).startswith("resp_"):
                response["previous_response_id"] = None  # LiteLLM's own for the answer before the calls
            output = [shown for one in response["output"] for shown in _shown(one, turn)]
            made = [item for item in output if item["type"] == "mcp_call"]
            others = [item for item in output if item["type"] != "mcp_call"]
            response["output"] = [*turn.approved.values(), *made, *others]

        return changed_body(body, change)

    def stream(self, events: bytes, turn: McpTurn) -> bytes:
        """Return events of a stream with these items."""
        return b"".join(changed for event in split(events) for changed in self._changed(event, turn))

    def _changed(self, event: bytes, turn: McpTurn) -> Iterator[bytes]:
        data = data_of(event)
        kind = str(data.get("type"))
        if not kind.startswith("response."):
            yield event
            return
        if kind not in _NOT_STARTED and not self._has_begun:
            self._has_begun = True
            for item in turn.approved.values():
                yield from self._whole_item(item)
        if kind in _FINAL:
            yield from self._released()
        if isinstance(response := data.get("response"), dict):
            self._id = self._id or response.get("id")
            response["id"] = self._id
            if kind not in _NOT_STARTED:
                items = [self._with_outcome(item, turn) for item in response.get("output") or ()]
                output = [shown for item in items for shown in _shown(item, turn)]
                response["output"] = [*turn.approved.values(), *output]
        if isinstance(one := data.get("item"), dict):
            yield from self._item(data, one, turn)
        elif data.get("item_id") in self._own:
            self._held.append(data)
        elif data.get("item_id") not in self._hidden and not kind.startswith("response.mcp_list_tools."):
            if kind == _COMPLETED:
                self._ended = data  # until its item tells whether it has failed
                return
            yield event_of(self._placed(data))

    def _item(self, data: dict[str, Any], item: dict[str, Any], turn: McpTurn) -> Iterator[bytes]:
        is_function = item.get("type") == "function_call" and turn.label(str(item.get("name"))) is not None
        if is_function and item.get("id") not in self._hidden:
            self._hidden.add(item.get("id"))
            self._waiting.append((str(item.get("name")), str(item.get("call_id"))))
        if item.get("type") == "function_call" and not is_function and (not turn.waits or self._open):
            self._own.add(item.get("id"))
            self._held.append(data)
            return
        if item.get("type") == "mcp_call":
            self._held.clear()  # LiteLLM has run the calls of this answer, and left the client's unmade
            if turn.label(str(item.get("name"))) is None:
                self._hidden.add(item.get("id"))
                return
            self._match(item)
            item = self._with_outcome(item, turn)
            if self._ended is not None and data["type"] == f"{_ITEM}done":
                has_failed = item.get("status") == "failed"
                yield event_of(self._placed({**self._ended, "type": _FAILED if has_failed else _COMPLETED}))
                self._ended = None
        if is_function and turn.waits and data["type"] == f"{_ITEM}added":
            self._open.add(item.get("id"))
        elif is_function and turn.waits:
            self._open.discard(item.get("id"))
            for step in ("added", "done"):
                self._held += [{**data, "type": f"{_ITEM}{step}", "item": shown} for shown in _shown(item, turn)]
            if not self._open:
                yield from self._released()
        elif not is_function:
            for shown in _shown(item, turn):
                yield event_of(self._placed({**data, "item": shown}))

    def _released(self) -> Iterator[bytes]:
        """Yield the events that were held, in the order in which the response has their items."""
        for event in sorted(self._held, key=lambda one: one.get("output_index", 0)):
            yield event_of(self._placed(event))
        self._held.clear()
        self._own.clear()

    def _match(self, item: dict[str, Any]) -> None:
        """Note which call an item `mcp_call` is of: the first one of its name without an item."""
        found = next((one for one in self._waiting if one[0] == item.get("name")), None)
        if found is not None and item.get("id") not in self._calls:
            self._waiting.remove(found)
            self._calls[item.get("id")] = found[1]

    def _with_outcome(self, item: dict[str, Any], turn: McpTurn) -> dict[str, Any]:
        """Return an item `mcp_call` that has ended with its outcome, any other item as it is."""
        if item.get("type") != "mcp_call" or item.get("status") != "completed":
            return item
        name, text = str(item.get("name")), str(item.get("output") or "")
        return {**item, **turn.outcome(self._calls.get(item.get("id")), name, text).fields()}

    def _whole_item(self, item: dict[str, Any]) -> Iterator[bytes]:
        index, self._next = self._next, self._next + 1
        for step in ("added", "done"):
            yield event_of({"type": f"{_ITEM}{step}", "output_index": index, "item": item})

    def _placed(self, data: dict[str, Any]) -> dict[str, Any]:
        if isinstance(original := data.get("output_index"), int):
            if original not in self._index:
                self._index[original], self._next = self._next, self._next + 1
            data["output_index"] = self._index[original]
        return data


def mcp_calls_for(path: str) -> McpChunks | McpItems | None:
    """Return what changes the MCP calls in a response of this route, None for another route."""
    path = path.rstrip("/")
    if path.endswith("/chat/completions"):
        return McpChunks()
    return McpItems() if path.endswith("/responses") else None


def _shown(item: Any, turn: McpTurn) -> Iterator[Any]:
    """Yield what an item of LiteLLM is shown as: nothing for a list of tools, which `tools` has."""
    match item:
        case {"type": "mcp_tools_fetched" | "mcp_list_tools"}:
            return
        case {"type": "tool_execution_results", "content": [{"text": str(text)}]}:
            for result in json.loads(text):
                if turn.label(str(result.get("name"))) is not None:  # else the same
                    yield _made(result, turn)
        case {"type": "mcp_call", "name": str(name)}:
            if (label := turn.label(name)) is not None:  # else of a call that is left to the client
                yield {**item, "approval_request_id": None, "server_label": label}
        case {"type": "function_call", "name": str(name)} if turn.waits and (label := turn.label(name)) is not None:
            identifier = f"mcpr_{str(item.get('call_id')).removeprefix('call_')}"
            asked = {"id": identifier, "name": name, "arguments": item.get("arguments") or "{}"}
            yield {"type": "mcp_approval_request", **asked, "server_label": label}
        case _:
            yield item


def _made(result: dict[str, Any], turn: McpTurn) -> dict[str, Any]:
    call_id, name = str(result.get("tool_call_id")), str(result.get("name"))
    text = str(result.get("result") or "")
    return {
        "type": "mcp_call",
        "id": f"mcp_{call_id.removeprefix('call_')}",
        "approval_request_id": None,
        "name": name,
        "arguments": turn.arguments.get(call_id, "{}"),
        "server_label": turn.label(name) or "",
        **turn.outcome(call_id, name, text).fields(),
    }
