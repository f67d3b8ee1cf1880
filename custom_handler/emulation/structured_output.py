"""JSON answers (`response_format`): what the prompt says about them, and the check of what came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import regex
from jsonschema.protocols import Validator
from referencing import Registry

from ..errors import RequestError
from .lenient_json import JsonFault
from .tool_syntax import strict_arguments

_FENCED = regex.compile(r"```\w*+[ \t]*+\r?+\n(.*?)\r?\n?[ \t]*+```", regex.DOTALL)
_PATTERN_SECONDS = 1.0


class InvalidAnswer(ValueError):
    """An answer is not the JSON that was asked for; the message says why, for the agent to mend it."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The JSON that a caller wants: valid against `schema`, or any object where that is empty.

    Raises RequestError for a schema that is none.
    """

    schema: Mapping[str, Any]

    def __post_init__(self) -> None:
        try:
            _validator(self.schema).check_schema(dict(self.schema))
        except (jsonschema.SchemaError, RecursionError) as error:
            where = "response_format.json_schema.schema"
            reason = getattr(error, "message", "it is nested too deep")
            raise RequestError(f"{where} is no JSON Schema: {reason}.", param=where) from None

    def instruction(self) -> str:
        """Return what the prompt says about it."""
        asked = "Reply with one JSON object and nothing else: no prose, no code fence."
        if not self.schema:
            return asked
        compact = json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))
        return f"{asked} It has to be valid against this JSON Schema:\n{compact}"

    def read(self, text: str) -> str:
        """Return the JSON of an answer, out of its fence and strict; raises InvalidAnswer."""
        fault = "it is not one JSON object"
        for body in _bodies(text.strip().removeprefix("\ufeff")):
            try:
                value, strict = _parsed(body)
            except (JsonFault, ValueError, RecursionError):
                continue
            if (fault := self._fault(value)) == "":
                return strict
        raise InvalidAnswer(fault)

    def _fault(self, value: Any) -> str:
        if not self.schema:
            return "" if isinstance(value, dict) else "it is JSON, but not an object"
        try:
            error = jsonschema.exceptions.best_match(_validator(self.schema).iter_errors(value))
        except Exception:  # noqa: BLE001  a $ref that leads nowhere, a pattern that takes forever: the schema's own fault
            return "its schema cannot be checked"
        return "" if error is None else f"{error.json_path}: {error.message}"


def _bodies(text: str) -> Iterator[str]:
    """Yield what of the answer may be the JSON: all of it, what is in its fence, what is between the outer braces."""
    yield text
    if (fenced := _FENCED.search(text)) is not None:
        yield fenced[1]
    if 0 <= (start := text.find("{")) < (end := text.rfind("}")):
        yield text[start : end + 1]


def _parsed(body: str) -> tuple[Any, str]:
    """Parse JSON as models write it; returns the value and strict JSON, which is the body itself if that is strict."""
    try:
        return json.loads(body, parse_constant=_refuse), body
    except ValueError:
        strict = strict_arguments(body or "?", ())
        return json.loads(strict), strict


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator that fetches no reference from anywhere, and gives a slow pattern up."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    patient: Any = jsonschema.validators.extend(kind, {"pattern": _match_pattern})  # type: ignore[no-untyped-call]
    made: Validator = patient(schema, registry=Registry())
    return made


def _match_pattern(_: Validator, pattern: str, value: object, __: object) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and regex.search(pattern, value, timeout=_PATTERN_SECONDS) is None:
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")
