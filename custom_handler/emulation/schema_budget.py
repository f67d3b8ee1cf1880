"""Bounds the CPU time that a client's JSON Schema can use.

A validation runs on the proxy's event loop and must end soon for every schema: in a chain of
definitions that each apply the next one twice, the work doubles with each. jsonschema has no limit,
and a thread would hold the interpreter lock. So each applied keyword spends from a budget, in steps
of at most about ten microseconds, and the nonlinear comparisons of `enum`, `const` and
`uniqueItems` are done by hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import jsonschema
import regex

MAX_STEPS = 8_000
MAX_DEPTH = 90  # of nested keywords: below the interpreter's recursion limit
MAX_PATTERN_CHARACTERS = 1_000
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
MAX_PATTERN_SECONDS = 0.1  # of all patterns together: `regex` holds the interpreter lock

_Errors: TypeAlias = Iterator[jsonschema.ValidationError]
_Check: TypeAlias = Callable[[Any, Any, Any, Any], _Errors]

_PARTS_PER_STEP = 10  # of a list or object that a keyword iterates over
_ID_PARTS_PER_STEP = 2  # of a schema that is searched for ids
_IDS = ("$id", "id")
_CHARACTERS_PER_STEP = 1_000  # of a value that an error message repeats


class BudgetExceeded(Exception):
    """The validation stopped early: whether the value is valid is unknown."""


class Allowance:
    """The steps of all validations in a process, so that concurrent ones do not add up.

    It holds MAX_STEPS and refills within a second. While half of it is spent, a validation gets
    only the share SHARE of its steps, which is enough for a simple schema. `clock` is in seconds.
    """

    SHARE = 0.08
    STEPS_PER_SECOND = MAX_STEPS

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._at = clock()

    def share(self) -> float:
        """Return the share of its steps that a validation may use now: 1, or SHARE."""
        now = self._clock()
        self._spent = max(0.0, self._spent - (now - self._at) * self.STEPS_PER_SECOND)
        self._at = now
        return 1.0 if self._spent < MAX_STEPS / 2 else self.SHARE

    def record(self, budget: Budget) -> None:
        """Charge what a validation has used of its budget."""
        pattern_steps = (budget.granted_seconds - budget.seconds) / MAX_PATTERN_SECONDS * MAX_STEPS
        used = budget.granted - max(budget.steps, 0) + max(pattern_steps, 0)
        self._spent = min(MAX_STEPS, self._spent + used)


class Budget:
    """The steps left to one validation: initially `steps * share`; `root` is the schema."""

    def __init__(self, root: Any, steps: int = MAX_STEPS, share: float = 1.0) -> None:
        self.granted = self.steps = round(steps * share)
        self.granted_seconds = self.seconds = MAX_PATTERN_SECONDS * share
        self.parts = count_parts(root, steps * _PARTS_PER_STEP)
        self.has_ids = has_ids(root, steps * _PARTS_PER_STEP)
        self.depth = 0
        self._sets: dict[int, frozenset[Any]] = {}

    def spend(self, steps: int) -> None:
        """Use steps; raises BudgetExceeded if too few are left."""
        self.steps -= steps
        if self.steps < 0:
            raise BudgetExceeded

    def key(self, value: Any) -> Any:
        """Return a hashable form that is equal for equal JSON values, such as 1 and 1.0."""
        self.spend(1)
        if isinstance(value, dict):
            return "object", frozenset((name, self.key(item)) for name, item in value.items())
        if isinstance(value, list):
            return "array", tuple(map(self.key, value))
        return (type(value) is bool, value)

    def keys(self, values: list[Any]) -> frozenset[Any]:
        """Return the hashable forms of a list in the schema, cached for the validation."""
        if id(values) not in self._sets:
            self._sets[id(values)] = frozenset(map(self.key, values))
        return self._sets[id(values)]

    def search(self, pattern: str, text: str) -> bool:
        """Search a pattern; raises BudgetExceeded if it is too long or takes too long."""
        self.spend(1 + len(text) // _CHARACTERS_PER_STEP)
        if len(pattern) > MAX_PATTERN_CHARACTERS or self.seconds <= 0:
            raise BudgetExceeded
        started = time.perf_counter()
        try:
            return regex.search(pattern, text, timeout=self.seconds) is not None
        except TimeoutError:
            raise BudgetExceeded from None
        finally:
            self.seconds -= time.perf_counter() - started


def count_parts(value: Any, limit: int) -> int:
    """Count the parts of a JSON value at all depths, up to `limit`."""
    count, level = 1, [value]
    while level and count < limit:
        level = [item for part in level for item in _members(part)]
        count += len(level)
    return min(count, limit)


def has_ids(root: Any, limit: int) -> bool:
    """Return whether a part of a schema has an id; with more than `limit` parts, assume so."""
    count, level = 0, list(_members(root))
    while level and count < limit:
        if any(isinstance(part, Mapping) and any(isinstance(part.get(name), str) for name in _IDS) for part in level):
            return True
        count += len(level)
        level = [item for part in level for item in _members(part)]
    return bool(level)


def _members(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def bounded(kind: Any, budget: Budget, unchecked: Iterable[str] = ()) -> Any:
    """Return `kind` with keywords that spend from the budget, and without the `unchecked` ones."""
    checks = {name: _counted(check, budget, refers=name in REFERENCES) for name, check in kind.VALIDATORS.items()}
    own: dict[str, _Check] = {
        "enum": _enum(budget),
        "const": _const(budget),
        "uniqueItems": _unique_items(budget),
        "pattern": _pattern(budget),
        "patternProperties": _pattern_properties(budget),
        "additionalProperties": _additional_properties(budget),
    }
    checks |= {name: _counted(check, budget) for name, check in own.items() if name in checks}
    checks |= {name: _unchecked for name in unchecked if name in checks}
    bounded_kind: Any = jsonschema.validators.extend(kind, checks)  # type: ignore[no-untyped-call]
    # For a part with "$schema", jsonschema's own method would use a class without the budget.
    bounded_kind.evolve = attrs.evolve
    return bounded_kind


def _counted(check: _Check, budget: Budget, *, refers: bool = False) -> _Check:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> _Errors:
        budget.spend(1 + (_size(value) + _size(instance)) // _PARTS_PER_STEP)
        if refers:
            budget.spend(_reference_steps(value, budget))
        if budget.depth == MAX_DEPTH:
            raise BudgetExceeded
        budget.depth += 1
        try:
            for error in check(validator, value, instance, schema) or ():
                budget.spend(1 + len(error.message) // _CHARACTERS_PER_STEP)
                yield error
        finally:
            budget.depth -= 1

    return counted


def _size(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _reference_steps(value: Any, budget: Budget) -> int:
    """Return the steps of a `$ref` for which jsonschema searches the whole schema for ids."""
    if not isinstance(value, str) or value == "#":
        return 0
    return budget.parts // _ID_PARTS_PER_STEP if budget.has_ids or not value.startswith("#/") else 0


def _enum(budget: Budget) -> _Check:
    def check(_: Any, values: Any, instance: Any, __: Any) -> _Errors:
        if isinstance(values, list) and budget.key(instance) not in budget.keys(values):
            yield jsonschema.ValidationError(f"{_shown(instance)} is not one of the values of enum")

    return check


def _const(budget: Budget) -> _Check:
    def check(_: Any, value: Any, instance: Any, __: Any) -> _Errors:
        if budget.key(instance) != budget.key(value):
            yield jsonschema.ValidationError(f"{_shown(value)} was expected")

    return check


def _unique_items(budget: Budget) -> _Check:
    def check(_: Any, wanted: Any, instance: Any, __: Any) -> _Errors:
        if wanted and isinstance(instance, list) and len(set(map(budget.key, instance))) < len(instance):
            yield jsonschema.ValidationError("it has items that are not unique")

    return check


def _pattern(budget: Budget) -> _Check:
    def check(_: Any, pattern: Any, instance: Any, __: Any) -> _Errors:
        if isinstance(instance, str) and not budget.search(pattern, instance):
            yield jsonschema.ValidationError(f"{_shown(instance)} does not match {pattern!r}")

    return check


def _pattern_properties(budget: Budget) -> _Check:
    def check(validator: Any, schemas: Any, instance: Any, _: Any) -> _Errors:
        for name, member in instance.items() if isinstance(instance, dict) else ():
            for pattern, schema in schemas.items():
                if budget.search(pattern, name):
                    yield from validator.descend(member, schema, path=name, schema_path=pattern)

    return check


def _additional_properties(budget: Budget) -> _Check:
    def check(validator: Any, additional: Any, instance: Any, schema: Any) -> _Errors:
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        names = [name for name in instance if name not in known] if isinstance(instance, dict) else []
        extras = [name for name in names if not any(budget.search(pattern, name) for pattern in patterns)]
        if isinstance(additional, dict):
            for name in extras:
                yield from validator.descend(instance[name], additional, path=name)
        elif extras and not additional:
            yield jsonschema.ValidationError(f"Additional properties are unexpected: {_shown(sorted(extras))}")

    return check


def _unchecked(*_: object) -> _Errors:
    yield from ()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
