"""JSON answers (`response_format`): what the prompt says about them, and the check of what came."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jsonschema
import regex
from jsonschema.protocols import Validator
from referencing import Registry

from ..errors import RequestError
from .lenient_json import JsonFault
from .tool_syntax import strict_arguments

_THOUGHT = regex.compile(r"\s*+<think(?:ing)?>.*?</think(?:ing)?>", regex.DOTALL | regex.IGNORECASE)
_FENCED = regex.compile(r"```\w*+[ \t]*+\r?+\n(.*?)```", regex.DOTALL)
_PATTERN_SECONDS = 0.2
_FAULT_CHARACTERS = 1_000

# JSON Schema's patterns are ECMAScript's: `regex` knows what `re` does not, such as \p{L}.
_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("regex", raises=regex.error)(lambda pattern: regex.compile(pattern) is not None)

_Errors: TypeAlias = Iterator[jsonschema.ValidationError]


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
            fault = _schema_fault(_compact(self.schema))
        except RecursionError:
            fault = "it is nested too deep"
        if fault:
            where = "response_format.json_schema.schema"
            raise RequestError(f"{where} is no JSON Schema: {fault}.", param=where)

    def instruction(self) -> str:
        """Return what the prompt says about it."""
        asked = "Reply with one JSON object and nothing else: no prose, no code fence."
        if not self.schema:
            return asked
        return f"{asked} It has to be valid against this JSON Schema:\n{_compact(self.schema)}"

    def read(self, text: str) -> str:
        """Return the JSON of an answer, out of its fence and strict; raises InvalidAnswer."""
        for body in _bodies(text.strip().removeprefix("\ufeff")):
            try:
                value, strict = _parsed(body)
            except (JsonFault, ValueError, RecursionError):
                continue
            if fault := self._fault(value):
                raise InvalidAnswer(fault[:_FAULT_CHARACTERS])
            return strict
        raise InvalidAnswer("it is not one JSON object")

    def _fault(self, value: Any) -> str:
        """Say what is wrong with an answer; what cannot be checked, the schema's own fault, is nothing to mend."""
        if not self.schema:
            return "" if isinstance(value, dict) else "it is JSON, but not an object"
        try:
            error = jsonschema.exceptions.best_match(_validator(self.schema).iter_errors(value))
        except Exception:  # noqa: BLE001  a $ref that leads nowhere or far away, a pattern that takes forever
            return ""
        return "" if error is None else f"{error.json_path}: {error.message}"


def _compact(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


@functools.lru_cache(maxsize=128)  # a client sends the same schema with every request
def _schema_fault(compact: str) -> str:
    """Say why a schema is none, or nothing."""
    try:
        schema = json.loads(compact)
        kind: Any = type(_validator(schema))
        kind.check_schema(schema, format_checker=_FORMATS)
    except jsonschema.SchemaError as error:
        return error.message[:_FAULT_CHARACTERS]
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  whatever a keyword of a wrong type makes of the validator
        return "it cannot be read"
    return ""


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
        strict = strict_arguments(body or "?", ())
        return json.loads(strict), strict


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator that fetches no reference from anywhere, and gives a slow pattern up."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    keywords = {"pattern": _check_pattern, "patternProperties": _check_pattern_properties}
    if '"patternProperties"' in _compact(schema):  # these would match its patterns without a limit of time
        keywords |= dict.fromkeys(("additionalProperties", "unevaluatedProperties"), _leave_unchecked)
    patient: Any = jsonschema.validators.extend(kind, keywords)  # type: ignore[no-untyped-call]
    made: Validator = patient(schema, registry=Registry())
    return made


def _matches(pattern: str, text: str) -> bool:
    return regex.search(pattern, text, timeout=_PATTERN_SECONDS) is not None


def _check_pattern(_: Validator, pattern: str, value: object, __: object) -> _Errors:
    if isinstance(value, str) and not _matches(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _check_pattern_properties(validator: Any, schemas: Mapping[str, Any], value: object, _: object) -> _Errors:
    for name, member in value.items() if isinstance(value, dict) else ():
        for pattern, schema in schemas.items():
            if _matches(pattern, name):
                yield from validator.descend(member, schema, path=name, schema_path=pattern)


def _leave_unchecked(*_: object) -> _Errors:
    yield from ()
