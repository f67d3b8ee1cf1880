"""Add the web searches of an answer to the responses of protocols that show them.

The searches are made between two answers of the agent, which the bridges of LiteLLM see as one. In
a stream each stands where it was made: between two texts, the first block of text ends before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...events import WebSearch
from .sse_events import changed_body, compact, data_of, event_of, split

_NOT_STARTED = frozenset({"response.created", "response.in_progress"})


class MessagesSearches:
    """Blocks `server_tool_use` and `web_search_tool_result` of `/v1/messages`, as Anthropic's."""

    def __init__(self) -> None:
        self._sent = 0  # searches
        self._next = 0  # index of the next block that the client receives
        self._index: dict[int, int] = {}  # of a block, by LiteLLM's index
        self._start: dict[str, Any] | None = None  # of a block, held: a search may come before it
        self._open_text: int | None = None

    def whole(self, body: bytes, searches: Sequence[WebSearch]) -> bytes:
        """Return the body of a whole response with the searches before its content."""

        def add(message: dict[str, Any]) -> None:
            message["content"] = [*(block for one in searches for block in _blocks(one)), *message["content"]]
            _count(message["usage"], searches)

        return changed_body(body, add)

    def stream(self, events: bytes, searches: Sequence[WebSearch]) -> bytes:
        """Return events of a stream with the searches so far."""
        return b"".join(changed for event in split(events) for changed in self._changed(event, searches))

    def _changed(self, event: bytes, searches: Sequence[WebSearch]) -> Iterator[bytes]:
        data = data_of(event)
        kind = data.get("type")
        if kind == "content_block_start":
            self._start = data
            return
        if kind in {"content_block_delta", "content_block_stop", "message_delta"}:
            yield from self._begun(searches, data)
            if kind == "message_delta" and searches:
                _count(data.setdefault("usage", {}), searches)
            elif kind != "message_delta":
                data["index"] = self._index.get(data.get("index", 0), data.get("index", 0))
            if kind == "content_block_stop":
                self._open_text = None
            yield event_of(data, named=True)
        else:
            yield event

    def _begun(self, searches: Sequence[WebSearch], data: dict[str, Any]) -> Iterator[bytes]:
        """Yield what precedes an event: new searches, and the start of its block."""
        if (start := self._start) is not None:
            self._start = None
            yield from self._new(searches)
            yield self._started(start)
        elif self._open_text is None:
            yield from self._new(searches)
        elif data["type"] == "content_block_delta" and len(searches) > self._sent:
            original = self._open_text
            yield _stop(self._index[original])
            yield from self._new(searches)
            text = {"type": "text", "text": ""}
            yield self._started({"type": "content_block_start", "index": original, "content_block": text})

    def _started(self, start: dict[str, Any]) -> bytes:
        original = start.get("index", 0)
        self._index[original], self._next = self._next, self._next + 1
        is_text = (start.get("content_block") or {}).get("type") == "text"
        self._open_text = original if is_text else None
        return event_of({**start, "index": self._index[original]}, named=True)

    def _new(self, searches: Sequence[WebSearch]) -> Iterator[bytes]:
        for search in searches[self._sent :]:
            for block in _blocks(search):
                yield from self._block(block)
        self._sent = len(searches)

    def _block(self, block: dict[str, Any]) -> Iterator[bytes]:
        index, self._next = self._next, self._next + 1
        given = block.get("input")
        shown = block if given is None else {**block, "input": {}}
        yield event_of({"type": "content_block_start", "index": index, "content_block": shown}, named=True)
        if given is not None:
            delta = {"type": "input_json_delta", "partial_json": compact(given)}
            yield event_of({"type": "content_block_delta", "index": index, "delta": delta}, named=True)
        yield _stop(index)


class ResponsesSearches:
    """Items `web_search_call` of `/v1/responses`."""

    def __init__(self) -> None:
        self._next = 0  # output_index of the next item that the client receives
        self._index: dict[int, int] = {}  # of an item, by LiteLLM's output_index
        self._calls: list[tuple[int, dict[str, Any]]] = []
        self._added = 0  # events

    def whole(self, body: bytes, searches: Sequence[WebSearch]) -> bytes:
        """Return the body of a whole response with the searches before its output."""

        def add(response: dict[str, Any]) -> None:
            response["output"] = [*map(_call, searches), *response["output"]]

        return changed_body(body, add)

    def stream(self, events: bytes, searches: Sequence[WebSearch]) -> bytes:
        """Return events of a stream with the searches so far."""
        return b"".join(changed for event in split(events) for changed in self._changed(event, searches))

    def _changed(self, event: bytes, searches: Sequence[WebSearch]) -> Iterator[bytes]:
        data = data_of(event)
        kind = data.get("type")
        if kind is None:
            yield event
            return
        if kind not in _NOT_STARTED:
            for search in searches[len(self._calls) :]:
                yield from self._search_events(search, data.get("sequence_number", 0))
            if isinstance(original := data.get("output_index"), int):
                if original not in self._index:
                    self._index[original], self._next = self._next, self._next + 1
                data["output_index"] = self._index[original]
            if isinstance(response := data.get("response"), dict):
                response["output"] = self._output(response.get("output") or [])
        data["sequence_number"] = data.get("sequence_number", 0) + self._added
        yield event_of(data)

    def _search_events(self, search: WebSearch, number: int) -> Iterator[bytes]:
        call, index = _call(search), self._next
        self._next += 1
        self._calls.append((index, call))
        place = {"output_index": index, "item_id": call["id"]}
        begun = {"id": call["id"], "type": call["type"], "status": "in_progress", "action": _action(search, ())}
        for event in (
            {"type": "response.output_item.added", "output_index": index, "item": begun},
            *(
                {"type": f"response.web_search_call.{step}", **place}
                for step in ("in_progress", "searching", "completed")
            ),
            {"type": "response.output_item.done", "output_index": index, "item": call},
        ):
            yield event_of({**event, "sequence_number": number + self._added})
            self._added += 1

    def _output(self, items: Sequence[Any]) -> list[Any]:
        """Return the output in the order of the indexes that the client has received."""
        last = self._next
        placed = [(self._index.get(number, last + number), item) for number, item in enumerate(items)]
        return [item for _, item in sorted([*self._calls, *placed], key=lambda one: one[0])]


Searches = MessagesSearches | ResponsesSearches


def searches_for(path: str) -> Searches | None:
    """Return what adds searches to a response of this route, None for a route without them."""
    path = path.rstrip("/")
    if path.endswith("/messages"):
        return MessagesSearches()
    return ResponsesSearches() if path.endswith("/responses") else None


def _blocks(search: WebSearch) -> list[dict[str, Any]]:
    """Return the call and its result as blocks of Anthropic's messages."""
    identifier = f"srvtoolu_{search.id.removeprefix('call_')}"
    found: Any = [
        {
            "type": "web_search_result",
            "url": page.url,
            "title": page.title,
            "page_age": page.date or None,
            "encrypted_content": "",
        }
        for page in search.pages
    ]
    if search.error:
        found = {"type": "web_search_tool_result_error", "error_code": search.error}
    return [
        {"type": "server_tool_use", "id": identifier, "name": "web_search", "input": {"query": search.query}},
        {"type": "web_search_tool_result", "tool_use_id": identifier, "content": found},
    ]


def _count(usage: dict[str, Any], searches: Sequence[WebSearch]) -> None:
    usage["server_tool_use"] = {"web_search_requests": len(searches), "web_fetch_requests": 0}


def _stop(index: int) -> bytes:
    return event_of({"type": "content_block_stop", "index": index}, named=True)


def _call(search: WebSearch) -> dict[str, Any]:
    """Return the search as an item of OpenAI's responses."""
    return {
        "id": f"ws_{search.id.removeprefix('call_')}",
        "type": "web_search_call",
        "status": "failed" if search.error else "completed",
        "action": _action(search, [page.url for page in search.pages]),
    }


def _action(search: WebSearch, urls: Sequence[str]) -> dict[str, Any]:
    return {"type": "search", "query": search.query, "sources": [{"type": "url", "url": url} for url in urls]}
