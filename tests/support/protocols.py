"""The clients of the protocols: ask the proxy with each SDK, for a whole answer or for a stream.

Each `ask_…` returns what the SDK makes of the answer, whichever way it came, so that a test holds for both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import anthropic
    import openai
    from google import genai

MODEL = "stackspot-chat"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


def body(path: str, text: str, *, stream: bool) -> dict[str, Any]:
    """Return the same question as a request of the protocol of this path."""
    question = {"input": text} if path == "/v1/responses" else {"messages": [{"role": "user", "content": text}]}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": MODEL, "stream": stream, **question, **limit}


def tool(name: str, *arguments: str) -> dict[str, Any]:
    """Return the declaration of a tool whose arguments are strings."""
    schema = {"type": "object", "properties": {a: {"type": "string"} for a in arguments}, "required": list(arguments)}
    return {"type": "function", "function": {"name": name, "description": f"Faz {name}", "parameters": schema}}


def block(name: str, **arguments: Any) -> str:
    """Return a tool call as an agent writes it."""
    written = json.dumps(arguments, ensure_ascii=False)
    return f"FUNCTION_CALL_START\n{name}\narguments: {written}\nFUNCTION_CALL_END\n"


def calls_of(choice: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tool calls of a choice: names and arguments."""
    return [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]


def complete_chat(client: openai.OpenAI, messages: Any, *, stream: bool = False, **params: Any) -> Any:
    """Ask with chat completions; return the completion."""
    import openai

    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    params = {"model": MODEL, "messages": messages} | params
    if not stream:
        return client.chat.completions.create(**params)
    try:
        with client.chat.completions.stream(**params) as chunks:
            return chunks.get_final_completion()
    except openai.LengthFinishReasonError as cut:  # the SDK's stream has no other way to return it
        return cut.completion


def ask_chat(client: openai.OpenAI, messages: Any, *, stream: bool = False, **params: Any) -> Any:
    """Ask with chat completions; return the first choice."""
    return complete_chat(client, messages, stream=stream, **params).choices[0]


def ask_messages(
    client: anthropic.Anthropic, messages: Any, *, stream: bool = False, **params: Any
) -> anthropic.types.Message:
    """Ask with Anthropic's messages; return the message."""
    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    params = {"model": MODEL, "max_tokens": 1000, "messages": messages} | params
    if not stream:
        return client.messages.create(**params)
    with client.messages.stream(**params) as events:
        return events.get_final_message()


def ask_responses(client: openai.OpenAI, given: Any, *, stream: bool = False, **params: Any) -> Any:
    """Ask with OpenAI's responses; return the response."""
    params = {"model": MODEL, "input": given} | params
    if not stream:
        return client.responses.create(**params)
    with client.responses.stream(**params) as events:
        return events.get_final_response()


def ask_gemini(
    client: genai.Client, contents: Any, *, stream: bool, model: str = MODEL, **config: Any
) -> tuple[str, list[Any], Any]:
    """Ask with Gemini's generateContent; return text, function calls and usage."""
    from google.genai import types

    asked = {"model": model, "contents": contents, "config": types.GenerateContentConfig(**config)}
    models = client.models
    answers = list(models.generate_content_stream(**asked)) if stream else [models.generate_content(**asked)]
    parts = [part for answer in answers for part in (answer.candidates[0].content.parts or [])]
    text = "".join(part.text or "" for part in parts)
    usage = next(answer.usage_metadata for answer in reversed(answers) if answer.usage_metadata)
    return text, [part.function_call for part in parts if part.function_call], usage
