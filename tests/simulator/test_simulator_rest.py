"""Replies that break off, and the rest of them."""

from __future__ import annotations

import httpx
import pytest

from custom_handler.simulator.rest import APOLOGY, OTHER, REPEATED

PROMPT = "Conte até 6\n\n«assistant»\n1 2 3\n\n«reminder»\nThe assistant's last message broke off. Continue it."


@pytest.mark.parametrize(
    ("manner", "text"),
    [
        ("exact", " 4 5 6"),
        ("repeat", "1 2 3 4 5 6"),
        ("anew", "1 2 3 4 5 6"),
        ("apologise", f"{APOLOGY} 4 5 6"),
        ("other", OTHER),
        ("nothing", ""),
    ],
)
async def test_the_rest_comes_in_the_manner_of_the_settings(service, manner, text):
    assert len("1 2 3") < REPEATED
    await service.configure(rest=manner, break_after=1)
    frames = await service.ask_for_frames(PROMPT)
    assert "".join(frame["message"] or "" for frame in frames) == text
    assert frames[-1]["stop_reason"] == "stop"


async def test_another_start_than_its_own_is_answered_anew(service):
    frames = await service.ask_for_frames(PROMPT.replace("1 2 3", "um dois"))
    assert "".join(frame["message"] for frame in frames) == "1 2 3 4 5 6"


async def test_a_reply_breaks_off_after_some_words(service):
    await service.configure(break_after=2)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await service.ask("Conte até 6")
    [request] = await service.requests(at="chat")
    assert (request["broken"], request["frames_sent"]) == ("close", 3)
