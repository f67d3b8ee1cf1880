"""JSON answers (`response_format`): the prompt's instruction, and the validation of the answer."""

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
    """The answer is not the requested JSON; the message is the reason, for the repair prompt."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The requested JSON: valid against `schema`, or any object if that is empty.

    Raises RequestError for an invalid schema. A schema of more than MAX_SCHEMA_CHARACTERS is sent
    to the agent, but neither it nor an answer is validated.

    >>> JsonFormat({}).read('Here it is: {"city": "Recife",}')
    '{"city":"Recife"}'
    """

    schema: Mapping[str, Any]
    _text: str = field(init=False, repr=False, compare=False)  # the schema as JSON

    def __post_init__(self) -> None:
        text, error = _read_schema(self.schema)
        if error:
            where = "response_format.json_schema.schema"
            raise RequestError(f"{where} is no JSON Schema: {error}.", param=where)
        object.__setattr__(self, "_text", text)

    def instruction(self) -> str:
        """Return the prompt's instruction."""
        asked = "Reply with one JSON object and nothing else: no prose, no code fence."
        if not self.schema:
            return asked
        return f"{asked} It has to be valid against this JSON Schema:\n{self._text}"

    def read(self, text: str) -> str:
        """Return the JSON in an answer's text, made strict; raises InvalidJsonAnswer."""
        for body in _candidates(text.strip().removeprefix("\ufeff")):
            try:
                value, strict = _parsed(body)
            except (LenientJsonError, ValueError, RecursionError):
                continue
            if error := self._error(value):
                raise InvalidJsonAnswer(error)
            return strict
        raise InvalidJsonAnswer("it is not one JSON object")

    def _error(self, value: object) -> str:
        if not self.schema:
            return "" if isinstance(value, dict) else "it is JSON, but not an object"
        if len(self._text) > MAX_SCHEMA_CHARACTERS:
            return ""
        from .json_schema import value_error  # noqa: PLC0415  see there

        return value_error(value, self.schema)


def compact(value: object) -> str:
    """Return JSON without optional white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read_schema(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return a schema as JSON, and why it is invalid, or an empty string."""
    if not schema:
        return "", ""
    from .json_schema import schema_error  # noqa: PLC0415  see there

    try:
        text = compact(schema)
        if len(text) <= MAX_SCHEMA_CHARACTERS:
            return text, schema_error(text)
    except RecursionError:
        return "", "it is nested too deep"
    logger.warning(
        "A JSON Schema of %d characters and the answer are not checked: it has more than %d characters",
        len(text),
        MAX_SCHEMA_CHARACTERS,
    )
    return text, ""


def _candidates(text: str) -> Iterator[str]:
    """Yield what may be the JSON: all of the text, its code fence, or its outer braces."""
    if (thought := _THOUGHT.match(text)) is not None:
        text = text[thought.end() :].strip()
    yield text
    if (fenced := _FENCED.search(text)) is not None:
        yield fenced[1].strip()
    if 0 <= (start := text.find("{")) < (end := text.rfind("}")):
        yield text[start : end + 1]


def _parsed(body: str) -> tuple[Any, str]:
    """Parse JSON as models write it; return the value and strict JSON (`body` if strict)."""
    try:
        return json.loads(body, parse_constant=_reject), body
    except ValueError:
        from .tool_calls.syntax import strict_arguments  # noqa: PLC0415  as in `answer`

        strict = strict_arguments(body or "?", ())
        return json.loads(strict), strict


def _reject(constant: str) -> None:
    raise ValueError(constant)
