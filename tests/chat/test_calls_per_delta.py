"""The number of Python calls between a frame of the agent and a chunk of the client."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import pytest

from custom_handler.chat.turn import Turn
from custom_handler.provider.model_response import ChunkBuilder, ResponseOptions
from custom_handler.request.chat_request import ChatRequest, Tool
from custom_handler.settings import Settings
from custom_handler.stackspot.agent_call import AcquireToken, Emit, Read, ResponseHead, Send
from custom_handler.stackspot.tokens import Token

DELTAS = 1000
TOOLS = (Tool("get_weather", "", {"type": "object"}),)
WORDS = ["o", "rato", "roeu", "a", "roupa", "do", "rei", "de", "Roma", "e", "a", "rainha", "resolveu", "remendar"]
LIBRARIES = ("/litellm/", "/pydantic/", "/copy.py")  # which build the chunks' objects


def frames(deltas: int) -> Iterator[bytes]:
    """Twelve words a line, a word a frame, then the last frame."""
    for number in range(deltas):
        text = WORDS[number % len(WORDS)] + ("\n" if number % 12 == 11 else " ")
        yield b"data: " + json.dumps({"message": text}).encode() + b"\n\n"
    yield b'data: {"message": "", "stop_reason": "stop", "tokens": {"input": 42, "output": 5}}\n\n'


def stream(received: Sequence[bytes], tools: tuple[Tool, ...]) -> int:
    """Run a turn from frames to chunks, without the driver; return the number of chunks."""
    request = ChatRequest(({"role": "user", "content": "Olá"},), tools)
    steps = Turn(request, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "c-1", 600, Settings()).steps()
    builder, reads, chunks = ChunkBuilder(ResponseOptions("m")), iter(received), 0
    result: Any = None
    with contextlib.suppress(StopIteration):
        while True:
            step, result = steps.send(result), None
            match step:
                case AcquireToken():
                    result = Token("t", 1200)
                case Send():
                    result = ResponseHead(200, {})
                case Read():
                    result = next(reads, None)
                case Emit(events):
                    chunks += len(builder.build(events))
    return chunks


def calls(deltas: int, tools: tuple[Tool, ...]) -> int:
    """Count the Python calls of `stream`, without those of this file and of LIBRARIES."""
    count = 0

    def on_event(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        file = frame.f_code.co_filename
        if event == "call" and file != __file__ and not any(name in file for name in LIBRARIES):
            count += 1

    received, before = list(frames(deltas)), sys.getprofile()
    sys.setprofile(on_event)
    try:
        stream(received, tools)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(("tools", "limit"), [((), 42), (TOOLS, 48)], ids=["text", "tools"])
def test_a_delta_takes_few_calls(tools, limit):
    assert stream(list(frames(DELTAS)), tools) >= DELTAS
    per_delta = (calls(DELTAS + 1, tools) - calls(1, tools)) / DELTAS
    assert 20 < per_delta <= limit
