"""JSON Schemas, and values checked against them: no reference is fetched from anywhere, and no check takes forever.

Imported when a schema has come: `jsonschema` takes longer to import than all the rest of the package.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import regex
from referencing import Registry

from .schema_budget import MAX_PATTERN_CHARACTERS, MAX_STEPS, REFERENCES, Allowance, Budget, BudgetExceeded, bounded

logger = logging.getLogger(__name__)

allowance = Allowance()

_FAULT_CHARACTERS = 1_000
# A metaschema costs more steps for each part of a schema than the schema itself for a value. It is applied once a schema.
_SCHEMA_STEPS = 10_000
# What jsonschema does for these keywords cannot be counted where a schema has one of the others: it follows references, or
# matches patterns without a limit of time.
_UNCOUNTABLE = {
    "unevaluatedItems": frozenset({"$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas"}),
    "unevaluatedProperties": frozenset(
        {"$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas", "patternProperties"}
    ),
}
_SCHEMAS_BY_NAME = ("dependentSchemas", "patternProperties")
_DATA = ("enum", "examples")  # lists of values, which are no schemas unless a reference leads there
_MOST_PARTS = 100_000  # more than any schema that is checked


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
    try:
        loaded = json.loads(schema)
        kind: Any = jsonschema.validators.validator_for(loaded, default=jsonschema.Draft202012Validator)
        if not isinstance(loaded, dict | bool):
            return "it is neither an object nor a boolean"
        with _budget(kind.META_SCHEMA, _SCHEMA_STEPS) as budget:
            checker = bounded(kind, budget)(kind.META_SCHEMA, format_checker=_FORMATS)
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
        with _budget(schema) as budget:
            error = jsonschema.exceptions.best_match(_validator(schema, budget).iter_errors(value))
    except BudgetExceeded:
        logger.warning("A JSON answer is not checked: its schema needs more steps than one check may take")
        return ""
    except Exception as error:  # noqa: BLE001  see above
        logger.warning("A JSON answer is not checked: its schema cannot be applied (%s)", type(error).__name__)
        return ""
    return "" if error is None else f"{error.json_path}: {error.message}"[:_FAULT_CHARACTERS]


@contextlib.contextmanager
def _budget(root: Any, steps: int = MAX_STEPS) -> Iterator[Budget]:
    """Give a check its budget, and count what it has used for the checks of all callers."""
    budget = Budget(root, steps, allowance.share())
    try:
        yield budget
    finally:
        allowance.record(budget)


def _validator(schema: Mapping[str, Any], budget: Budget) -> Any:
    """Return a validator that fetches no reference from anywhere, and keeps within its budget."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    used = _keywords(schema)
    unchecked = [name for name, words in _UNCOUNTABLE.items() if not words.isdisjoint(used)]
    return bounded(kind, budget, unchecked)(schema, registry=Registry())


def _keywords(schema: Mapping[str, Any]) -> set[str]:
    """Return which of the keywords of _UNCOUNTABLE a schema has; raises BudgetExceeded for one of too many parts."""
    found, in_data, reachable = set[str](), set[str](), False
    parts: list[tuple[Any, bool]] = [(schema, False)]
    for part, is_data in parts:  # which grows meanwhile
        for name, member in part.items() if isinstance(part, Mapping) else (("", item) for item in part):
            # A property may have the name of a keyword, but the value of a keyword is of another type.
            if name in REFERENCES and isinstance(member, str):
                reachable |= any(word in member for word in ("%", *_DATA))  # an escape may spell the same word
                (in_data if is_data else found).add(name)
            elif name in _SCHEMAS_BY_NAME and isinstance(member, Mapping):
                (in_data if is_data else found).add(name)
            if isinstance(member, Mapping | list):
                parts.append((member, is_data or (name in _DATA and isinstance(member, list))))
        if len(parts) > _MOST_PARTS:
            raise BudgetExceeded
    return found | in_data if reachable else found
