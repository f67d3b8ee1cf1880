"""JSON Schemas, and values held against them: no reference is fetched from anywhere, and no pattern takes forever.

Imported when a schema has come: `jsonschema` takes longer to import than all the rest of the package.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import jsonschema
import regex
from jsonschema.protocols import Validator
from referencing import Registry

_PATTERN_SECONDS = 0.2
_FAULT_CHARACTERS = 1_000

# JSON Schema's patterns are ECMAScript's: `regex` knows what `re` does not, such as \p{L}.
_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("regex", raises=regex.error)(lambda pattern: regex.compile(pattern) is not None)

_Errors: TypeAlias = Iterator[jsonschema.ValidationError]


@functools.lru_cache(maxsize=128)  # a client sends the same schema with every request
def schema_fault(schema: str) -> str:
    """Say why a schema is none, or nothing; raises RecursionError for one that is nested too deep."""
    try:
        loaded = json.loads(schema)
        kind: Any = type(_validator(loaded))
        kind.check_schema(loaded, format_checker=_FORMATS)
    except jsonschema.SchemaError as error:
        return error.message[:_FAULT_CHARACTERS]
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  whatever a keyword of a wrong type makes of the validator
        return "it cannot be read"
    return ""


def value_fault(value: Any, schema: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, or nothing; what cannot be checked, the schema's own fault, is no fault of the value."""
    try:
        error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(value))
    except Exception:  # noqa: BLE001  a $ref that leads nowhere or far away, a pattern that takes forever
        return ""
    return "" if error is None else f"{error.json_path}: {error.message}"[:_FAULT_CHARACTERS]


def _validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator that fetches no reference from anywhere, and gives a slow pattern up."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    keywords = {"pattern": _check_pattern, "patternProperties": _check_pattern_properties}
    if '"patternProperties"' in json.dumps(schema):  # these would match its patterns without a limit of time
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
