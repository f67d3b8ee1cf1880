"""What a call of the agent needs, step by step, with the answers handed in by the test."""

from __future__ import annotations

import json

import pytest

from custom_handler.errors import AgentFailed, AgentNotFound, StackspotError
from custom_handler.settings import Settings
from custom_handler.stackspot.auth import Token
from custom_handler.stackspot.exchange import AgentCall, Head, NeedToken, Send, open_answer

SETTINGS = Settings(inference_url="https://inference.example", timeout=600)
CALL = AgentCall("01ARZ3NDEKTSV4RRFFQ69G5FAV", "Olá, “mundo” ☀", "conversation-7", timeout=30)
TOKEN = Token("the-token", 1200)
FRESH = Token("fresh-token", 1200)


def opened(*answers):
    """The steps that were asked for while these answers were given, and the error in the end."""
    steps, asked = open_answer(CALL, SETTINGS), []
    try:
        for answer in (None, *answers):
            asked += [steps.send(answer)]
    except StopIteration:
        return asked, None
    except StackspotError as error:
        return asked, error
    return asked, "not over"


def test_a_good_call_needs_a_token_and_one_request():
    asked, error = opened(TOKEN, Head(200, {}))
    assert (asked[0], type(asked[1]), error) == (NeedToken(), Send, None)


def test_the_request_has_exactly_the_four_fields_of_the_contract():
    asked, _ = opened(TOKEN)
    assert json.loads(asked[1].content) == {
        "streaming": True,
        "user_prompt": "Olá, “mundo” ☀",
        "stackspot_knowledge": False,
        "return_ks_in_response": False,
    }
    assert asked[1].url == "https://inference.example/v1/agent/01ARZ3NDEKTSV4RRFFQ69G5FAV/chat"


def test_the_request_carries_token_types_and_correlation_id():
    asked, _ = opened(TOKEN)
    assert asked[1].headers == {
        "authorization": "Bearer the-token",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "correlation-id": "conversation-7",
    }


def test_the_calls_own_patience_goes_with_the_request():
    asked, _ = opened(TOKEN)
    assert asked[1].timeout == 30


def test_a_refused_token_is_renewed_once_and_the_call_made_once_more():
    asked, error = opened(TOKEN, Head(401, {}), FRESH, Head(200, {}))
    assert error is None
    assert asked[2] == NeedToken(refused=TOKEN)
    assert [step.headers["authorization"] for step in asked if isinstance(step, Send)] == [
        "Bearer the-token",
        "Bearer fresh-token",
    ]
    assert asked[1].content == asked[3].content


def test_a_fresh_token_that_is_refused_ends_the_call():
    asked, error = opened(TOKEN, Head(401, {}), FRESH, Head(401, {}, b'{"code": "UNAUTHORIZED"}'))
    assert len(asked) == 4
    assert isinstance(error, AgentFailed)
    assert (error.status_code, "UNAUTHORIZED" in error.message) == (502, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"code": "AGENT_NOT_FOUND", "details": "x"}', "AGENT_NOT_FOUND"),
        (b"<html>", "no such agent"),
        (b"\xff", "no such agent"),
        (b"", "no such agent"),
    ],
    ids=["json", "page", "no text", "empty"],
)
def test_a_refusal_is_read_whatever_its_body(body, said):
    _, error = opened(TOKEN, Head(404, {}, body))
    assert isinstance(error, AgentNotFound)
    assert said in error.message


def test_half_a_character_in_the_prompt_does_not_stop_the_call():
    steps = open_answer(AgentCall("a", "x\ud83d", "c", 1), SETTINGS)
    next(steps)
    assert json.loads(steps.send(TOKEN).content)["user_prompt"] == "x?"


def test_neither_prompt_nor_token_shows_in_the_representations():
    asked, _ = opened(TOKEN)
    shown = repr(asked) + repr(CALL)
    assert "mundo" not in shown
    assert "the-token" not in shown
