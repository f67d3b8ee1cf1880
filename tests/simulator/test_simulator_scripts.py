"""Scripted responses."""

import base64
import time

import httpx
import pytest

AGENT = "01K00000000000000000000000"


async def test_a_script_sets_the_agents_text(service, text_of):
    await service.script({"text": "São Paulo: 25 °C ☀"})
    frames = await service.ask_for_frames()
    assert text_of(frames) == "São Paulo: 25 °C ☀"
    assert [frame["message"] for frame in frames] == ["", "São", " Paulo:", " 25", " °C", " ☀", ""]


async def test_a_script_answers_whole_without_streaming(service):
    await service.script({"text": "one two"})
    body = (await service.ask(streaming=False)).json()
    assert (body["message"], body["tokens"]["output"]) == ("one two", 2)


async def test_a_script_sets_the_increments(service):
    await service.script({"pieces": ["ha", "ha", "", "!"]})
    assert [frame["message"] for frame in await service.ask_for_frames()] == ["", "ha", "ha", "", "!", ""]


async def test_a_script_sets_every_frame(service):
    await service.script({"frames": [{"message": "a"}, "not json", 7, {"error": "x"}]})
    assert await service.ask_for_frames() == [{"message": "a"}, b"not json", 7, {"error": "x"}]


async def test_a_script_sets_every_byte(service):
    chunks = [b": comment\n\nda", b"ta: {}\r", b"\n\r\n\xff"]
    await service.script({"raw": [base64.b64encode(chunk).decode() for chunk in chunks]})
    async with service.client.stream("POST", f"/v1/agent/{AGENT}/chat", json={"user_prompt": "a"}) as answer:
        assert [chunk async for chunk in answer.aiter_raw()] == chunks


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_script_cuts_the_bytes_anywhere(service, frames_of, text_of, size):
    await service.script({"text": "ação ☀ 😀", "cut": size, "line_ending": "\r\n"})
    request = service.build()
    answer = await service.client.send(request, stream=True)
    chunks = [chunk async for chunk in answer.aiter_raw()]
    assert {len(chunk) for chunk in chunks[:-1]} == {size}
    assert text_of(frames_of(b"".join(chunks), b"\r\n")) == "ação ☀ 😀"


@pytest.mark.parametrize("line_ending", ["\n", "\r\n", "\r"])
async def test_a_script_chooses_the_line_ending(service, frames_of, text_of, line_ending):
    await service.script({"text": "a b", "line_ending": line_ending})
    content = (await service.ask()).content
    assert content.count(line_ending.encode() * 2) == 4
    assert text_of(frames_of(content, line_ending.encode())) == "a b"


async def test_a_script_joins_frames_in_one_write(service):
    await service.script({"text": "a b c d", "burst": 4})
    answer = await service.client.send(service.build(), stream=True)
    assert [chunk.count(b"data: ") async for chunk in answer.aiter_raw()] == [4, 2]


async def test_a_script_sets_the_delay_and_the_cadence(service):
    await service.script({"text": "a b c", "delay_first": 0.1, "cadence": 0.05})
    started = time.perf_counter()
    await service.ask()
    assert time.perf_counter() - started > 0.19


async def test_the_headers_come_before_the_delay_of_the_first_text(service):
    await service.script({"text": "a", "delay_first": 3600})
    answer = await service.client.send(service.build(), stream=True)
    assert answer.status_code == 200
    await answer.aclose()


async def test_a_script_can_hold_the_headers_back(service):
    await service.script({"text": "a", "delay_headers": 0.1})
    started = time.perf_counter()
    answer = await service.client.send(service.build(), stream=True)
    assert time.perf_counter() - started > 0.09
    await answer.aclose()


async def test_a_script_sets_the_last_frame(service):
    tokens = {"user": "3", "enrichment": 4, "output": None}
    await service.script(
        {"text": "a", "stop_reason": "length", "tokens": tokens, "final": {"message": " b", "source": ["s"]}}
    )
    last = (await service.ask_for_frames())[-1]
    assert (last["stop_reason"], last["tokens"], last["message"], last["source"]) == ("length", tokens, " b", ["s"])


async def test_tokens_can_be_null(service):
    await service.script({"text": "a", "tokens": None, "stop_reason": None})
    last = (await service.ask_for_frames())[-1]
    assert (last["tokens"], last["stop_reason"]) == (None, None)


async def test_a_script_makes_every_frame_fat(service):
    await service.script({"text": "a b", "fat": True})
    assert all("tokens" in frame for frame in await service.ask_for_frames())


async def test_a_script_leaves_the_last_frame_out(service):
    await service.script({"text": "a", "omit_final": True})
    assert (await service.ask_for_frames())[-1] == {"message": "a"}


async def test_a_script_ends_with_done(service):
    await service.script({"text": "a", "done": True})
    assert (await service.ask()).content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("script", "status", "kind", "content"),
    [
        ({"status": 403}, 403, "text/plain; charset=utf-8", b""),
        ({"status": 429, "body": "Credit Limit Reached"}, 429, "text/plain; charset=utf-8", b"Credit Limit Reached"),
        ({"status": 408, "body": {"a": 1}}, 408, "application/json", b'{"a":1}'),
        ({"status": 500, "body": None}, 500, "application/json", b"null"),
        ({"status": 503, "body": "<html>"}, 503, "text/html; charset=utf-8", b"<html>"),
        ({"body": [], "headers": {"content-type": "a/b"}}, 200, "a/b", b"[]"),
    ],
)
async def test_a_script_sets_an_http_answer(service, script, status, kind, content):
    await service.script(script)
    answer = await service.ask()
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (status, kind, content)


async def test_a_script_sets_headers(service):
    await service.script({"text": "a", "headers": {"X-Request-Id": "7"}})
    assert (await service.ask()).headers["x-request-id"] == "7"


async def test_scripts_are_consumed_in_order_before_the_agent_replies(service, text_of):
    await service.script({"text": "one"}, {"text": "two", "times": 2})
    replies = [text_of(await service.ask_for_frames("Olá")) for _ in range(4)]
    assert replies[:3] == ["one", "two", "two"]
    assert replies[3].startswith("Olá!")


async def test_a_script_with_match_waits_for_its_prompt(service, text_of):
    await service.script({"text": "for b", "match": "number b"}, {"text": "for all", "times": "always"})
    replies = [text_of(await service.ask_for_frames(f"number {letter}")) for letter in "abb"]
    assert replies == ["for all", "for b", "for all"]
    assert (await service.state())["plays_waiting"] == 1


async def test_a_refused_request_consumes_no_script(service, text_of):
    await service.script({"text": "next"})
    assert (await service.ask("")).status_code == 400
    assert (await service.ask(agent="unknown")).status_code == 404
    assert text_of(await service.ask_for_frames()) == "next"


@pytest.mark.parametrize(
    "script",
    [
        "text",
        {"unknown": 1},
        {"at": "elsewhere"},
        {"times": 0},
        {"times": True},
        {"times": "often"},
        {"match": 7},
        {"status": "500"},
        {"headers": []},
        {"text": 1},
        {"pieces": "abc"},
        {"pieces": [1]},
        {"frames": {}},
        {"raw": ["not base64!"]},
        {"line_ending": "\n\n"},
        {"cut": 0},
        {"cut": "always"},
        {"delay_first": "1"},
        {"fault": "unheard of"},
        {"at": "token", "fault": "stall"},
        {"token": "paper"},
    ],
)
async def test_an_invalid_script_is_refused_as_a_whole(service, script):
    answer = await service.client.post("/control/script", json={"plays": [{"text": "a"}, script]})
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await service.state())["plays_waiting"] == 0


async def test_a_script_without_a_list_is_refused(service):
    for body in (b"", b"[]", b"{", b'{"plays": {}}'):
        assert (await service.client.post("/control/script", content=body)).status_code == 400


async def test_a_lone_surrogate_in_a_script_is_sent_as_an_escape(service):
    await service.client.post("/control/script", content=rb'{"plays":[{"pieces":["\ud83d"]}]}')
    assert rb'{"message":"\ud83d"}' in (await service.ask()).content


async def test_scripted_frames_are_streamed_even_if_not_requested(service):
    await service.script({"frames": [{"message": "a"}]})
    answer = await service.ask(streaming=False)
    assert isinstance(answer, httpx.Response)
    assert answer.headers["content-type"].startswith("text/event-stream")
