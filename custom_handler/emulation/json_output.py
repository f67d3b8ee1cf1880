"""JSON answers (`response_format`): what the prompt says about them, and the check of what came."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import regex

from ..errors import RequestError
from .lenient_json import LenientJsonError

MAX_SCHEMA_CHARACTERS = 200_000

logger = logging.getLogger(__name__)

_THOUGHT = regex.compile(r"\s*+<think(?:ing)?>.*?</think(?:ing)?>", regex.DOTALL | regex.IGNORECASE)
_FENCED = regex.compile(r"```\w*+[ \t]*+\r?+\n(.*?)```", regex.DOTALL)


class InvalidJsonAnswer(ValueError):
    """An answer is not the JSON that was asked for; the message says why, for the agent to mend it."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The JSON that a caller wants: valid against `schema`, or any object where that is empty.

    Raises RequestError for a schema that is none. One of more than MAX_SCHEMA_CHARACTERS is sent to the agent, but not checked,
    and no answer is checked against it.
    """

    schema: Mapping[str, Any]
    _text: str = field(init=False, repr=False, compare=False)  # the schema as JSON, which is written once

    def __post_init__(self) -> None:
        text, fault = _read_schema(self.schema)
        if fault:
            where = "response_format.json_schema.schema"
            raise RequestError(f"{where} is no JSON Schema: {fault}.", param=where)
        object.__setattr__(self, "_text", text)

    def instruction(self) -> str:
        """Return what the prompt says about it."""
        asked = "Reply with one JSON object and nothing else: no prose, no code fence."
        if not self.schema:
            return asked
        return f"{asked} It has to be valid against this JSON Schema:\n{self._text}"

    def read(self, text: str) -> str:
        """Return the JSON of an answer, out of its fence and strict; raises InvalidJsonAnswer."""
        for body in _bodies(text.strip().removeprefix("\ufeff")):
            try:
                value, strict = _parsed(body)
            except (LenientJsonError, ValueError, RecursionError):
                continue
            if fault := self._fault(value):
                raise InvalidJsonAnswer(fault)
            return strict
        raise InvalidJsonAnswer("it is not one JSON object")

    def _fault(self, value: object) -> str:
        if not self.schema:
            return "" if isinstance(value, dict) else "it is JSON, but not an object"
        if len(self._text) > MAX_SCHEMA_CHARACTERS:
            return ""
        from .json_schema import value_fault  # noqa: PLC0415  see there

        return value_fault(value, self.schema)


def compact(schema: Mapping[str, Any]) -> str:
    """Return a schema as JSON without blanks."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _read_schema(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return a schema as JSON, and what is wrong with it, or nothing."""
    if not schema:
        return "", ""
    from .json_schema import schema_fault  # noqa: PLC0415  see there

    try:
        text = compact(schema)
        if len(text) <= MAX_SCHEMA_CHARACTERS:
            return text, schema_fault(text)
    except RecursionError:
        return "", "it is nested too deep"
    logger.warning(
        "A JSON Schema of %d characters and the answer are not checked: it has more than %d characters",
        len(text),
        MAX_SCHEMA_CHARACTERS,
    )
    return text, ""


def _bodies(text: str) -> Iterator[str]:
    """Yield what of the answer may be the JSON: all of it, what is in its fence, what is between the outer braces."""
    if (thought := _THOUGHT.match(text)) is not None:
        text = text[thought.end() :].strip()
    yield text
    if (fenced := _FENCED.search(text)) is not None:
        yield fenced[1].strip()
    if 0 <= (start := text.find("{")) < (end := text.rfind("}")):
        yield text[start : end + 1]


def _parsed(body: str) -> tuple[Any, str]:
    """Parse JSON as models write it; returns the value and strict JSON, which is the body itself if that is strict."""
    try:
        return json.loads(body, parse_constant=_refuse), body
    except ValueError:
        from .tool_calls.syntax import strict_arguments  # noqa: PLC0415  as in `answer`

        strict = strict_arguments(body or "?", ())
        return json.loads(strict), strict


def _refuse(constant: str) -> None:
    raise ValueError(constant)
