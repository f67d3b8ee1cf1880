"""The completion of a chat completion's chunks."""

from __future__ import annotations

from typing import Any

from custom_handler.proxy.chunk_accumulator import ChunkAccumulator


def chunk(finish: str | None = None, usage: Any = None, **delta: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": delta, "finish_reason": finish}], "usage": usage}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments} | more.pop("function", {}), **more}


def test_text_is_returned_by_chunk_and_accumulated():
    completion = ChunkAccumulator()
    texts = [
        completion.feed(piece)
        for piece in (chunk(role="assistant", content="a"), chunk(content=None), chunk(content="b"))
    ]
    assert texts == ["a", "", "b"]
    assert (completion.text, completion.model, completion.finish_reason, completion.final_fields()) == (
        "ab",
        "m",
        None,
        {},
    )


def test_tool_calls_are_merged_by_index():
    completion = ChunkAccumulator()
    completion.feed(
        chunk(tool_calls=[call(1, "", id="two", function={"name": "g"}), call(0, "", id="one", function={"name": "f"})])
    )
    completion.feed(chunk(tool_calls=[call(0, '{"a"'), call(1, "{}")]))
    completion.feed(chunk("tool_calls", tool_calls=[call(0, ": 1}")]))
    assert completion.finish_reason == "tool_calls"
    assert completion.tool_calls == [
        {"id": "one", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "two", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_annotations_are_returned_at_the_end():
    completion = ChunkAccumulator()
    annotations = [{"type": "url_citation", "url_citation": {"title": "Handbook"}}]
    assert [completion.feed(piece) for piece in (chunk(content="a"), chunk(annotations=annotations))] == ["a", ""]
    assert completion.final_fields() == {"annotations": annotations}


def test_the_last_usage_counts_even_without_choices():
    completion = ChunkAccumulator()
    completion.feed(chunk("stop", content="a"))
    completion.feed({"choices": [], "usage": {"total_tokens": 3}})
    assert completion.final_fields() == {"usage": {"total_tokens": 3}}
    assert completion.finish_reason == "stop"
