"""The tool calls and the results in a request's messages."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import RequestError

Message = Mapping[str, Any]
CUSTOM_ARGUMENT = "input"
"""The only argument of a tool of type custom, in the form that the agent sees and writes."""
RESULT_ROLES = frozenset({"tool", "function"})
_SHOWN_CHARACTERS = 100  # of an id or a name in an error
_EMPTY = frozenset({"", "[]", "null"})


class Call(NamedTuple):
    """A call in an assistant's message; `arguments` is JSON, as the client wrote it.

    Arguments that are empty in another form are `{}`: PHP clients write `[]`.
    """

    id: str
    name: str
    arguments: str


def calls_of(message: Message) -> Iterator[Call]:
    """Yield the calls of a message's `tool_calls`, and that of its `function_call`."""
    for call in message.get("tool_calls") or ():
        if isinstance(custom := call.get("custom"), Mapping):
            written = json.dumps(
                {CUSTOM_ARGUMENT: custom.get("input") or ""}, ensure_ascii=False, separators=(",", ":")
            )
            yield Call(str(call.get("id") or ""), str(custom.get("name") or ""), written)
            continue
        function = call.get("function") or {}
        yield Call(str(call.get("id") or ""), str(function.get("name") or ""), _arguments(function))
    if isinstance(function := message.get("function_call"), Mapping):
        yield Call("", str(function.get("name") or ""), _arguments(function))


def _arguments(function: Mapping[str, Any]) -> str:
    given = function.get("arguments") or "{}"
    if isinstance(given, str) and given.strip() in _EMPTY:
        return "{}"
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def result_id(message: Message) -> str:
    """Return the id of the call that a result answers, "" where it names none."""
    return str(message.get("tool_call_id") or "")


def require_results(messages: Sequence[Message]) -> None:
    """Raise RequestError for a call without a result, and for a result without a call.

    Ids that are missing match by position. The older form (`function_call`, role `function`) has no
    ids, and OpenAI checks nothing of it; here it may not end with a call.
    """
    waiting: dict[str, deque[tuple[int, Call]]] = {}  # by the id of the calls
    answered: set[str] = set()
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            _answer(message, number, waiting, answered)
        elif message["role"] == "assistant":
            is_last = number == len(messages) - 1
            for call in calls_of(message if is_last else {"tool_calls": message.get("tool_calls")}):
                waiting.setdefault(call.id, deque()).append((number, call))
    if waiting:
        number, call = min(calls[0] for calls in waiting.values())
        where = f"messages[{number}].tool_calls"
        raise RequestError(
            f"{where}: the call {_shown(call.id)} of {_shown(call.name)} has no result. "
            "Send its result in a later message, or leave the call out.",
            param=where,
        )


def _answer(result: Message, number: int, waiting: dict[str, deque[tuple[int, Call]]], answered: set[str]) -> None:
    """Remove the call that a result answers; a second result for it is accepted, too."""
    identifier = result_id(result)
    key = identifier if identifier in waiting else "" if identifier else next(iter(waiting), "")
    if key in waiting:
        answered.add(key)
        waiting[key].popleft()
        if key or not waiting[key]:  # a bridge of LiteLLM can repeat a call
            del waiting[key]
    elif not identifier or identifier not in answered:
        raise RequestError(
            f"messages[{number}]: the result for the call {_shown(identifier)} follows no such call. "
            "Send the assistant's message with that call before it, or leave the result out.",
            param=f"messages[{number}]",
        )


def _shown(text: str) -> str:
    return repr(text[:_SHOWN_CHARACTERS])
