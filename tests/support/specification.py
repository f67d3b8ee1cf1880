"""The published forms of the four protocols: answers and events, held against the SDKs' own types.

The SDKs accept unknown fields and build their objects without validation. Here a missing field, a
field that the type does not have, and a value of another type are failures. The types of the SDK of
OpenAI have a default for fields that may be null; for chat completions its OpenAPI document says
which of them must be there (`tests/data/openai_schemas.json`).
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jsonschema
import pydantic

from tests.support.processes import ROOT

SCHEMAS = json.loads((ROOT / "tests" / "data" / "openai_schemas.json").read_text())
UNKNOWN_TO_THE_SDK = {
    "Response.store",  # OpenAI's API returns it, its SDK has it only as a parameter
    "ResponseCustomToolCall.status",  # likewise: Codex reads it
    "ChoiceDelta.annotations",  # OpenAI's models that search the web stream them like this
}


class Violation(AssertionError):
    """An answer or an event is not what the protocol says."""


@dataclass(frozen=True)
class Event:
    """A Server-Sent Event: its name, empty if it has none, and its data."""

    name: str
    data: str


def events(body: str) -> list[Event]:
    """Return the events of a stream; comments are left out."""
    found = []
    for block in body.replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
        if unknown := {name for name, _, _ in fields} - {"event", "data"}:
            raise Violation(f"unknown SSE fields: {sorted(unknown)}")
        if fields:
            values = {name: value.removeprefix(" ") for name, _, value in fields}
            found.append(Event(values.get("event", ""), values["data"]))
    return found


def check(path: str, body: str, *, stream: bool) -> None:
    """Raise a Violation if a successful response of this route is not in its protocol's form."""
    protocol = _protocol(path)
    if stream:
        protocol.check_stream(events(body))
    else:
        protocol.check_whole(json.loads(body))


def check_error(path: str, body: str) -> None:
    """Raise a Violation if the response of a failed request is not its protocol's error."""
    path, error = path.partition("?")[0], json.loads(body)
    if path.endswith(("/chat/completions", "/responses")):
        conforms(error, "ErrorResponse")
    elif path.endswith("/messages"):
        from anthropic.types import ErrorResponse

        strict(ErrorResponse, error)
    else:
        _google_error(error)


def _google_error(error: Any) -> None:
    _require(
        {"code", "message", "status"} <= set(error["error"]) <= {"code", "message", "status", "details"}, str(error)
    )
    _require(type(error["error"]["code"]) is int, f"code: {error}")


def _protocol(path: str) -> Any:
    path = path.partition("?")[0]
    if path.endswith("/chat/completions"):
        return _Chat
    if path.endswith("/responses"):
        return _Responses
    return _Messages if path.endswith("/messages") else _Gemini


class _CustomInput(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    input: str


class _CustomToolCallDelta(pydantic.BaseModel):
    """A part of a custom tool call in a chunk: neither the SDK nor OpenAI's document has a type for it."""

    model_config = pydantic.ConfigDict(extra="forbid")
    index: int
    type: Literal["custom"]
    custom: _CustomInput


class _NamedInput(_CustomInput):
    name: str


class _FirstCustomToolCallDelta(_CustomToolCallDelta):
    """The first part of a call: it alone has the identifier and the name, as with calls of functions."""

    id: str
    custom: _NamedInput


class _Chat:
    @staticmethod
    def check_whole(answer: Any) -> None:
        from openai.types.chat import ChatCompletion

        conforms(answer, "CreateChatCompletionResponse")
        strict(ChatCompletion, answer)

    @staticmethod
    def check_stream(found: list[Event]) -> None:
        from openai.types.chat import ChatCompletionChunk

        _require({event.name for event in found} == {""}, "an event has a name")
        chunks = [json.loads(event.data) for event in found if event.data != "[DONE]"]
        if "error" in chunks[-1]:
            conforms(chunks.pop(), "ErrorResponse")
        else:
            _require(found[-1].data == "[DONE]", "the stream does not end with [DONE]")
        started: set[tuple[int, int]] = set()
        for chunk in chunks:
            for choice in chunk["choices"]:  # the document has calls of custom tools in whole answers only
                calls = choice["delta"].pop("tool_calls", ())
                for call in calls:
                    if call.get("type") == "custom":
                        place = (choice["index"], call["index"])
                        strict(_CustomToolCallDelta if place in started else _FirstCustomToolCallDelta, call)
                        started.add(place)
                if functions := [call for call in calls if call.get("type") != "custom"]:
                    choice["delta"]["tool_calls"] = functions
            conforms(chunk, "CreateChatCompletionStreamResponse")
            strict(ChatCompletionChunk, chunk)
            _require(not (chunk.get("usage") and chunk["choices"]), f"a chunk has usage and choices: {chunk}")
        for name in ("id", "created", "model"):
            _require(len({chunk[name] for chunk in chunks}) <= 1, f"{name} changes")


class _Responses:
    @staticmethod
    def check_whole(answer: Any) -> None:
        from openai.types.responses import Response

        strict(Response, answer)

    @staticmethod
    def check_stream(found: list[Event]) -> None:
        from openai.types.responses import ResponseStreamEvent

        types = _by_type(ResponseStreamEvent)
        for number, event in enumerate(found):
            data = json.loads(event.data)
            _require(event.name == data["type"], f"event {event.name!r} has data of the type {data['type']!r}")
            _require(data["type"] in types, f"unknown event {data['type']}")
            strict(types[data["type"]], data)
            _require(data["sequence_number"] == number, f"{data['type']} has number {data['sequence_number']}")


class _Messages:
    @staticmethod
    def check_whole(answer: Any) -> None:
        from anthropic.types import Message

        strict(Message, answer)

    @staticmethod
    def check_stream(found: list[Event]) -> None:
        from anthropic.types import ErrorResponse, RawMessageStreamEvent

        types = _by_type(RawMessageStreamEvent)
        for event in found:
            data = json.loads(event.data)
            _require(event.name == data["type"], f"event {event.name!r} has data of the type {data['type']!r}")
            if data["type"] == "error":
                strict(ErrorResponse, data)
            elif data["type"] != "ping":
                _require(data["type"] in types, f"unknown event {data['type']}")
                strict(types[data["type"]], data)


class _Gemini:
    @classmethod
    def check_whole(cls, answer: Any) -> None:
        cls._check(answer)
        _require("usageMetadata" in answer, f"no usageMetadata: {answer}")
        _require(all("finishReason" in one for one in answer["candidates"]), f"no finishReason: {answer}")

    @classmethod
    def check_stream(cls, found: list[Event]) -> None:
        _require({event.name for event in found} == {""}, "an event has a name")
        chunks = [json.loads(event.data) for event in found]
        if "error" in chunks[-1]:
            _google_error(chunks.pop())
        elif chunks:
            cls.check_whole(chunks[-1])
        for chunk in chunks:
            cls._check(chunk)
        for name in ("responseId", "modelVersion"):
            _require(len({chunk[name] for chunk in chunks}) <= 1, f"{name} changes")
        ends = [one for chunk in chunks[:-1] for one in chunk["candidates"] if "finishReason" in one]
        _require(not ends, f"finishReason before the end: {ends}")

    @staticmethod
    def _check(answer: Any) -> None:
        """Hold an answer or a chunk against the SDK's type, all of whose fields are optional.

        The type also accepts names in snake case, null for each field, and unknown names of enums.
        """
        from google.genai.types import GenerateContentResponse

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                strict(GenerateContentResponse, answer)
        except UserWarning as warning:  # an unknown name of an enum
            raise Violation(f"{warning}: {answer}") from None
        made = GenerateContentResponse.model_validate_json(json.dumps(answer))
        written = made.model_dump(mode="json", by_alias=True, exclude_none=True)
        _require(written == answer, f"{answer} should be {written}")
        for part in _google_parts(made):
            missing = _GOOGLE_FIELDS.get(type(part).__name__, set()) - part.model_fields_set
            _require(not missing, f"{type(part).__name__} without {sorted(missing)}: {answer}")


# What Google's answers always have (https://ai.google.dev/api/generate-content).
_GOOGLE_FIELDS = {
    "GenerateContentResponse": {"candidates", "model_version", "response_id"},
    "Candidate": {"content", "index"},
    "Content": {"parts", "role"},
    "FunctionCall": {"name", "args"},
    "GenerateContentResponseUsageMetadata": {"prompt_token_count", "candidates_token_count", "total_token_count"},
}


def _google_parts(value: Any) -> Iterator[Any]:
    """Yield the objects of an SDK's object, itself first."""
    if isinstance(value, pydantic.BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _google_parts(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from _google_parts(item)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Violation(message)


def conforms(instance: Any, name: str) -> None:
    """Raise a Violation if a value is not what OpenAI's document says under this name."""
    if errors := list(_validator(name).iter_errors(instance)):
        raise Violation("; ".join(f"{name}{error.json_path[1:]}: {error.message[:200]}" for error in errors))


@functools.cache
def _validator(name: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMAS["$defs"]})


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)


def strict(kind: Any, instance: Any) -> None:
    """Raise a Violation if an SDK's type does not accept a value, or has no name for a part of it."""
    try:
        made = _adapter(kind).validate_json(json.dumps(instance), strict=True)
    except pydantic.ValidationError as error:
        raise Violation(f"{str(error)[:2000]}\nin {json.dumps(instance)[:2000]}") from None
    if unknown := sorted(set(_unknown(made)) - UNKNOWN_TO_THE_SDK):
        raise Violation(f"unknown: {unknown} in {json.dumps(instance)[:2000]}")


def _unknown(value: Any) -> Iterator[str]:
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{type(value).__name__}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name, None))
    elif isinstance(value, list):
        for item in value:
            yield from _unknown(item)


@functools.cache
def _by_type(union: Any) -> dict[str, Any]:
    """Return the members of an SDK's union of events by their type."""
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}
