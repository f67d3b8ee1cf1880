"""What a bridge of LiteLLM's would lose is refused, and what it can carry is let through."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from custom_handler.service.bridges import require_history

ASKED = {"role": "user", "content": "Oi"}
ANSWERED = {"role": "assistant", "content": "Olá"}


def call(*messages: Any, **body: Any) -> dict[str, Any]:
    return {"model": "stackspot-chat", "messages": messages, "proxy_server_request": {"body": body}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "E agora?", "conversation": "conv_1"}, "conversation"),
        ({"input": "E agora?", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": "E agora?", "previous_response_id": "resp_1"}, "previous_response_id"),
    ],
    ids=["conversation", "prompt", "item", "response"],
)
def test_a_reference_to_what_nobody_keeps_is_a_400_that_names_it(body, param):
    with pytest.raises(litellm.BadRequestError, match=f"{param}: .*Send the whole conversation in input") as raised:
        require_history(call(ASKED, **body))
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ((ASKED,), {"input": "Oi"}),
        ((ASKED,), {"messages": [ASKED], "prompt": "of another API"}),
        ((ASKED, ANSWERED, ASKED), {"input": "E agora?", "previous_response_id": "resp_1"}),
    ],
    ids=["nothing to recall", "another protocol", "recalled from the database"],
)
def test_what_loses_nothing_passes(messages, body):
    require_history(call(*messages, **body))
