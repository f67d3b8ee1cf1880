"""Shortens what a prompt says of tools, for models with `model_info: {compact_tools: true}`.

Only the prompt gets the short form: calls are read, validated and repaired with the schemas that
the client has sent. Names, types, values of `enum`, nested schemas and `required` all stay, and
descriptions keep their first sentences and what reads like a rule. docs/prompt.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

TOOL_CHARACTERS = 120
ARGUMENT_CHARACTERS = 60
MOST = 4
"""Without its rules, a description has at most so many times these characters."""

SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
LISTS_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
SCHEMAS = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})

_DROPPED = frozenset({"$schema", "$comment", "title", "examples", "example"})
_FENCE = "`" * 3
_CODE = ("<", _FENCE, "|")
_ITEM = ("-", "*", "•", *"0123456789")
# Words of English and Portuguese with which a sentence demands, forbids, limits or warns.
_RULE = re.compile(
    r"\b(?:must|should|shall|never|always|only|not|no more than|without|cannot|\w+n['’]t|requires?|required|mandatory|needs?|ensure"
    r"|make sure|be sure|avoid|forbidden|prohibited|before|first|unless|instead|except|otherwise|refused?|rejected|fails?|error"
    r"|ends? with|at most|at least|up to|exactly|max|maximum|min|minimum|limit|limits|limited|important|warning|caution"
    r"|deve|devem|nunca|sempre|só|somente|apenas|não|nem|sem|exige|obrigatóri[oa]s?|precisa|precisam|tem que|têm que|evite|proibid[oa]s?"
    r"|antes|primeiro|exceto|em vez|senão|falha|erro|no máximo|no mínimo|até|exatamente|máximo|mínimo|limite|limitad[oa]s?"
    r"|importante|atenção|cuidado|certifique-se)\b",
    re.IGNORECASE,
)
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
    """Return the first sentences that fit, and of the later ones those that say most.

    These are rules of any length (`_RULE`), the items of a list behind "Never:" and the
    like, and the first sentence of each paragraph, up to MOST times the limit in all. Items of
    lists are paragraphs, too. Each gap between sentences is one space.

    >>> shortened("Read a file, e.g. a.py. It is fast. Use it, but never twice. It is slow.", 30)
    'Read a file, e.g. a.py. Use it, but never twice.'
    """
    kept: list[str] = []
    left, more, of_rule, in_code = limit, (MOST - 1) * limit, False, False
    for paragraph in _PARAGRAPH.split(text):
        of_rule = of_rule and paragraph.lstrip().startswith(_ITEM)
        for place, sentence in enumerate(_sentences(paragraph)):
            is_code = in_code or sentence.startswith(_CODE)
            is_rule = not is_code and _RULE.search(sentence) is not None
            left -= len(sentence) + bool(kept)
            if left >= 0 or is_rule or (not place and of_rule):
                kept.append(sentence)
            elif not place and not is_code and not _introduces(sentence) and len(sentence) <= min(more, limit // 2):
                kept.append(sentence)
                more -= len(sentence) + 1
            elif not kept:
                kept.append(_cut(sentence, limit))
            elif _introduces(kept[-1]) and not _RULE.search(kept[-1]):
                kept.pop()  # what it introduces is left out
            of_rule = of_rule or (is_rule and _introduces(sentence))
        in_code ^= paragraph.count(_FENCE) % 2 == 1
    return " ".join(kept) or _cut(" ".join(text.split()), limit)


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
    """Return the words that fit, with an ellipsis if there are more."""
    if len(sentence) <= limit:
        return sentence
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
