"""Fills a JSON schema with values: those of a question where they fit, else the simplest ones that are valid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .reading import fold

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CALLS = 8
MAX_DEPTH = 6  # schemas may refer to themselves
QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)")
NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)?(?!\w)")
CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w’'-]*"
NAME = re.compile(rf"(?<=[\w,] ){CAPITAL}(?:\s+(?:d[aeo]s?\s+)?{CAPITAL})*")
FREE_TEXT = re.compile(
    r"query|^q$|text|message|mensagem|question|pergunta|content|prompt|input|busca|search|descri|subject"
)
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fill_calls(schema: Mapping[str, Any], question: str) -> list[dict[str, Any]]:
    """Return the arguments of each call: one, or one a name where the tool takes a single required string."""
    required, names = schema.get("required"), NAME.findall(QUOTED.sub(" ", question))
    properties = schema.get("properties")
    if isinstance(required, list) and len(required) == 1 and isinstance(properties, dict) and len(names) > 1:
        only = properties.get(str(required[0]))
        if isinstance(only, dict) and only.get("type") == "string" and not {"enum", "const", "format"} & set(only):
            return [{str(required[0]): name} for name in names[:MAX_CALLS]]
    return [fill_schema({**schema, "type": "object"}, question)]


def fill_schema(schema: Mapping[str, Any], question: str) -> Any:
    """Return a value for a schema; each number, name and quotation of the question is used once."""
    return _Filler(schema, question).fill("", schema, 0)


class _Filler:
    def __init__(self, root: Mapping[str, Any], question: str) -> None:
        self._root = root
        self._question = question.strip()
        self._strings = ["".join(groups) for groups in QUOTED.findall(question)]
        plain = QUOTED.sub(" ", question)
        self._strings += NAME.findall(plain)
        self._numbers = [float(found.replace(",", ".")) for found in NUMBER.findall(plain)]

    def fill(self, name: str, given: Any, depth: int) -> Any:
        schema = self._resolve(given)
        if "const" in schema:
            return schema["const"]
        if isinstance(values := schema.get("enum"), list) and values:
            return next((value for value in values if self._mentions(value)), values[0])
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                count = int(_number(schema.get("minItems"), 1)) if depth < MAX_DEPTH else 0
                return [self.fill(name, schema.get("items"), depth + 1) for _ in range(min(count, MAX_CALLS))]
            case "boolean":
                return True
            case "null":
                return None
            case "integer" | "number" as kind:
                number = self._number(schema)
                return int(number) if kind == "integer" or number.is_integer() else number
        return self._string(name, schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or depth == MAX_DEPTH:
            return {}
        required = schema.get("required") or ([] if depth else list(properties))
        if not isinstance(required, list):
            return {}
        return {name: self.fill(name, inner, depth + 1) for name, inner in properties.items() if name in required}

    def _resolve(self, schema: Any) -> Mapping[str, Any]:
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                return {}
            choices = next((schema[key] for key in ("anyOf", "oneOf", "allOf") if schema.get(key)), None)
            if isinstance(reference := schema.get("$ref"), str):
                schema = self._look_up(reference)
            elif isinstance(choices, list):
                schema = next((choice for choice in choices if choice != {"type": "null"}), {})
            else:
                return schema
        return {}

    def _look_up(self, reference: str) -> Any:
        value: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            value = value.get(step, {}) if isinstance(value, dict) and step else value
        return value

    def _mentions(self, value: Any) -> bool:
        return re.search(rf"\b{re.escape(fold(str(value)))}\b", fold(self._question)) is not None

    def _number(self, schema: Mapping[str, Any]) -> float:
        number = self._numbers.pop(0) if self._numbers else _number(schema.get("default"), 1.0)
        return min(max(number, _number(schema.get("minimum"), number)), _number(schema.get("maximum"), number))

    def _string(self, name: str, schema: Mapping[str, Any]) -> str:
        if str(schema.get("format")) in FORMATS:
            return FORMATS[str(schema["format"])]
        if self._strings:
            return self._strings.pop(0)
        return self._question if FREE_TEXT.search(fold(name)) else str(schema.get("default") or name or "text")


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    return kind if isinstance(kind, str) else "object" if "properties" in schema else "string"
