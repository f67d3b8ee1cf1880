"""What a reply of the agent adds up to."""

from __future__ import annotations

import json
import logging

import pytest

from custom_handler.chat.agent_reply import AgentReply
from custom_handler.emulation.answer import AnswerAssembler
from custom_handler.events import Usage
from custom_handler.request.chat_request import ChatRequest
from custom_handler.request.parameters import Parameters

LOG = logging.LoggerAdapter(logging.getLogger(__name__), {})
FRAMES = (
    {"message": "um dois três quatro cinco"},
    {"message": "", "stop_reason": "stop", "tokens": {"input": 9, "output": 500}},
)


@pytest.mark.parametrize("arrived", [1, 2], ids=["in part", "to its end"])
@pytest.mark.parametrize(("max_tokens", "counted"), [(2, 2), (None, 500)])
def test_a_cut_answer_has_no_more_than_max_tokens(arrived, max_tokens, counted):
    request = ChatRequest(({"role": "user", "content": "Oi"},), parameters=Parameters(max_tokens=max_tokens))
    reply = AgentReply("Oi", AnswerAssembler(request), LOG)
    frames = "".join(f"data: {json.dumps(frame)}\n\n" for frame in FRAMES[:arrived])
    reply.answer.feed(reply.feed(frames.encode()))
    usage = reply.usage(max_tokens)
    assert usage == Usage(9 if arrived == 2 else 1, counted if arrived == 2 or max_tokens else 7)
