"""Add an answer's sources to the responses of protocols whose bridge in LiteLLM loses them.

LiteLLM's bridge drops annotations on `/v1/messages`. On `/v1/responses` it keeps citations of URLs
only, sends events for the first of them only, and empty objects in `response.content_part.done`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...events import Source
from ...provider.annotations import address
from .sse_events import changed_body, data_of, event_of, split

_ADDED = "response.output_text.annotation.added"


class MessagesCitations:
    """The sources as citations of the text block of a response of `/v1/messages`."""

    def __init__(self) -> None:
        self._sent = False

    def whole(self, body: bytes, sources: Sequence[Source]) -> bytes:
        """Return the body of a whole response with the citations."""
        return changed_body(body, lambda message: _cite_last_text(message["content"], sources))

    def stream(self, events: bytes, sources: Sequence[Source]) -> bytes:
        """Return events of a stream, with the citations before the end of the text block."""
        if self._sent or b"content_block_stop" not in events:
            return events
        changed = []
        for event in split(events):
            data = data_of(event)
            if not self._sent and data.get("type") == "content_block_stop":
                self._sent = True
                index = data.get("index", 0)
                for citation in _search_results(sources):
                    delta = {"type": "citations_delta", "citation": citation}
                    changed.append(
                        event_of({"type": "content_block_delta", "index": index, "delta": delta}, named=True)
                    )
            changed.append(event)
        return b"".join(changed)


class ResponsesCitations:
    """The sources as annotations of the text of a response of `/v1/responses`."""

    def __init__(self) -> None:
        self._offset = 0

    def whole(self, body: bytes, sources: Sequence[Source]) -> bytes:
        """Return the body of a whole response with the annotations."""
        return changed_body(body, lambda response: _annotate_response(response, sources))

    def stream(self, events: bytes, sources: Sequence[Source]) -> bytes:
        """Return events of a stream, with an event for each annotation at the end of the text."""
        return b"".join(changed for event in split(events) for changed in self._changed(event, sources))

    def _changed(self, event: bytes, sources: Sequence[Source]) -> Iterator[bytes]:
        data = data_of(event)
        kind = data.get("type")
        if kind == _ADDED:
            self._offset -= 1
            return
        if kind is None:
            yield event
            return
        if kind == "response.output_text.done":
            yield from self._added(data, sources)
        data["sequence_number"] = data.get("sequence_number", 0) + self._offset
        if kind == "response.content_part.done":
            _annotate_part(data.get("part"), sources)
        elif kind == "response.output_item.done":
            _annotate_item(data.get("item"), sources)
        elif isinstance(response := data.get("response"), dict):
            _annotate_response(response, sources)
        yield event_of(data)

    def _added(self, done: dict[str, Any], sources: Sequence[Source]) -> Iterator[bytes]:
        fields = {name: done.get(name) for name in ("item_id", "output_index", "content_index", "model")}
        for index, annotation in enumerate(_annotations(sources, len(done.get("text") or ""))):
            number = done.get("sequence_number", 0) + self._offset
            yield event_of(
                {
                    "type": _ADDED,
                    **fields,
                    "annotation_index": index,
                    "annotation": annotation,
                    "sequence_number": number,
                }
            )
            self._offset += 1


Citations = MessagesCitations | ResponsesCitations


def citations_for(path: str) -> Citations | None:
    """Return what adds sources to a response of this route, None for a route that needs nothing."""
    path = path.rstrip("/")
    if path.endswith("/messages"):
        return MessagesCitations()
    return ResponsesCitations() if path.endswith("/responses") else None


def _cite_last_text(blocks: Any, sources: Sequence[Source]) -> None:
    texts = [block for block in blocks if block.get("type") == "text"]
    if texts:
        texts[-1]["citations"] = _search_results(sources)


def _search_results(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return citations of Anthropic's types for search results and pages; no passage is known."""
    return [
        {"type": "web_search_result_location", "url": source.url, "title": source.label}
        | {"cited_text": "", "encrypted_index": ""}
        if source.is_page
        else {
            "type": "search_result_location",
            "source": address(source),
            "title": source.label,
            "cited_text": "",
            "search_result_index": index,
            "start_block_index": 0,
            "end_block_index": 0,
        }
        for index, source in enumerate(sources)
    ]


def _annotate_response(response: Any, sources: Sequence[Source]) -> None:
    for item in response.get("output") or ():
        _annotate_item(item, sources)


def _annotate_item(item: Any, sources: Sequence[Source]) -> None:
    if isinstance(item, dict) and item.get("type") == "message":
        for part in item.get("content") or ():
            _annotate_part(part, sources)


def _annotate_part(part: Any, sources: Sequence[Source]) -> None:
    if isinstance(part, dict) and part.get("type") == "output_text":
        part["annotations"] = _annotations(sources, len(part.get("text") or ""))


def _annotations(sources: Sequence[Source], position: int) -> list[dict[str, Any]]:
    """Return annotations of OpenAI's Responses: of a URL where there is one, else of a file."""
    return [
        {"type": "url_citation", "start_index": position, "end_index": position, "url": one.url, "title": one.label}
        if one.url
        else {"type": "file_citation", "file_id": one.key, "filename": one.label, "index": position}
        for one in sources
    ]
