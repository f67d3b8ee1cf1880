"""No body is a 5xx, a reset connection or a hang: bodies of the SDKs' request types, right and wrong ones, and bodies
with every field that LiteLLM reads. `make fuzz` asks more often, with other bodies each time (`tests/support/fuzzing.py`).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from google.genai import types as gemini
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from tests.support.fuzzing import EXAMPLES, SEED, client, hold, wrong
from tests.support.processes import ROOT
from tests.support.proxy import Proxy, Simulator
from tests.support.request_bodies import CONTENT, WRONG, Bodies, litellm_fields

FEW = 25
MODEL = "stackspot-chat"


@dataclass(frozen=True)
class Protocol:
    """A route, a good body for it, and the type of its body in the SDK that asks it."""

    path: str
    body: dict[str, Any]
    hint: Any
    camel: bool = False


SAID = [{"role": "user", "content": CONTENT}]
ASKED = {"model": MODEL, "messages": SAID}
PROMPTED = {"contents": [{"role": "user", "parts": [{"text": CONTENT}]}]}


class GeminiBody(gemini.GenerateContentConfigDict, total=False):  # type: ignore[call-arg]  # Any for mypy
    """What Google's SDK sends; some of its configuration stands beside `generationConfig`."""

    contents: list[gemini.ContentDict]
    generationConfig: gemini.GenerateContentConfigDict  # noqa: N815  the field's name
    toolConfig: gemini.ToolConfigDict  # noqa: N815


CHAT = chat_create_params.CompletionCreateParamsNonStreaming
TEXT = completion_create_params.CompletionCreateParamsNonStreaming
RESPONSES = response_create_params.ResponseCreateParamsNonStreaming
MESSAGES = message_create_params.MessageCreateParamsNonStreaming
COUNT = message_count_tokens_params.MessageCountTokensParams
EMBEDDINGS = embedding_create_params.EmbeddingCreateParams
PROTOCOLS = {
    "chat": Protocol("/v1/chat/completions", ASKED, CHAT),
    "completions": Protocol("/v1/completions", {"model": MODEL, "prompt": CONTENT}, TEXT),
    "responses": Protocol("/v1/responses", {"model": MODEL, "input": CONTENT}, RESPONSES),
    "messages": Protocol("/v1/messages", {**ASKED, "max_tokens": 100}, MESSAGES),
    "count_tokens": Protocol("/v1/messages/count_tokens", ASKED, COUNT),
    "embeddings": Protocol("/v1/embeddings", {"model": MODEL, "input": CONTENT}, EMBEDDINGS),
    "gemini": Protocol(f"/v1beta/models/{MODEL}:generateContent", PROMPTED, GeminiBody, camel=True),
    "gemini stream": Protocol(f"/v1beta/models/{MODEL}:streamGenerateContent", PROMPTED, GeminiBody, camel=True),
    "gemini count": Protocol(f"/v1beta/models/{MODEL}:countTokens", PROMPTED, GeminiBody, camel=True),
}
EACH = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


@pytest.fixture
def web(proxy: Proxy, simulator: Simulator) -> Iterator[httpx.Client]:
    with client(proxy.url, proxy.key) as made:
        yield made


def rolls(protocol: Protocol) -> Iterator[random.Random]:
    """Return the random numbers of each body."""
    return (random.Random(f"{SEED} {protocol.path} {number}") for number in range(EXAMPLES or FEW))


def streamed(protocol: Protocol, dice: random.Random) -> dict[str, Any]:
    return {"stream": True} if "model" in protocol.body and dice.randrange(3) == 0 else {}


@EACH
def test_a_body_of_an_sdks_type_is_answered_or_refused(web: httpx.Client, protocol: Protocol) -> None:
    def bodies() -> Iterator[dict[str, Any]]:
        for dice in rolls(protocol):
            made = Bodies(dice, camel=protocol.camel)
            if dice.randrange(2):
                yield made.one_field(protocol.hint, protocol.body) | streamed(protocol, dice)
            else:
                body = made.changed(made.typed(protocol.hint))
                body |= protocol.body if dice.randrange(2) else {"model": MODEL} if "model" in protocol.body else {}
                yield body | streamed(protocol, dice)

    hold(web, protocol.path, bodies())


@functools.cache
def fields() -> list[str]:
    [package] = (ROOT / ".venv" / "lib").glob("python3*/site-packages/litellm")
    found = litellm_fields(package)
    assert {"success_callback", "extra_headers", "request_timeout", "rules_obj", "no-log"} <= {*found}
    return found


def with_fields(protocol: Protocol) -> Iterator[dict[str, Any]]:
    """Return good bodies with a field of LiteLLM's, in any of the places where LiteLLM reads it."""
    for dice in rolls(protocol):
        field = {dice.choice(fields()): dice.choice(WRONG)}
        place = dice.choice(("", "", "", "metadata", "litellm_metadata", "extra_body"))
        yield protocol.body | ({place: field} if place else field) | streamed(protocol, dice)


@EACH
def test_a_field_that_litellm_reads_is_answered_or_refused(web: httpx.Client, protocol: Protocol) -> None:
    hold(web, protocol.path, with_fields(protocol))


# What LiteLLM reads of a body when it refuses the key.
REPORTED = (
    "metadata",
    "litellm_metadata",
    "litellm_logging_obj",
    "litellm_call_id",
    "user",
    "model",
    "messages",
    "input",
)


@EACH
def test_a_body_with_an_unknown_key_is_refused(proxy: Proxy, protocol: Protocol) -> None:
    def bodies() -> Iterator[dict[str, Any]]:
        for dice, body in zip(rolls(protocol), with_fields(protocol), strict=True):
            yield body | {name: dice.choice(WRONG) for name in dice.sample(REPORTED, 2)}

    with client(proxy.url, "sk-unknown") as web:
        hold(web, protocol.path, bodies())
        assert web.post(protocol.path, json=protocol.body).status_code == 401


@pytest.fixture(scope="module", autouse=True)
def content_out_of_the_log(proxy: Proxy) -> Iterator[None]:
    yield
    lines = [line for line in proxy.log.read_text(errors="replace").splitlines() if CONTENT in line]
    assert lines == [], "content of a request is in the log"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/chat/completions", httpx.Response(500, json={"error": {"message": "x", "type": "y", "code": "500"}})),
        ("/v1/chat/completions", httpx.Response(400, text="Bad request")),
        ("/v1/chat/completions", httpx.Response(422, json={"detail": "x"})),
        ("/v1/messages", httpx.Response(400, json={"error": {"message": "x", "type": "y", "code": "400"}})),
        ("/v1beta/models/m:countTokens", httpx.Response(400, json={"type": "error", "error": {}})),
        ("/v1/responses", httpx.Response(400, json={"error": {"message": "/x/a.py", "type": "y", "code": "400"}})),
        ("/v1/completions", httpx.Response(200, headers={"content-type": "text/event-stream"}, text="data: {}")),
    ],
)
def test_what_is_a_fault(path: str, answer: httpx.Response) -> None:
    assert wrong(answer, path)
    with (
        httpx.Client(base_url="http://proxy", transport=httpx.MockTransport(lambda _: answer)) as web,
        pytest.raises(AssertionError, match=r"curl -i -X POST .* --data-raw '\{\}'"),
    ):
        hold(web, path, [{"a": 1}])
