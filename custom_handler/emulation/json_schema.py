"""Validates JSON Schemas, and values against them, within a budget and without network access.

It is imported with the first schema: `jsonschema` takes longer to import than the whole package.
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

_ERROR_CHARACTERS = 1_000
# A metaschema needs more steps than a schema does for a value, but it is applied once a schema.
_SCHEMA_STEPS = 10_000
# These keywords are not checked beside the listed ones, because the steps cannot be counted:
# jsonschema follows references, or searches patterns without a time limit.
_UNCOUNTABLE = {
    "unevaluatedItems": frozenset({"$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas"}),
    "unevaluatedProperties": frozenset(
        {"$ref", "$dynamicRef", "$recursiveRef", "dependentSchemas", "patternProperties"}
    ),
}
_SCHEMAS_BY_NAME = ("dependentSchemas", "patternProperties")
_DATA = ("enum", "examples")  # lists of values, which are schemas only as targets of a reference
_MAX_PARTS = 100_000  # more than any schema within the size limit


def _is_pattern(pattern: object) -> bool:
    # The patterns are ECMAScript's: `regex` supports more of it than `re`, such as \p{L}.
    return not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARACTERS or bool(regex.compile(pattern))


_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("regex", raises=regex.error)(_is_pattern)


@functools.lru_cache(maxsize=128)  # a client sends the same schema with every request
def schema_error(schema: str) -> str:
    """Return why a schema is invalid, else an empty string, also beyond the budget.

    Raises RecursionError if it is nested too deep.
    """
    try:
        loaded = json.loads(schema)
        kind: Any = jsonschema.validators.validator_for(loaded, default=jsonschema.Draft202012Validator)
        if not isinstance(loaded, dict | bool):
            return "it is neither an object nor a boolean"
        with _budget(kind.META_SCHEMA, _SCHEMA_STEPS) as budget:
            checker = bounded(kind, budget)(kind.META_SCHEMA, format_checker=_FORMATS)
            error = jsonschema.exceptions.best_match(checker.iter_errors(loaded))
        return "" if error is None else error.message[:_ERROR_CHARACTERS]
    except BudgetExceeded:
        logger.info("A JSON Schema of %d characters is too large to be checked", len(schema))
        return ""
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001  a keyword of a wrong type makes the validator raise anything
        return "it cannot be read"


def value_error(value: Any, schema: Mapping[str, Any]) -> str:
    """Return why a value is invalid, else an empty string.

    A value counts as valid if the schema cannot be applied: a `$ref` without a local target, a
    pattern that takes too long, or more steps than the budget has.
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
    return "" if error is None else f"{error.json_path}: {error.message}"[:_ERROR_CHARACTERS]


@contextlib.contextmanager
def _budget(root: Any, steps: int = MAX_STEPS) -> Iterator[Budget]:
    """Provide the budget of one validation, and charge its use to the process's allowance."""
    budget = Budget(root, steps, allowance.share())
    try:
        yield budget
    finally:
        allowance.record(budget)


def _validator(schema: Mapping[str, Any], budget: Budget) -> Any:
    """Return a validator that fetches no reference and raises BudgetExceeded."""
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    used = _keywords(schema)
    unchecked = [name for name, words in _UNCOUNTABLE.items() if not words.isdisjoint(used)]
    return bounded(kind, budget, unchecked)(schema, registry=Registry())


def _keywords(schema: Mapping[str, Any]) -> set[str]:
    """Return the keywords of _UNCOUNTABLE in a schema; raises BudgetExceeded above _MAX_PARTS."""
    found, in_data, reachable = set[str](), set[str](), False
    parts: list[tuple[Any, bool]] = [(schema, False)]
    for part, is_data in parts:  # the loop appends to it
        for name, member in part.items() if isinstance(part, Mapping) else (("", item) for item in part):
            # A property can have a keyword's name, but not a value of the keyword's type.
            if name in REFERENCES and isinstance(member, str):
                reachable |= any(word in member for word in ("%", *_DATA))  # an escape can spell it, too
                (in_data if is_data else found).add(name)
            elif name in _SCHEMAS_BY_NAME and isinstance(member, Mapping):
                (in_data if is_data else found).add(name)
            if isinstance(member, Mapping | list):
                parts.append((member, is_data or (name in _DATA and isinstance(member, list))))
        if len(parts) > _MAX_PARTS:
            raise BudgetExceeded
    return found | in_data if reachable else found
