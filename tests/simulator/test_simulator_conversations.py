"""The simulator keeps conversations as the service does: an answer knows what its conversation was told, and nothing else."""

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
    "description": "Tells the weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ASKED = f"# Tools\n{json.dumps(TOOL)}\n\n# Conversation\n[user]\nComo está o tempo em Recife?\n\n[reminder]\nReply."
RESULT = "# Conversation\n[tool result id=1 name=get_weather]\n28 graus\n\n[reminder]\nReply."
AGAIN = "# Conversation\n[user]\nComo está o tempo em Olinda?\n\n[reminder]\nReply."


@pytest.fixture
def talk(service: Any) -> Any:
    """Ask in a conversation: the answer's body."""

    async def ask(prompt: str, conversation: str | None = ONE, agent: str = AGENT, **more: Any) -> Any:
        keeping = {"use_conversation": True, "conversation_id": conversation}
        return (await service.ask(prompt, agent, **({"streaming": False} | keeping | more))).json()

    return ask


async def kept(service: Any) -> list[tuple[str, str, int]]:
    listed = (await service.client.get("/control/conversations")).json()
    return [(one["agent_id"], one["conversation_id"], one["exchanges"]) for one in listed]


async def forget(service: Any, **settings: Any) -> None:
    assert (await service.configure(**settings)).status_code == 200
    await service.client.delete("/control/conversations")


async def test_an_answer_needs_what_an_earlier_turn_said(talk):
    asked = await talk(ASKED)
    assert "FUNCTION_CALL_START\nget_weather" in asked["message"]
    assert (await talk(RESULT))["message"].startswith("Segundo get_weather: 28 graus")
    assert "FUNCTION_CALL_START" in (await talk(AGAIN))["message"]  # the tools are those of the first turn
    assert "FUNCTION_CALL_START" not in (await talk(AGAIN, TWO))["message"]


async def test_results_of_all_turns_since_the_question_are_told(talk):
    await talk(ASKED)
    await talk(RESULT)
    assert (await talk(RESULT.replace("28", "31")))["message"].count("get_weather") == 2


@pytest.mark.parametrize("other", [{"conversation": TWO}, {"agent": OTHER}, {"use_conversation": False}])
async def test_nobody_else_knows_it(talk, other):
    await talk(ASKED)
    assert "FUNCTION_CALL_START" not in (await talk(AGAIN, **other))["message"]


async def test_the_conversation_stands_in_the_last_frame(service):
    frames = await service.ask_for_frames("Olá", use_conversation=True, conversation_id=ONE)
    assert [frame["conversation_id"] for frame in frames if "conversation_id" in frame] == [None, ONE]


@pytest.mark.parametrize("given", [None, "not-a-ulid"])
async def test_without_a_good_id_the_service_makes_one(talk, given):
    made = (await talk("Olá", given))["conversation_id"]
    assert made != given
    assert (await talk("Olá", made))["conversation_id"] == made


async def test_what_is_remembered_is_paid_for_and_counts_against_the_limit(service, talk):
    first, second = await talk("a" * 400), await talk("a" * 400)
    said = len(first["message"])
    assert (first["tokens"]["input"], second["tokens"]["input"]) == (100, -(-(800 + said) // 4))
    await service.configure(token_limit=150)
    assert "limit of 150 tokens" in (await talk("a" * 400))["details"]
    assert "message" in await talk("a" * 400, TWO)


async def test_each_question_shows_its_characters_and_a_conversation_its_exchanges(service, talk):
    await talk(ASKED)
    await talk(RESULT)
    assert [record["characters"] for record in await service.requests(at="chat")] == [len(ASKED), len(RESULT)]
    assert await kept(service) == [(AGENT, ONE, 2)]
    await service.client.delete("/control")
    assert await kept(service) == []


@pytest.mark.parametrize("play", [{"status": 502}, {"text": "um dois", "fault": "close_within"}])
async def test_an_answer_that_was_not_told_to_its_end_is_not_remembered(service, talk, play):
    await service.script(play)
    with contextlib.suppress(httpx.HTTPError, ValueError):
        await talk(ASKED, streaming=True)
    assert await kept(service) == [(AGENT, ONE, 0)]


async def test_a_lost_conversation_is_answered_in_a_new_one(service, talk):
    await talk(ASKED)
    await forget(service)
    answer = await talk(RESULT)
    assert answer["conversation_id"] not in (None, ONE)
    assert await kept(service) == [(AGENT, answer["conversation_id"], 1)]


async def test_a_lost_conversation_is_refused_where_that_is_set(service, talk):
    await talk(ASKED)
    await forget(service, lost_conversation="refused")
    assert (await talk(RESULT))["code"] == "CONVERSATION_NOT_FOUND"
    assert (await talk(ASKED, TWO))["conversation_id"] == TWO


async def test_a_lost_conversation_may_go_unnoticed(service, talk):
    await talk(ASKED)
    await forget(service, lost_conversation="silent")
    assert (await talk(AGAIN))["conversation_id"] == ONE
    assert await kept(service) == [(AGENT, ONE, 1)]


async def test_another_loss_is_unknown(service):
    assert (await service.configure(lost_conversation="perhaps")).status_code == 400
