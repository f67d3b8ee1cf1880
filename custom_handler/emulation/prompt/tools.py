"""The section of the prompt that lists the tools and explains how to call them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import RequestError
from ...request.chat_request import Tool
from ..imitations import one_line
from ..json_output import compact
from ..labels import TOOLS, label
from .compact_tools import LISTS_OF_SCHEMAS, SCHEMAS, SCHEMAS_BY_NAME, compact_tool
from .tool_example import example, example_tool, resolve_reference
from .wording import wording

_DROPPED_WHEN_EMPTY = frozenset({"description", "title", "required", "properties", "$defs", "definitions", "examples"})
_MAX_SAFE_INTEGER = 2**53 - 1  # of JavaScript, which zod writes as a limit
_WITHOUT_INFORMATION: Mapping[str, object] = {
    "additionalProperties": False,  # undeclared arguments are written by no agent
    "propertyNames": {"type": "string"},
    "uniqueItems": False,
    "nullable": False,
    "deprecated": False,
    "readOnly": False,
    "writeOnly": False,
    "minLength": 0,
    "minItems": 0,
    "minProperties": 0,
    "minimum": -_MAX_SAFE_INTEGER,
    "maximum": _MAX_SAFE_INTEGER,
}
_MAX_SUBSCHEMAS = 2_000  # a schema with more, once its references are resolved, keeps them
_CACHED_CHARACTERS = 50_000


def tools_section(tools: Sequence[Tool], *, parallel: bool, compact: bool = False) -> str:
    """Return the tools, one line of JSON each, and the rules of a call with an example.

    `compact`: descriptions are cut, and schemas lose what says little.
    """
    lines = "\n".join(_line(tool, compact and not tool.custom) for tool in tools)  # no grammar is cut
    shown = example_tool(tools)
    arguments = one_line(json.dumps(example(shown.parameters), ensure_ascii=False))
    texts = wording()
    together = texts.several if parallel else texts.single
    calling = texts.calling.format(name=shown.name, arguments=arguments, together=together)
    return f"{label(TOOLS)}\n{texts.tools}\n{lines}\n\n{calling}"


def _line(tool: Tool, shorten: bool) -> str:
    try:
        full = one_line(compact({"name": tool.name, "description": tool.description, "parameters": tool.parameters}))
        return (_reduced_line if len(full) < _CACHED_CHARACTERS else _reduced_line.__wrapped__)(full, shorten)
    except RecursionError:
        raise RequestError(f"tools: the parameters of {tool.name!r} are nested too deep.", param="tools") from None


@functools.lru_cache(maxsize=512)  # a client sends the same tools with every request
def _reduced_line(full: str, shorten: bool) -> str:
    tool = json.loads(full)
    if shorten:
        tool = compact_tool(tool)
        full = one_line(compact(tool))
    parameters = tool["parameters"]
    try:
        reducer = _SchemaReducer(parameters)
        top = {key: value for key, value in parameters.items() if key not in reducer.definitions}
        tool["parameters"] = reducer.reduce(top)
        if "properties" in top and tool["parameters"] == {"type": "object"}:
            del tool["parameters"]  # it takes no arguments
    except (RecursionError, _Irreducible):
        tool["parameters"] = parameters
    short = one_line(compact({key: value for key, value in tool.items() if value}))
    if '"$ref":"#/' in short:  # an unresolved reference may need the definitions
        short = full
    return min(short, full, key=len) if len(short) > 2 * len(full) else short


class _Irreducible(Exception):
    """The schema refers to itself, or has too many parts."""


class _SchemaReducer:
    """Resolves a schema's references and drops keywords without information."""

    definitions = frozenset({"$defs", "definitions"})

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._open: list[str] = []
        self._subschemas = 0

    def reduce(self, schema: Any) -> Any:
        """Return the reduced schema; raises _Irreducible."""
        if not isinstance(schema, dict):
            return schema
        self._subschemas += 1
        if self._subschemas > _MAX_SUBSCHEMAS:
            raise _Irreducible
        reference = schema.get("$ref")
        if (
            isinstance(reference, str)
            and (target := resolve_reference({"$ref": reference}, self._root)).get("$ref") is None
        ):
            return self._resolved(reference, {**target, **{k: v for k, v in schema.items() if k != "$ref"}})
        return {key: self._value(key, value) for key, value in schema.items() if not _is_empty(key, value)}

    def _resolved(self, reference: str, schema: dict[str, Any]) -> Any:
        if reference in self._open:
            raise _Irreducible
        self._open.append(reference)
        reduced = self.reduce(schema)
        self._open.pop()
        return reduced

    def _value(self, key: str, value: Any) -> Any:
        if key in SCHEMAS_BY_NAME and isinstance(value, dict):
            return {name: _without_title(name, self.reduce(schema)) for name, schema in value.items()}
        if key in LISTS_OF_SCHEMAS and isinstance(value, list):
            return [self.reduce(schema) for schema in value]
        return self.reduce(value) if key in SCHEMAS else value


def _without_title(name: str, schema: Any) -> Any:
    """Drop a title that only repeats the name, as pydantic writes it."""
    title = schema.get("title") if isinstance(schema, dict) else None
    if isinstance(title, str) and _letters(title) == _letters(name):
        del schema["title"]
    return schema


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _is_empty(key: str, value: object) -> bool:
    if key in _WITHOUT_INFORMATION and value == _WITHOUT_INFORMATION[key]:
        return True
    return key == "$schema" or (key in _DROPPED_WHEN_EMPTY and value in (None, "", [], {}))
