"""The rows without requests: the tool call parser and the prompt."""

from __future__ import annotations

import time
from collections.abc import Callable

from custom_handler.emulation.prompt.render import render
from custom_handler.emulation.tool_calls.parser import ToolCallParser
from custom_handler.request.chat_request import ChatRequest

from . import texts
from .bench import Bench
from .figures import Figure, Goal, exponent


def reader(bench: Bench) -> list[Figure]:
    """Measure the tool call parser: MB/s by size of the pieces, and growth with the text."""
    text = texts.answer(min(300_000, bench.size.largest))
    others = (("prose", texts.prose), ("Markdown", texts.markdown), ("code without a fence", texts.code))
    kinds = {"prose, code and calls": text} | {what: make(len(text)) for what, make in others}
    rounds, row = max(1, bench.size.rounds // 2), "tool-call reader"
    figures = []
    for size, goal in ((4, None), (64, None), (len(text), Goal(20, at_least=True))):
        name = f"pieces of {size}" if goal is None else "whole"
        figures += [
            Figure(
                row,
                f"{name}: {what}",
                "MB/s",
                [_speed(read, size) for _ in range(rounds)],
                goal=goal if "prose" in what else None,
            )
            for what, read in kinds.items()
        ]
    exponents = [_exponent(bench.size.largest) for _ in range(max(1, rounds // 2))]
    return [*figures, Figure(row, "exponent of growth", "", exponents, goal=Goal(1.05))]


def _speed(text: str, size: int) -> float:
    return len(text) / _reading(text, size) / 1e6


def _reading(text: str, size: int) -> float:
    """Return the CPU seconds for parsing a text in pieces."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    parser = ToolCallParser({"write_file": texts.TOOL})
    began = time.process_time()
    for piece in pieces:
        parser.feed(piece)
    parser.flush()
    return time.process_time() - began


def _exponent(largest: int) -> float:
    """Return the growth of the time with the text."""
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size <= largest]
    times = []
    for size in sizes:
        text, again = texts.answer(size), max(1, 300_000 // size)
        times.append(sum(_reading(text, 64) for _ in range(again)) / again)
    return exponent(sizes, times)


def prompt(bench: Bench) -> list[Figure]:
    """Measure the prompt of a coding agent's session: 200 turns, and 60 tools of 230 kB."""
    declared, messages, row = texts.tools(), texts.conversation(), "prompt of 200 turns, 60 tools"
    request = ChatRequest.from_openai(messages, {"tools": declared})
    render(request)
    spent = [1000 * _cpu(lambda: render(request)) for _ in range(4 * bench.size.rounds)]
    beyond = len(render(request)) - len(render(ChatRequest.from_openai(messages, {})))
    allowed = 1.02 * len(texts.compact(declared))
    return [
        Figure(row, "time to render", "ms", spent, goal=Goal(5)),
        Figure(row, "characters beyond 1.02 × the tools' compact JSON", "", [beyond - allowed], goal=Goal(1500)),
    ]


def _cpu(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began
