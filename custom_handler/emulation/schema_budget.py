"""Bounds the work that a client's JSON Schema can cause.

A check runs on the proxy's event loop, so it must end soon whatever the schema says: a chain of definitions that each
apply the next one twice doubles the work with each link. jsonschema has no limit of its own, and a thread would not help,
because it would hold the interpreter. So each keyword that is applied spends from a budget, in steps of about ten
microseconds at most; comparisons that are not linear (`enum`, `const`, `uniqueItems`) are done by hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import jsonschema
import regex

MAX_STEPS = 8_000
MAX_DEPTH = 90  # of keywords within each other: deeper, the interpreter's own limit would come first
MAX_PATTERN_CHARACTERS = 1_000
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
MAX_PATTERN_SECONDS = 0.1  # of all patterns together: `regex` holds the interpreter while it searches

_Errors: TypeAlias = Iterator[jsonschema.ValidationError]
_Check: TypeAlias = Callable[[Any, Any, Any, Any], _Errors]

_PARTS_A_STEP = 10  # of a list or an object that a keyword walks
_NAMED_PARTS_A_STEP = 2  # of a schema that is searched for names
_IDS = ("$id", "id")
_CHARACTERS_A_STEP = 1_000  # of a value that an error message repeats


class BudgetExceeded(Exception):
    """The check was given up: nothing is known about the value."""


class Allowance:
    """What the checks of a process may take together, so that many at the same time do not add up.

    It holds MAX_STEPS and refills within a second. While it is used up a check gets a share of its own steps, which is
    enough for a plain schema. `clock` returns seconds.
    """

    SHARE = 0.08
    STEPS_A_SECOND = MAX_STEPS

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._at = clock()

    def share(self) -> float:
        """Return the share of its steps that a check may take now: 1, or SHARE."""
        now = self._clock()
        self._spent = max(0.0, self._spent - (now - self._at) * self.STEPS_A_SECOND)
        self._at = now
        return 1.0 if self._spent < MAX_STEPS / 2 else self.SHARE

    def record(self, budget: Budget) -> None:
        """Count what a check has used of its budget."""
        pattern_steps = (budget.granted_seconds - budget.seconds) / MAX_PATTERN_SECONDS * MAX_STEPS
        used = budget.granted - max(budget.steps, 0) + max(pattern_steps, 0)
        self._spent = min(MAX_STEPS, self._spent + used)


class Budget:
    """The steps that one check may still take; `root` is the schema, and `share` how much of `steps` it may take."""

    def __init__(self, root: Any, steps: int = MAX_STEPS, share: float = 1.0) -> None:
        self.granted = self.steps = round(steps * share)
        self.granted_seconds = self.seconds = MAX_PATTERN_SECONDS * share
        self.parts = count_parts(root, steps * _PARTS_A_STEP)
        self.has_ids = has_ids(root, steps * _PARTS_A_STEP)
        self.depth = 0
        self._sets: dict[int, frozenset[Any]] = {}

    def spend(self, steps: int) -> None:
        """Take steps from the budget; raises BudgetExceeded when there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise BudgetExceeded

    def key(self, value: Any) -> Any:
        """Return a hashable form of a JSON value: equal for values that JSON Schema calls equal, such as 1 and 1.0."""
        self.spend(1)
        if isinstance(value, dict):
            return "object", frozenset((name, self.key(item)) for name, item in value.items())
        if isinstance(value, list):
            return "array", tuple(map(self.key, value))
        return (type(value) is bool, value)

    def keys(self, values: list[Any]) -> frozenset[Any]:
        """Return the forms of a schema's list of values, which are computed once a check."""
        if id(values) not in self._sets:
            self._sets[id(values)] = frozenset(map(self.key, values))
        return self._sets[id(values)]

    def search(self, pattern: str, text: str) -> bool:
        """Search a pattern; raises BudgetExceeded for one that is too long, or that takes too long."""
        self.spend(1 + len(text) // _CHARACTERS_A_STEP)
        if len(pattern) > MAX_PATTERN_CHARACTERS or self.seconds <= 0:
            raise BudgetExceeded
        began = time.perf_counter()
        try:
            return regex.search(pattern, text, timeout=self.seconds) is not None
        except TimeoutError:
            raise BudgetExceeded from None
        finally:
            self.seconds -= time.perf_counter() - began


def count_parts(value: Any, most: int) -> int:
    """Count the members of a JSON value at any depth, up to `most`."""
    count, level = 1, [value]
    while level and count < most:
        level = [item for part in level for item in _members(part)]
        count += len(level)
    return min(count, most)


def has_ids(root: Any, most: int) -> bool:
    """Say whether a part of a schema has a name of its own, among the first `most` parts; with more, it counts as if."""
    count, level = 0, list(_members(root))
    while level and count < most:
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
    """Return a validator class like `kind` whose keywords spend from the budget, but for those that are left `unchecked`."""
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
    made: Any = jsonschema.validators.extend(kind, checks)  # type: ignore[no-untyped-call]
    # jsonschema's own method would take another class, without the budget, for a part of the schema that has a "$schema".
    made.evolve = attrs.evolve
    return made


def _counted(check: _Check, budget: Budget, *, refers: bool = False) -> _Check:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> _Errors:
        budget.spend(1 + (_size(value) + _size(instance)) // _PARTS_A_STEP)
        if refers:
            budget.spend(_reference_steps(value, budget))
        if budget.depth == MAX_DEPTH:
            raise BudgetExceeded
        budget.depth += 1
        try:
            for error in check(validator, value, instance, schema) or ():
                budget.spend(1 + len(error.message) // _CHARACTERS_A_STEP)
                yield error
        finally:
            budget.depth -= 1

    return counted


def _size(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _reference_steps(value: Any, budget: Budget) -> int:
    """Return the steps for a `$ref` by name, or from within a part that has a name: the whole schema is searched for names."""
    if not isinstance(value, str) or value == "#":
        return 0
    return budget.parts // _NAMED_PARTS_A_STEP if budget.has_ids or not value.startswith("#/") else 0


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
