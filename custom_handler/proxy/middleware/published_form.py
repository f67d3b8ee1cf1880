"""Give responses the form that their protocols publish, where LiteLLM's differs from it.

Chat completions: LiteLLM leaves fields out that are null, and sends the usage of a stream in a
chunk with a choice. `/v1/completions`: the same, and each chunk has a usage of 0. `/v1/responses`:
it sends events without names, with a field `model`, without required fields, and events of
functions for custom tools. `/v1/messages`: it does not know that a stop sequence has ended an
answer, and a stream with MCP calls ends with a usage. Gemini's routes: it sends null as reason to
finish, and neither id nor model. Clients with generated types, in languages other than Python and
JavaScript, reject such responses. `tests/support/specification.py` has the
forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ...request.context import RequestContext
from ..error_body import error_kind
from .sse_events import changed_body, data_of, event_of, split

# The order is that of OpenAI's documents; the values stand for what the provider does not report.
_RESPONSE_FIELDS: dict[str, Any] = {
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "temperature": None,
    "top_p": None,
    "max_output_tokens": None,
    "previous_response_id": None,
    "reasoning": None,
    "text": {},
    "truncation": None,
    "usage": None,
    "user": None,
}
_SETTINGS = ("parallel_tool_calls", "tool_choice", "tools")  # missing or different in later events
_ERROR_CODES = {  # of a failed response: LiteLLM's that OpenAI's protocol does not have
    **dict.fromkeys(("authentication_error", "permission_error", "not_found_error", "request_timeout"), "server_error"),
    "invalid_request_error": "invalid_prompt",
}
_CHUNK_END = b"}]}\n\n"  # of the choice, the choices and the chunk
_LITELLM_DETAILS = ("text_tokens", "image_tokens", "video_tokens")  # unknown to OpenAI
_DONE = b"data: [DONE]"
# Most events are deltas. Their bytes are changed, because to parse each costs ten times as much.
# Quotes within the delta have a backslash, so the names found here are those of fields.
_DELTA = re.compile(
    rb'data: (\{"type":"(response\.(output_text|function_call_arguments)\.delta)","item_id":"([^"\\]*)",.*)'
    rb',"sequence_number":\d+,"model":"[^"\\]*"\}\n\n',
    re.DOTALL,
)


class ChatForm:
    """Chat completions, as OpenAI's `CreateChatCompletionResponse` and `…StreamResponse`."""

    def whole(self, body: bytes) -> bytes:
        """Return the body of a whole response in the published form."""
        return changed_body(body, _complete_answer)

    def stream(self, events: bytes) -> bytes:
        """Return events of a stream in the published form; this is called for each chunk."""
        if events.find(b"\n\n") == len(events) - 2:
            return self._event(events)
        return b"".join(map(self._event, split(events)))

    def _event(self, event: bytes) -> bytes:
        if event.startswith(b"data: {") and event.endswith(b"\n\n"):
            if b'"usage":{' in event or b'"error"' in event[:20]:
                return _changed_event(event, _complete_chunk)
            if b'"finish_reason"' not in event:
                if event.endswith(b"}" + _CHUNK_END):
                    return event[: -len(_CHUNK_END)] + b',"finish_reason":null' + _CHUNK_END
                return _changed_event(event, _complete_chunk)
        return event


class CompletionsForm:
    """Text completions, as OpenAI's `CreateCompletionResponse`."""

    def whole(self, body: bytes) -> bytes:
        """Return the body of a whole response in the published form: LiteLLM's has it."""
        return body

    def stream(self, events: bytes) -> bytes:
        """Return events of a stream in the published form."""
        return b"".join(_changed_event(event, _complete_text) for event in split(events))


class ResponsesForm:
    """Responses, as OpenAI's `Response` and `ResponseStreamEvent`."""

    def __init__(self) -> None:
        self._number = 0
        self._created: dict[str, Any] = {}
        self._custom: set[object] = set()  # the ids of items that are calls of custom tools

    def whole(self, body: bytes) -> bytes:
        """Return the body of a whole response in the published form."""
        return changed_body(body, _complete_response)

    def stream(self, events: bytes) -> bytes:
        """Return events of a stream in the published form."""
        if events.find(b"\n\n") == len(events) - 2 and (delta := self._delta(events)) is not None:
            return delta
        return b"".join(changed for event in split(events) for changed in self._changed(event))

    def _delta(self, event: bytes) -> bytes | None:
        """Return the event of a delta; None for another event, and for a form that is new."""
        if (found := _DELTA.fullmatch(event)) is None:
            return None
        data, name, kind, item = found.groups()
        if b'"logprobs":' in data or item.decode() in self._custom:
            return None
        number, self._number = self._number, self._number + 1
        logprobs = b',"logprobs":[]' if kind == b"output_text" else b""
        return b'event: %b\ndata: %b%b,"sequence_number":%d}\n\n' % (name, data, logprobs, number)

    def _changed(self, event: bytes) -> Iterator[bytes]:
        if event.startswith(_DONE):  # OpenAI's stream ends with its last event
            return
        data = data_of(event)
        if not str(data.get("type", "")).startswith("response."):
            yield event
            return
        try:
            completed = list(self._completed(data))
        except (TypeError, KeyError, AttributeError):  # LiteLLM has changed its form
            completed = [data]
        for changed in completed:
            changed["sequence_number"] = self._number
            self._number += 1
            yield event_of(changed, named=True)

    def _completed(self, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
        data.pop("model", None)
        item = data.get("item")
        if isinstance(item, dict) and item.get("type") == "custom_tool_call":
            self._custom.add(item.get("id"))
        if isinstance(response := data.get("response"), dict):
            data["response"] = response = {**self._created, **response}
            _complete_response(response)
            self._created = self._created or {name: response[name] for name in _SETTINGS if name in response}
            response |= self._created
        match data["type"].removeprefix("response."):
            case "output_text.delta" | "output_text.done":
                data.setdefault("logprobs", [])
            case "function_call_arguments.delta" | "function_call_arguments.done":
                if data.get("item_id") in self._custom:
                    return  # they are JSON around the text, which the item has at its end
            case "output_item.done" if isinstance(item, dict) and item.get("id") in self._custom:
                part = {"item_id": item["id"], "output_index": data["output_index"]}
                yield {"type": "response.custom_tool_call_input.delta", **part, "delta": item["input"]}
                yield {"type": "response.custom_tool_call_input.done", **part, "input": item["input"]}
        yield data


class MessagesForm:
    """Messages, as Anthropic's `Message`, with the stop sequence that ended the text."""

    def __init__(self, request: RequestContext) -> None:
        self._request = request

    def whole(self, body: bytes) -> bytes:
        """Return the body of a whole response in the published form."""
        return body if self._request.stop_sequence is None else changed_body(body, self._set_stop)

    def stream(self, events: bytes) -> bytes:
        """Return events of a stream in the published form."""
        has_end = b'"message_stop"' in events
        if not has_end and (self._request.stop_sequence is None or b"message_delta" not in events):
            return events
        return b"".join(_changed_event(event, self._complete_event) for event in split(events))

    def _complete_event(self, data: dict[str, Any]) -> None:
        if data.get("type") == "message_delta" and self._request.stop_sequence is not None:
            self._set_stop(data["delta"])
        elif data.get("type") == "message_stop":
            data.pop("usage", None)

    def _set_stop(self, message: dict[str, Any]) -> None:
        if message.get("stop_reason") == "end_turn":
            message |= {"stop_reason": "stop_sequence", "stop_sequence": self._request.stop_sequence}


class GeminiForm:
    """Answers of Gemini's routes, as Google's `GenerateContentResponse`."""

    def __init__(self, request: RequestContext) -> None:
        self._request = request

    def whole(self, body: bytes) -> bytes:
        """Return the body of a whole response in the published form."""
        return changed_body(body, self._complete)

    def stream(self, events: bytes) -> bytes:
        """Return events of a stream in the published form."""
        return b"".join(_changed_event(event, self._complete) for event in split(events))

    def _complete(self, answer: dict[str, Any]) -> None:
        for candidate in answer["candidates"]:
            if candidate.get("finishReason", "") is None:
                del candidate["finishReason"]
        answer.setdefault("modelVersion", self._request.model or "")
        answer.setdefault("responseId", self._request.request_id)


PublishedForm: TypeAlias = ChatForm | CompletionsForm | ResponsesForm | MessagesForm | GeminiForm


def published_form_for(request: RequestContext) -> PublishedForm | None:
    """Return what changes the response of a route, None for a route that needs nothing.

    >>> published_form_for(RequestContext({"path": "/v1/models"})) is None
    True
    """
    path = request.scope.get("path", "").rstrip("/")
    if path.endswith("/chat/completions"):
        return ChatForm()
    if path.endswith("/completions"):
        return CompletionsForm()
    if path.endswith("/responses"):
        return ResponsesForm()
    if path.endswith((":generateContent", ":streamGenerateContent")):
        return GeminiForm(request)
    return MessagesForm(request) if path.endswith("/messages") else None


def _changed_event(event: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return an event after a change of its data; an event of another form stays as it is."""
    head, found, data = event.partition(b"data:")
    changed = changed_body(data, change)
    return event if changed is data else head + found + b" " + changed + b"\n\n"


def _complete_answer(answer: dict[str, Any]) -> None:
    for choice in answer["choices"]:
        choice.setdefault("logprobs", None)
        message = choice["message"]
        message.setdefault("content", None)
        message.setdefault("refusal", None)
    _remove_details(answer.get("usage"))


def _complete_text(chunk: dict[str, Any]) -> None:
    if _is_error(chunk):
        return
    choices, usage = chunk["choices"], chunk.get("usage") or {}
    if not usage.get("total_tokens"):
        chunk.pop("usage", None)
    elif not any(choice.get("finish_reason") or choice.get("text") for choice in choices):
        choices.clear()
    for choice in choices:
        choice["text"] = choice.get("text") or ""
        choice.setdefault("logprobs", None)
        choice.setdefault("finish_reason", None)
    _remove_details(usage)


def _is_error(chunk: dict[str, Any]) -> bool:
    """Return whether a chunk is an error, which gets a type."""
    if not isinstance(error := chunk.get("error"), dict):
        return False
    code = str(error.get("code"))
    error["type"] = error.get("type") or error_kind(int(code) if code.isdecimal() else 400)
    return True


def _complete_chunk(chunk: dict[str, Any]) -> None:
    if _is_error(chunk):
        return
    choices = chunk["choices"]
    if chunk.get("usage") and not any(choice.get("finish_reason") or choice.get("delta") for choice in choices):
        choices.clear()
    for choice in choices:
        choice.setdefault("finish_reason", None)
    _remove_details(chunk.get("usage"))


def _remove_details(usage: Any) -> None:
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if isinstance(usage, dict) and isinstance(details := usage.get(name), dict):
            usage[name] = {key: value for key, value in details.items() if key not in _LITELLM_DETAILS}


def _complete_response(response: dict[str, Any]) -> None:
    if not isinstance(response["id"], str):
        raise TypeError("id")  # it is no response, and stays as it is
    for name, value in _RESPONSE_FIELDS.items():
        response.setdefault(name, value)
    for tool in response.get("tools") or ():
        if tool.get("type") == "function":
            tool.setdefault("strict", None)
    if isinstance(error := response["error"], dict):
        error["code"] = _ERROR_CODES.get(error["code"], error["code"])
    if isinstance(usage := response.get("usage"), dict):
        if usage.get("cost") is None:  # a number is there where the operator asks for it
            usage.pop("cost", None)
        given, made = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
        usage["input_tokens_details"] = {
            "cached_tokens": given.get("cached_tokens") or 0,
            "cache_write_tokens": given.get("cache_write_tokens") or 0,
        }
        usage["output_tokens_details"] = {"reasoning_tokens": made.get("reasoning_tokens") or 0}
