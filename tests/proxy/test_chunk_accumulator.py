"""The fold of a chat completion's chunks."""

from __future__ import annotations

from typing import Any

from custom_handler.proxy.chunk_accumulator import ChunkAccumulator


def chunk(finish: str | None = None, usage: Any = None, **delta: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": delta, "finish_reason": finish}], "usage": usage}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments} | more.pop("function", {}), **more}


def test_text_leaves_as_it_comes_and_is_whole_in_the_end():
    fold = ChunkAccumulator()
    came = [
        fold.feed(piece) for piece in (chunk(role="assistant", content="a"), chunk(content=None), chunk(content="b"))
    ]
    assert came == ["a", "", "b"]
    assert (fold.text, fold.model, fold.finish_reason, fold.told()) == ("ab", "m", None, {})


def test_calls_are_put_together_by_their_index():
    fold = ChunkAccumulator()
    fold.feed(
        chunk(tool_calls=[call(1, "", id="two", function={"name": "g"}), call(0, "", id="one", function={"name": "f"})])
    )
    fold.feed(chunk(tool_calls=[call(0, '{"a"'), call(1, "{}")]))
    fold.feed(chunk("tool_calls", tool_calls=[call(0, ": 1}")]))
    assert fold.finish_reason == "tool_calls"
    assert fold.tool_calls == [
        {"id": "one", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "two", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_the_usage_is_the_last_one_said_and_needs_no_choice():
    fold = ChunkAccumulator()
    fold.feed(chunk("stop", content="a"))
    fold.feed({"choices": [], "usage": {"total_tokens": 3}})
    assert fold.told() == {"usage": {"total_tokens": 3}}
    assert fold.finish_reason == "stop"
