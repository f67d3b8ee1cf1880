"""The slips of the simulated agent."""

from __future__ import annotations

import pytest

from custom_handler.simulator.slips import slip

CALL = 'FUNCTION_CALL_START\nget_weather\narguments: {"city": "Recife"}\nFUNCTION_CALL_END'


@pytest.mark.parametrize("reply", [CALL, f"Vejo.\n{CALL}\n{CALL}", '{"a": 1}', "Olá."])
def test_every_reply_can_be_spoiled_and_none_without_a_rate(reply: str) -> None:
    prompts = [f"prompt {number}" for number in range(200)]
    assert all(slip(reply, prompt, 0) == reply for prompt in prompts)
    spoiled = [slip(reply, prompt, 1) for prompt in prompts]
    assert reply not in spoiled
    assert len(set(spoiled)) >= 3


def test_the_rate_is_held_and_depends_on_the_prompt_only() -> None:
    prompts = [f"prompt {number}" for number in range(1000)]
    first = [slip(CALL, prompt, 0.3) for prompt in prompts]
    assert 250 <= sum(reply != CALL for reply in first) <= 350
    assert first == [slip(CALL, prompt, 0.3) for prompt in prompts]
