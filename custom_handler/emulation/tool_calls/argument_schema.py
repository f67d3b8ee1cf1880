"""Fits a call's arguments to what the schema of the tool decides; the schema is never guessed.

Agents add arguments of their platform, wrap the arguments once more, write a value with its type,
repeat the schema, spell the names of arguments their own way, and write lists and objects as
strings of JSON or Python. Each is undone only where the schema rules the written form out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import product
from typing import Any

from ..lenient_json import LenientJsonError
from ..prompt.tool_example import resolve_reference
from ..schema_types import allowed_types, branches, resolved
from . import python_syntax
from .json_members import items, members

# Agents with tools from the portal add these arguments (contract, section 8).
PLATFORM_ARGUMENTS = frozenset({"step_id", "tool_execution_id"})
NAME_KEYS = ("function_name", "tool_name", "name", "tool", "function", "nome")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "argumentos")
# What stands beside the values where an agent repeats the schema, or beside one value.
_SCHEMA_WORDS = frozenset({"type", "required", "additionalProperties", "description", "title", "$schema"})

_MAX_SUBSCHEMAS = 500  # of one question; a schema with more decides nothing
_MAX_DEPTH = 6
_UNKNOWN = frozenset({(False, True)})

_Edits = dict[str | int, Any]  # a member or an item to its new text, or to the edits within it


class ArgumentSchema:
    """The JSON Schema of a tool's arguments.

    >>> schema = ArgumentSchema({"properties": {"paths": {"type": "array"}}})
    >>> schema.allows("step_id"), schema.fit('{"arguments":{"paths":"[1.50]"}}')
    (False, '{"paths":[1.50]}')
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._subschemas = 0

    def allows(self, name: str) -> bool:
        """Return whether an argument may have this name.

        It may not if each alternative of the schema lists properties without it, and none sets
        `additionalProperties` to true or to a schema.
        """
        self._subschemas = 0
        return any(allowed or not listed for listed, allowed in self._alternatives(self._root, name))

    def dropped_arguments(self) -> frozenset[str]:
        """Return the platform's arguments that the schema does not allow."""
        return frozenset(name for name in PLATFORM_ARGUMENTS if not self.allows(name))

    def fit(self, arguments: str, names: Iterable[str] = ()) -> str:
        """Return compact strict JSON of an object without wrappers and without JSON in strings.

        `names` are the spellings of the tool's name that a wrapper may repeat.
        """
        try:
            arguments = self._unwrapped(arguments, frozenset(names))
            self._subschemas = 0
            arguments = self._declared_names(self._plain_values(arguments))
            self._subschemas = 0
            edits = dict(self._edits(self._root, json.loads(arguments), _MAX_DEPTH))
        except (ValueError, RecursionError):
            return arguments
        return _edited(arguments, edits) if edits else arguments

    def _unwrapped(self, arguments: str, names: frozenset[str]) -> str:
        """Return what the only member that is no argument contains, if that holds the arguments.

        Beside it may stand the tool's name, the platform's arguments, and words of a schema.
        """
        found = members(arguments)
        key = next((key for key in found if key in ARGUMENT_KEYS or isinstance(found[key][0], dict)), None)
        rest = found.keys() - {key}
        if key is None or self.allows(key) or not rest <= {*NAME_KEYS, *PLATFORM_ARGUMENTS, *_SCHEMA_WORDS}:
            return arguments
        if any(name in NAME_KEYS and (self.allows(name) or found[name][0] not in names) for name in rest):
            return arguments
        if any(name in _SCHEMA_WORDS and self.allows(name) for name in rest):
            return arguments
        value, text = found[key]
        if isinstance(value, str):
            value, text = json.loads(value), value
        if not isinstance(value, dict) or (key not in ARGUMENT_KEYS and not self._are_values(value)):
            return arguments
        from .syntax import strict_arguments  # noqa: PLC0415  it imports this module

        try:
            return strict_arguments(text, self.dropped_arguments())
        except LenientJsonError:
            return arguments

    def _are_values(self, value: Mapping[str, Any]) -> bool:
        """Return whether these are arguments, and no schemas of arguments without values."""
        self._subschemas = 0
        properties = self._properties(self._root)
        return bool(value) and all(
            key in properties and (not isinstance(part, dict) or "value" in part or self._takes_object(properties[key]))
            for key, part in value.items()
        )

    def _takes_object(self, schema: Any) -> bool:
        kinds = allowed_types(schema, self._root)
        return not kinds or "object" in kinds

    def _plain_values(self, arguments: str) -> str:
        """Return `{"a": {"type": "string", "value": "x"}}` as `{"a": "x"}`."""
        if '"value":' not in arguments:
            return arguments
        properties = self._properties(self._root)
        edits: _Edits = {
            key: members(text)["value"][1]
            for key, (value, text) in members(arguments).items()
            if isinstance(value, dict)
            and "value" in value
            and value.keys() <= {"value", "name", *_SCHEMA_WORDS}
            and not self._takes_object(properties.get(key))
        }
        return _edited(arguments, edits) if edits else arguments

    def _declared_names(self, arguments: str) -> str:
        """Return `{"filePath": …}` as `{"file_path": …}`, and `{"file\\_path": …}` likewise.

        Only a name that is not allowed changes, to the one declared name of the same letters and
        digits, if no other argument has it.
        """
        found = members(arguments)
        declared = self._properties(self._root)
        if found.keys() <= declared.keys():
            return arguments
        by_letters: dict[str, list[str]] = {}
        for name in (*declared, *(key for key in found if key not in declared)):
            by_letters.setdefault(_letters(name), []).append(name)
        names = {}
        for key in found.keys() - declared.keys():
            same = by_letters[_letters(key)]
            if len(same) == 2 and same[0] in declared and same[0] not in found and not self.allows(key):
                names[key] = same[0]
        return _object((names.get(key, key), text) for key, (_, text) in found.items()) if names else arguments

    def _edits(self, schema: Any, value: Any, depth: int) -> Iterator[tuple[str | int, Any]]:
        """Yield the parts of a value that are strings where the schema has lists or objects."""
        parts: Iterator[tuple[str | int, Any, Any]]
        if isinstance(value, dict):
            properties = self._properties(schema)
            parts = ((key, properties[key], part) for key, part in value.items() if key in properties)
        elif isinstance(value, list):
            item_schema = resolved(schema, self._root).get("items")
            parts = ((index, item_schema, part) for index, part in enumerate(value))
        else:
            return
        for key, part_schema, part in parts:
            if isinstance(part, str):
                if (text := self._decoded(part_schema, part)) is not None:
                    yield key, text
            elif depth and isinstance(part, dict | list) and (inner := dict(self._edits(part_schema, part, depth - 1))):
                yield key, inner

    def _decoded(self, schema: Any, text: str) -> str | None:
        """Return the list or object that a string contains, if the schema rules a string out."""
        kinds = allowed_types(schema, self._root) if text.lstrip()[:1] in {"[", "{"} else None
        if not kinds or "string" in kinds:
            return None
        try:
            value = json.loads(text, parse_constant=_reject)
        except (ValueError, RecursionError):
            return self._python_value(kinds, text)
        kind = "array" if isinstance(value, list) else "object"
        return text.strip() if kind in kinds else None

    @staticmethod
    def _python_value(kinds: Set[str], text: str) -> str | None:
        """Return a list or an object in Python's syntax as JSON."""
        try:
            value = python_syntax.arguments(text.strip(), "value")["value"]
            kind = "array" if isinstance(value, list) else "object"
            written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (KeyError, TypeError, ValueError, RecursionError, LenientJsonError):
            return None
        return written if kind in kinds and isinstance(value, list | dict) else None

    def _properties(self, schema: Any) -> dict[str, Any]:
        """Return the properties that each alternative of a schema has."""
        self._subschemas += 1
        schema = resolved(schema, self._root)
        if self._subschemas > _MAX_SUBSCHEMAS:
            return {}
        found: dict[str, Any] = {}
        for branch in branches(schema, "allOf"):
            found |= self._properties(branch)
        properties = schema.get("properties")
        return found | dict(properties) if isinstance(properties, Mapping) else found

    def _alternatives(
        self, schema: Any, name: str, open_references: frozenset[str] = frozenset()
    ) -> frozenset[tuple[bool, bool]]:
        """Return for each alternative whether it lists properties and whether it allows `name`."""
        self._subschemas += 1
        if not isinstance(schema, Mapping) or self._subschemas > _MAX_SUBSCHEMAS:
            return _UNKNOWN
        parts = [_own(schema, name)]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in open_references:
            target = resolve_reference({"$ref": reference}, self._root)
            unresolved = target.get("$ref") is not None
            inner = open_references | {reference}
            parts.append(_UNKNOWN if unresolved else self._alternatives(target, name, inner))
        parts += [self._alternatives(branch, name, open_references) for branch in branches(schema, "allOf")]
        for options in filter(None, (branches(schema, "anyOf"), branches(schema, "oneOf"))):
            parts.append(frozenset().union(*(self._alternatives(option, name, open_references) for option in options)))
        combined = parts[0]
        for part in parts[1:]:
            combined = frozenset((a or c, b or d) for (a, b), (c, d) in product(combined, part))
        return combined


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _own(schema: Mapping[str, Any], name: str) -> frozenset[tuple[bool, bool]]:
    """Return what a schema says itself, without the schemas that it refers to."""
    properties = schema.get("properties")
    free = any(
        schema.get(keyword) is True or isinstance(schema.get(keyword), Mapping)
        for keyword in ("additionalProperties", "unevaluatedProperties")
    )
    free |= bool(schema.get("patternProperties"))
    if not isinstance(properties, Mapping):
        return frozenset({(False, free)})
    return frozenset({(True, free or name in properties)})


def _edited(text: str, edits: _Edits) -> str:
    """Return compact JSON with the edits; all other text, such as the digits of numbers, stays."""
    if text[0] == "{":
        return _object((key, _part(key, raw, edits)) for key, (_, raw) in members(text).items())
    return f"[{','.join(_part(index, raw, edits) for index, raw in enumerate(items(text)))}]"


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    """Return compact JSON of names, and of values as JSON."""
    return f"{{{','.join(f'{json.dumps(name, ensure_ascii=False)}:{value}' for name, value in pairs)}}}"


def _part(key: str | int, raw: str, edits: _Edits) -> str:
    edit = edits.get(key)
    return raw if edit is None else edit if isinstance(edit, str) else _edited(raw, edit)


def _reject(constant: str) -> None:
    raise ValueError(constant)
