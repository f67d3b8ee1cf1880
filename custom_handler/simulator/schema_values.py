"""Values for a JSON schema: those of a question where they fit, else the simplest valid ones."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MAX_DEPTH = 12  # schemas may refer to themselves
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

    def fill(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > MAX_DEPTH:
            schema = {}
        if isinstance(reference := schema.get("$ref"), str):
            return self.fill(self._look_up(reference), depth + 1)
        choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if isinstance(choices, list):
            return self.fill(next((choice for choice in choices if choice != {"type": "null"}), {}), depth + 1)
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
                properties, required = schema.get("properties"), schema.get("required")
                properties = properties if isinstance(properties, dict) else {}
                names = required if isinstance(required, list) else [] if depth else list(properties)
                return {name: self.fill(inner, depth + 1) for name, inner in properties.items() if name in names}
            case "array":
                return [self.fill(schema.get("items"), depth + 1)]
            case "boolean":
                return True
            case "null":
                return None
            case "integer" | "number":
                number = self._numbers.pop(0) if self._numbers else 1.0
                number = float(min(max(number, schema.get("minimum", number)), schema.get("maximum", number)))
                return int(number) if kind == "integer" or number.is_integer() else number
        if schema.get("format") in list(FORMATS):
            return FORMATS[schema["format"]]
        return self._strings.pop(0) if self._strings else self._question

    def _look_up(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.strip("#/").split("/"):
            found = found.get(step, {}) if isinstance(found, dict) and step else found
        return found
