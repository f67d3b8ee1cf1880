"""Slips of weaker models: the simulated agent makes them at the rate of the settings.

Whether and how a reply is spoiled depends only on the prompt, so runs can be compared.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BLOCK = re.compile(r"FUNCTION_CALL_START\n(?P<name>[^\n]+)\narguments: (?P<arguments>.*)\nFUNCTION_CALL_END")


def _escaped(name: str, arguments: str) -> str:
    return _block(name, arguments).replace("_CALL_", r"\_CALL\_")


def _without_brace(name: str, arguments: str) -> str:
    return _block(name, arguments[:-1])


def _tagged(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n</tool_call>'


def _in_fence(name: str, arguments: str) -> str:
    return f"```json\n{_object(name, arguments)}\n```"


def _wrapped(name: str, arguments: str) -> str:
    return _block(name, f'{{"arguments": {arguments}}}')


def _begin(name: str, arguments: str) -> str:
    return _block(name, arguments).replace("_START", "_BEGIN")


def _trailing_comma(name: str, arguments: str) -> str:
    return _block(name, f"{arguments[:-1]},}}" if len(arguments) > 2 else arguments)


def _announced(name: str, _: str) -> str:
    return f"Vou usar {name} agora."


def _object(name: str, arguments: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _block(name: str, arguments: str) -> str:
    return f"FUNCTION_CALL_START\n{name}\narguments: {arguments}\nFUNCTION_CALL_END"


REPLY_SLIP_SHARE = 0.2  # of the slips in a reply with calls
CALL_SLIPS = (
    _escaped,
    _without_brace,
    _tagged,
    _in_fence,
    _wrapped,
    _begin,
    _trailing_comma,
    _announced,
)
REPLY_SLIPS: Sequence[Callable[[str], str]] = (
    lambda text: f"[assistant]\n{text}",
    lambda text: f"{text}</s>",
    lambda text: f"{text}\n[user]\nobrigado",
)
JSON_SLIPS: Sequence[Callable[[str], str]] = (
    lambda text: f"Claro! Aqui está:\n```json\n{text}\n```\nPosso ajudar em algo mais?",
    lambda text: f"{text[:-1]},}}",
    lambda text: f"<think>\n{{…}}?\n</think>\n{text}",
    lambda text: text[:-1],
)


def slip(reply: str, prompt: str, rate: float) -> str:
    """Return a reply, spoiled with the probability `rate`, from 0 to 1."""
    random = Random(prompt)  # noqa: S311  it protects nothing
    if random.random() >= rate:
        return reply
    if reply.startswith("{") and reply.endswith("}"):
        return random.choice(JSON_SLIPS)(reply)
    if not BLOCK.search(reply) or random.random() < REPLY_SLIP_SHARE:
        return random.choice(REPLY_SLIPS)(reply)
    spoil = random.choice(CALL_SLIPS)
    return BLOCK.sub(lambda found: spoil(found["name"], found["arguments"]), reply)
