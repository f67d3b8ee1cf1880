"""Shortens what a prompt says of tools, for models with `model_info: {compact_tools: true}`.

Only the prompt gets the short form: calls are read, validated and repaired with the schemas that
the client has sent. Names, types, values of `enum`, nested schemas and `required` all stay, and
descriptions keep their first sentences, and those of their lists. docs/prompt.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

TOOL_CHARACTERS = 500
ARGUMENT_CHARACTERS = 160
MOST = 4
"""A description has at most so many times these characters."""

SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
LISTS_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
SCHEMAS = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})

_DROPPED = frozenset({"$schema", "$comment", "title", "examples", "example"})
_CODE = ("<", "`" * 3, "|")
_NULL = {"type": "null"}
_NO_TYPE_ALONE = frozenset({"enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "$ref"})
_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=[ \t]*[-*•#<0-9])")  # a list's item is one, too
_BORDER = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)[\"'`)\]*]* (?=[\"'`(*_]*[A-ZÀ-Þ0-9])")


def compact_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool (`name`, `description`, `parameters`) in fewer characters."""
    description = shortened(tool["description"], TOOL_CHARACTERS)
    return {**tool, "description": description, "parameters": compact_schema(tool["parameters"])}


def compact_schema(schema: Any) -> Any:
    """Return a JSON Schema without what says little to an agent; another value stays as it is.

    >>> compact_schema({"title": "N", "anyOf": [{"type": "integer"}, {"type": "null"}]})
    {'type': ['integer', 'null']}
    """
    if not isinstance(schema, dict):
        return schema
    return _with_one_type({key: _value(key, value) for key, value in schema.items() if not _is_dropped(key, value)})


def shortened(text: str, limit: int) -> str:
    """Return the first sentences that fit, and the first one of each later paragraph.

    Items of lists are paragraphs, too: rules stand in such lists, each with its reasons behind it.
    All of it has at most MOST times the limit, each gap between sentences is one space, and a first
    sentence that is too long ends at a word, with an ellipsis.

    >>> shortened("Read a file, e.g. a.py. Use it often.\\n- Never twice. It is slow.", 30)
    'Read a file, e.g. a.py. - Never twice.'
    """
    kept: list[str] = []
    left = limit
    paragraphs = [list(_sentences(paragraph)) for paragraph in _PARAGRAPH.split(text)]
    for number, place, sentence in _numbered(paragraphs):
        left -= len(sentence) + bool(kept)
        kept.append(sentence)
        if left < 0:
            further = paragraphs[number + (place > 0) :]
            return " ".join([_start(kept, limit), *_first_sentences(further, limit)])
    return " ".join(kept)


def _numbered(paragraphs: Iterable[Sequence[str]]) -> Iterator[tuple[int, int, str]]:
    for number, sentences in enumerate(paragraphs):
        for place, sentence in enumerate(sentences):
            yield number, place, sentence


def _start(sentences: Sequence[str], limit: int) -> str:
    """Return the sentences without the last one, which does not fit, or a part of them."""
    kept = list(sentences[:-1])
    while kept and _introduces(kept[-1]):
        kept.pop()
    return " ".join(kept) or _cut(" ".join(sentences), limit)


def _first_sentences(paragraphs: Iterable[Sequence[str]], limit: int) -> Iterator[str]:
    """Yield the first sentences of paragraphs that are neither headings, nor code, nor long."""
    left = (MOST - 1) * limit
    for sentence in (sentences[0] for sentences in paragraphs if sentences):
        if len(sentence) <= limit // 2 and not _introduces(sentence) and not sentence.startswith(_CODE):
            left -= len(sentence) + 1
            if left < 0:
                return
            yield sentence


def _introduces(sentence: str) -> bool:
    """Return whether a sentence is a heading, or introduces what follows it."""
    return sentence.startswith("#") or sentence.endswith(":")


def _sentences(text: str) -> Iterator[str]:
    for paragraph in _PARAGRAPH.split(text):
        line, start = " ".join(paragraph.split()), 0
        for border in _BORDER.finditer(line):
            yield line[start : border.end() - 1]
            start = border.end()
        if start < len(line):
            yield line[start:]


def _cut(sentence: str, limit: int) -> str:
    words = sentence[:limit].rpartition(" ")[0] or sentence[: limit - 1]
    return f"{words}…"


def _is_dropped(key: str, value: object) -> bool:
    if key == "default":
        return value is None or value is False or value in ("", [], {})
    return key in _DROPPED or key.startswith("x-") or (key == "additionalProperties" and isinstance(value, bool))


def _value(key: str, value: Any) -> Any:
    if key == "description" and isinstance(value, str):
        return shortened(value, ARGUMENT_CHARACTERS)
    if key in SCHEMAS_BY_NAME and isinstance(value, dict):
        return {name: compact_schema(part) for name, part in value.items()}
    if key in LISTS_OF_SCHEMAS and isinstance(value, list):
        return [compact_schema(part) for part in value]
    return compact_schema(value) if key in SCHEMAS else value


def _with_one_type(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a type that may be null, as pydantic does, without the alternatives."""
    match schema.get("anyOf"):
        case [{"type": str(name)} as part, null] if null == _NULL and not _NO_TYPE_ALONE & part.keys():
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            if not rest.keys() & part.keys():
                return {**part, "type": [name, "null"], **rest}
    return schema
