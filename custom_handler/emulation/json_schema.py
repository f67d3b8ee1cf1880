"""JSON Schemas, and values checked against them: no reference is fetched from anywhere, and no check takes forever.

Imported when a schema has come: `jsonschema` takes longer to import than all the rest of the package.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

import jsonschema
import regex
from referencing import Registry

from .schema_budget import MAX_PATTERN_CHARACTERS, Budget, BudgetExceeded, bounded

MAX_SCHEMA_CHARACTERS = 200_000

logger = logging.getLogger(__name__)

_FAULT_CHARACTERS = 1_000
# A metaschema costs more steps for each part of a schema than the schema itself for a value. It is applied once a schema.
_SCHEMA_STEPS = 10_000
# What jsonschema does for these keywords cannot be counted where the schema has one of the words: it follows references, or
# matches patterns without a limit of time.
_UNCOUNTABLE = {
    "additionalProperties": ("patternProperties",),
    "unevaluatedItems": ("$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas"),
    "unevaluatedProperties": ("$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas", "patternProperties"),
}


def _is_pattern(pattern: object) -> bool:
    # JSON Schema's patterns are ECMAScript's: `regex` knows what `re` does not, such as \p{L}.
    return not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARACTERS or bool(regex.compile(pattern))


_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("regex", raises=regex.error)(_is_pattern)


@functools.lru_cache(maxsize=128)  # a client sends the same schema with every request
def schema_fault(schema: str) -> str:
    """Say why a schema is none, or nothing; raises RecursionError for one that is nested too deep.

    A schema whose check would take too long is not checked: nothing is said about it.
    """
    if len(schema) > MAX_SCHEMA_CHARACTERS:
        return f"it has more than {MAX_SCHEMA_CHARACTERS} characters"
    try:
        loaded = json.loads(schema)
        kind: Any = jsonschema.validators.validator_for(loaded, default=jsonschema.Draft202012Validator)
        if not isinstance(loaded, dict | bool):
            return "it is neither an object nor a boolean"
        meta = bounded(kind, Budget(kind.META_SCHEMA, _SCHEMA_STEPS))
        checker = meta(kind.META_SCHEMA, format_checker=_FORMATS)
        error = jsonschema.exceptions.best_match(checker.iter_errors(loaded))
        return "" if error is None else error.message[:_FAULT_CHARACTERS]
    except BudgetExceeded:
        logger.info("A JSON Schema of %d characters is too large to be checked", len(schema))
        return ""
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  whatever a keyword of a wrong type makes of the validator
        return "it cannot be read"


def value_fault(value: Any, schema: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, or nothing.

    What cannot be checked is no fault of the value: a `$ref` that leads nowhere or far away, a pattern that takes too long, a
    schema whose check would take more steps than its budget has.
    """
    try:
        error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(value))
    except BudgetExceeded:
        logger.warning("A JSON answer is not checked: its schema needs more steps than one check may take")
        return ""
    except Exception:  # noqa: BLE001  see above
        return ""
    return "" if error is None else f"{error.json_path}: {error.message}"[:_FAULT_CHARACTERS]


def _validator(schema: Mapping[str, Any]) -> Any:
    """Return a validator that fetches no reference from anywhere, and keeps within a budget."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise BudgetExceeded
    unchecked = [name for name, words in _UNCOUNTABLE.items() if any(f'"{word}"' in text for word in words)]
    return bounded(kind, Budget(schema), unchecked)(schema, registry=Registry())
