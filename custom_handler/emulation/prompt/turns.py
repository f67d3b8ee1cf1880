"""The turns of a request, in the order in which the prompt shows them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile, takewhile

from ...request.calls import RESULT_ROLES, calls_of, result_id
from ...request.chat_request import ChatRequest, Message
from .content import message_text

_SYSTEM_ROLES = frozenset({"system", "developer"})


def role_of(message: Message) -> str:
    """Return "system", "user", "assistant" or "result"; an unknown role counts as "user"."""
    role = message["role"]
    if role in _SYSTEM_ROLES:
        return "system"
    if role in RESULT_ROLES:
        return "result"
    return "assistant" if role == "assistant" else "user"


def system_messages(request: ChatRequest) -> list[Message]:
    """Return the system messages at the start of the request, which stand above the tools."""
    return list(takewhile(_is_system, request.messages))


def turns(request: ChatRequest) -> list[Message]:
    """Return all other messages but the assistant's empty ones; results in call order."""
    ordered: list[Message] = []
    results: list[Message] = []
    calls: list[str] = []
    for message in dropwhile(_is_system, request.messages):
        role = role_of(message)
        if role == "result":
            results.append(message)
        elif role != "assistant" or not _is_empty(message):
            if results:
                ordered += _in_call_order(results, calls)
                results, calls = [], []
            if role == "assistant":
                calls += [call.id for call in calls_of(message)]
            ordered.append(message)
    return ordered + _in_call_order(results, calls)


def _in_call_order(results: Sequence[Message], calls: Sequence[str]) -> list[Message]:
    """Sort results by the position of their call; those of other calls stay last."""
    position: dict[str, int] = {}
    for number, identifier in enumerate(calls):
        position.setdefault(identifier, number)
    return sorted(results, key=lambda result: position.get(result_id(result), len(calls)))


def _is_empty(message: Message) -> bool:
    return not message_text(message).strip() and next(calls_of(message), None) is None


def _is_system(message: Message) -> bool:
    return message["role"] in _SYSTEM_ROLES
