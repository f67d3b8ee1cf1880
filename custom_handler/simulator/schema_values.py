"""Values for a JSON schema: those of a question where they fit, else the simplest valid ones."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MAX_DEPTH = 6  # schemas may refer to themselves
CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w’'-]*"
QUOTED_OR_NAME = re.compile(rf'"([^"\n]+)"|(?<=[\w,] )({CAPITAL}(?:\s+(?:d[aeo]s?\s+)?{CAPITAL})*)')
NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:[.,]\d+)?(?!\w)")
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fold(text: str) -> str:
    """Return `text` in lower case, without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(char))


def fill_schema(schema: dict[str, Any], question: str) -> Any:
    """Return a value for a schema; each name and number of the question is used once.

    >>> fill_schema({"properties": {"city": {}, "days": {"type": "integer"}}}, "3 dias em Recife")
    {'city': 'Recife', 'days': 3}
    """
    return _Filler(schema, question).fill(schema, 0)


class _Filler:
    def __init__(self, root: dict[str, Any], question: str) -> None:
        self._root = root
        self._question = question
        self._strings = [quoted or name for quoted, name in QUOTED_OR_NAME.findall(question)]
        self._numbers = [float(found.replace(",", ".")) for found in NUMBER.findall(question)]

    def fill(self, given: Any, depth: int) -> Any:
        schema = self._resolve(given)
        if "const" in schema:
            return schema["const"]
        if isinstance(values := schema.get("enum"), list) and values:
            question = fold(self._question)
            return next((value for value in values if fold(str(value)) in question), values[0])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((item for item in kind if item != "null"), "null")
        match kind:
            case "object":
                return self._fill_object(schema, depth)
            case "array":
                return [self.fill(schema.get("items"), depth + 1)] if depth < MAX_DEPTH else []
            case "boolean":
                return True
            case "null":
                return None
            case "integer" | "number":
                number = self._numbers.pop(0) if self._numbers else 1.0
                number = max(number, _bound(schema.get("minimum"), number))
                number = min(number, _bound(schema.get("maximum"), number))
                return int(number) if kind == "integer" or number.is_integer() else number
        if schema.get("format") in list(FORMATS):
            return FORMATS[schema["format"]]
        return self._strings.pop(0) if self._strings else self._question

    def _fill_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict) or depth == MAX_DEPTH:
            return {}
        names = required if isinstance(required, list) else [] if depth else list(properties)
        return {name: self.fill(inner, depth + 1) for name, inner in properties.items() if name in names}

    def _resolve(self, schema: Any) -> dict[str, Any]:
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                break
            choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if isinstance(reference := schema.get("$ref"), str):
                schema = self._root
                for step in reference.strip("#/").split("/"):
                    schema = schema.get(step, {}) if isinstance(schema, dict) and step else schema
            elif isinstance(choices, list):
                schema = next((choice for choice in choices if choice != {"type": "null"}), {})
            else:
                return schema
        return {}


def _bound(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
