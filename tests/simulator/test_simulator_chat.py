"""The agent's host, without scripts."""

import httpx
import pytest

from custom_handler.simulator.wire import is_ulid

AGENT = "01K00000000000000000000000"
OTHER = "01K00000000000000000000001"
FAT = {
    "message",
    "stop_reason",
    "tokens",
    "upload_ids",
    "knowledge_source_id",
    "source",
    "cross_account_source",
    "tools_id",
    "agent_info",
    "conversation_id",
    "message_id",
}


async def test_a_whole_answer_has_the_keys_of_the_contract(service):
    answer = await service.ask("Olá, tudo bem?", streaming=False)
    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert set(body) == FAT
    assert body["message"].startswith("Olá!")
    assert body["stop_reason"] == "stop"
    assert body["tokens"] == {"user": None, "enrichment": None, "input": 4, "output": 28}
    assert is_ulid(body["message_id"])
    assert body["conversation_id"] is None


async def test_without_streaming_in_the_body_the_answer_is_whole(service):
    request = httpx.Request("POST", f"{service.simulator.url}/v1/agent/{AGENT}/chat", json={"user_prompt": "oi"})
    request.headers["Authorization"] = service.client.headers["Authorization"]
    assert (await service.client.send(request)).json()["message"]


async def test_a_stream_is_thin_frames_between_two_empty_messages(service, frames_of, text_of):
    answer = await service.ask("Olá")
    frames = frames_of(answer.content)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (frames[0]["message"], frames[0]["stop_reason"], set(frames[0])) == ("", None, FAT)
    assert all(set(frame) == {"message"} for frame in frames[1:-1])
    last = frames[-1]
    assert (set(last), last["message"], last["stop_reason"]) == (FAT, "", "stop")
    assert last["tokens"] == {"user": None, "enrichment": None, "input": 1, "output": 28}
    assert is_ulid(last["message_id"])
    assert text_of(frames) == (await service.ask("Olá", streaming=False)).json()["message"]


async def test_a_stream_arrives_word_by_word(service):
    async with service.client.stream("POST", f"/v1/agent/{AGENT}/chat", json=_body("Conte até 20")) as answer:
        chunks = [chunk async for chunk in answer.aiter_raw()]
    assert len(chunks) == 22


async def test_a_conversation_has_the_given_id_or_a_new_one(service):
    first = (await service.ask_for_frames(use_conversation=True))[-1]["conversation_id"]
    again = (await service.ask_for_frames(use_conversation=True, conversation_id=first))[-1]["conversation_id"]
    odd = (await service.ask_for_frames(use_conversation=True, conversation_id="mine"))[-1]["conversation_id"]
    none = (await service.ask_for_frames(conversation_id=first))[-1]["conversation_id"]
    assert is_ulid(first)
    assert again == first
    assert is_ulid(odd)
    assert none is None


async def test_every_answer_has_a_message_id_of_its_own(service):
    identifiers = {(await service.ask_for_frames())[-1]["message_id"] for _ in range(3)}
    assert len(identifiers) == 3


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"prompt": ""}, id="empty prompt"),
        pytest.param({"prompt": None}, id="no prompt"),
        pytest.param({"prompt": ["a"]}, id="prompt is a list"),
        pytest.param({"streaming": "yes"}, id="streaming is a string"),
        pytest.param({"stackspot_knowledge": 1}, id="knowledge is a number"),
        pytest.param({"conversation_id": 7}, id="conversation is a number"),
        pytest.param({"upload_ids": "a"}, id="uploads are a string"),
    ],
)
async def test_a_wrong_body_is_a_bad_request_in_the_services_shape(service, fields):
    answer = await service.ask(**fields)
    assert answer.status_code == 400
    assert set(answer.json()) == {"type", "code", "details"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b"{"), ("application/json", b"[]"), ("text/plain", b'{"user_prompt":"a"}')],
)
async def test_a_body_that_is_not_a_json_object_is_a_bad_request(service, content_type, body):
    headers = {"Content-Type": content_type}
    answer = await service.client.post(f"/v1/agent/{AGENT}/chat", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INFERENCE_4000_INVALID_REQUEST"


async def test_a_prompt_above_the_limit_is_refused_with_both_numbers(service):
    await service.configure(token_limit=100)
    assert (await service.ask("a" * 400)).status_code == 200
    answer = await service.ask("a" * 401)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INFERENCE_6001_LLM_MODEL_BAD_REQUEST"
    assert answer.json()["details"].startswith(
        "Input tokens exceed the configured limit of 100 tokens. Your messages resulted in 101 tokens. "
    )


async def test_a_prompt_of_a_million_characters_is_taken(service):
    assert (await service.ask("palavra " * 125_000, streaming=False)).json()["tokens"]["input"] == 250_000


async def test_an_unknown_agent_is_not_found(service):
    assert (await service.ask(agent="my-agent")).status_code == 404


async def test_agents_share_the_accounts_limit_without_a_retry_after(service):
    await service.configure(requests_per_minute=2)
    assert [(await service.ask(agent=agent)).status_code for agent in (AGENT, OTHER)] == [200, 200]
    refused = await service.ask()
    assert refused.status_code == 429
    assert refused.json()["code"] == "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED"
    assert "retry-after" not in refused.headers
    assert (await service.state())["rate_limited"] == 1


async def test_a_whole_answer_slower_than_the_gateway_is_dropped(service):
    await service.configure(gateway_timeout=0.05, cadence=0.02)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending"):
        await service.ask(streaming=False)
    assert (await service.ask(streaming=True)).status_code == 200


async def test_unknown_paths_and_methods_are_rejected(service):
    assert (await service.client.get("/nowhere")).status_code == 404
    assert (await service.client.get(f"/v1/agent/{AGENT}/chat")).status_code == 405


def _body(prompt):
    return {"user_prompt": prompt, "streaming": True}
