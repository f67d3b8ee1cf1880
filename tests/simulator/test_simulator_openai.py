"""The simulator's OpenAI API: the agent's text at the agent's pace."""

import re
import time

import pytest

PATH = "/v1/chat/completions"


def asked(prompt="Conte até 5", **more):
    return {"model": "any", "messages": [{"role": "user", "content": prompt}]} | more


async def test_both_apis_send_the_same_pieces(service, frames_of):
    sent = [frame["message"] for frame in await service.ask_for_frames("Conte até 5") if frame["message"]]
    answer = await service.client.post(PATH, json=asked(stream=True))
    *chunks, done = answer.content.decode().strip().split("\n\n")
    frames = frames_of("\n\n".join([*chunks, ""]).encode())
    assert done == "data: [DONE]"
    assert [text for frame in frames if (text := frame["choices"][0]["delta"].get("content"))] == sent
    assert frames[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [frame["choices"][0]["finish_reason"] for frame in frames[-2:]] == [None, "stop"]
    assert len({(frame["id"], frame["created"], frame["model"]) for frame in frames}) == 1


async def test_a_whole_completion_has_the_text_and_the_counts_of_a_stream(service, frames_of):
    whole = (await service.client.post(PATH, json=asked())).json()
    stream = await service.client.post(PATH, json=asked(stream=True, stream_options={"include_usage": True}))
    frames = frames_of(stream.content.replace(b"data: [DONE]\n\n", b""))
    assert whole["choices"][0]["message"]["content"] == "".join(
        choice["delta"].get("content", "") for frame in frames for choice in frame["choices"]
    )
    assert frames[-1]["usage"] == whole["usage"]
    assert frames[-1]["choices"] == []


async def test_scripts_apply_to_both_apis(service):
    await service.script({"text": "scripted", "times": 2})
    assert (await service.client.post(PATH, json=asked())).json()["choices"][0]["message"]["content"] == "scripted"
    assert (await service.ask(streaming=False)).json()["message"] == "scripted"


@pytest.mark.parametrize("messages", [None, [], [{"role": "system", "content": "x"}], [{"role": "user"}], ["x"], 1])
async def test_a_completion_without_a_users_text_is_refused(service, messages):
    answer = await service.client.post(PATH, json={"model": "any", "messages": messages})
    assert answer.status_code == 400
    assert "user message" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", [PATH, None])
async def test_a_stamped_piece_has_the_time_it_was_sent(service, frames_of, path):
    await service.script({"pieces": ["", ""], "stamped": True, "cadence": 0.05})
    before = time.monotonic()
    answer = await (service.client.post(path, json=asked(stream=True)) if path else service.ask())
    stamps = [float(number) for number in re.findall(r"\d+\.\d{6}", answer.text)]
    assert len(stamps) == 2
    assert before < stamps[0] <= stamps[1] - 0.05 < time.monotonic()
