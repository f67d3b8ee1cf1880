"""Native conversations: an answer knows the earlier turns of its conversation, and nothing else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx
import pytest

AGENT, OTHER = "01K00000000000000000000000", "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ONE, TWO = "01K00000000000000000000001", "01K00000000000000000000002"
TOOL = {
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ASKED = f"«tools»\n{json.dumps(TOOL)}\n\n«conversation»\n«user»\nComo está o tempo em Recife?\n\n«reminder»\nReply."
RESULT = "«conversation»\n«tool result name=get_weather»\n28 graus\n\n«reminder»\nReply."
AGAIN = "«conversation»\n«user»\nComo está o tempo em Olinda?\n\n«reminder»\nReply."


@pytest.fixture
def ask_in(service: Any) -> Any:
    """Ask in a conversation: the answer's body."""

    async def ask(prompt: str, conversation: str | None = ONE, agent: str = AGENT, **more: Any) -> Any:
        keeping = {"use_conversation": True, "conversation_id": conversation}
        return (await service.ask(prompt, agent, **({"streaming": False} | keeping | more))).json()

    return ask


async def listed(service: Any) -> list[tuple[str, str, int]]:
    conversations = (await service.client.get("/control/conversations")).json()
    return [(one["agent_id"], one["conversation_id"], one["exchanges"]) for one in conversations]


async def forget(service: Any, **settings: Any) -> None:
    assert (await service.configure(**settings)).status_code == 200
    await service.client.delete("/control/conversations")


async def test_an_answer_uses_the_earlier_turns(ask_in):
    asked = await ask_in(ASKED)
    assert "FUNCTION_CALL_START\nget_weather" in asked["message"]
    assert (await ask_in(RESULT))["message"].startswith("Segundo get_weather: 28 graus")
    assert "FUNCTION_CALL_START" in (await ask_in(AGAIN))["message"]  # the tools are those of the first turn
    assert "FUNCTION_CALL_START" not in (await ask_in(AGAIN, TWO))["message"]


async def test_results_of_all_turns_since_the_question_are_reported(ask_in):
    await ask_in(ASKED)
    await ask_in(RESULT)
    assert (await ask_in(RESULT.replace("28", "31")))["message"].count("get_weather") == 2


@pytest.mark.parametrize("other", [{"conversation": TWO}, {"agent": OTHER}, {"use_conversation": False}])
async def test_other_conversations_do_not_know_it(ask_in, other):
    await ask_in(ASKED)
    assert "FUNCTION_CALL_START" not in (await ask_in(AGAIN, **other))["message"]


async def test_the_last_frame_has_the_conversation_id(service):
    frames = await service.ask_for_frames("Olá", use_conversation=True, conversation_id=ONE)
    assert [frame["conversation_id"] for frame in frames if "conversation_id" in frame] == [None, ONE]


@pytest.mark.parametrize("given", [None, "not-a-ulid"])
async def test_without_a_valid_id_the_service_makes_one(ask_in, given):
    made = (await ask_in("Olá", given))["conversation_id"]
    assert made != given
    assert (await ask_in("Olá", made))["conversation_id"] == made


async def test_the_history_counts_as_tokens_and_for_the_limit(service, ask_in):
    first, second = await ask_in("a" * 400), await ask_in("a" * 400)
    reply = len(first["message"])
    assert (first["tokens"]["input"], second["tokens"]["input"]) == (100, -(-(800 + reply) // 4))
    await service.configure(token_limit=150)
    assert "limit of 150 tokens" in (await ask_in("a" * 400))["details"]
    assert "message" in await ask_in("a" * 400, TWO)


async def test_characters_and_exchanges_are_listed(service, ask_in):
    await ask_in(ASKED)
    await ask_in(RESULT)
    assert [record["characters"] for record in await service.requests(at="chat")] == [len(ASKED), len(RESULT)]
    assert await listed(service) == [(AGENT, ONE, 2)]
    await service.client.delete("/control")
    assert await listed(service) == []


@pytest.mark.parametrize("script", [{"status": 502}, {"text": "um dois", "fault": "close_within"}])
async def test_an_incomplete_answer_is_not_remembered(service, ask_in, script):
    await service.script(script)
    with contextlib.suppress(httpx.HTTPError, ValueError):
        await ask_in(ASKED, streaming=True)
    assert await listed(service) == [(AGENT, ONE, 0)]


async def test_a_lost_conversation_is_answered_in_a_new_one(service, ask_in):
    await ask_in(ASKED)
    await forget(service)
    answer = await ask_in(RESULT)
    assert answer["conversation_id"] not in (None, ONE)
    assert await listed(service) == [(AGENT, answer["conversation_id"], 1)]


async def test_a_lost_conversation_is_refused_if_configured(service, ask_in):
    await ask_in(ASKED)
    await forget(service, lost_conversation="refused")
    assert (await ask_in(RESULT))["code"] == "CONVERSATION_NOT_FOUND"
    assert (await ask_in(ASKED, TWO))["conversation_id"] == TWO


async def test_a_lost_conversation_can_be_silent(service, ask_in):
    await ask_in(ASKED)
    await forget(service, lost_conversation="silent")
    assert (await ask_in(AGAIN))["conversation_id"] == ONE
    assert await listed(service) == [(AGENT, ONE, 1)]


async def test_an_unknown_loss_is_rejected(service):
    assert (await service.configure(lost_conversation="perhaps")).status_code == 400
