"""Fills a tool's arguments from the words of a question, true to the types of its JSON schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .evidence import Evidence, topic_of
from .language import find_terms, fold
from .reading import read_enum

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CALLS = 8
# Schemas may refer to themselves.
DEEPEST = 6
FREE_TEXT = re.compile(
    r"query|^q$|text|message|mensagem|mensaje|question|pergunta|content|conteudo|body|corpo|prompt|input|"
    r"busca|termo|term|search|consulta|descri|assunto|subject"
)
NO = re.compile(r"\b(?:nao|sem|not|no|without|sin|false|falso)\b")
# A required value in a format that the question holds none of.
INVENTED = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fill_calls(schema: Mapping[str, Any], text: str, question: str) -> list[dict[str, Any]]:
    """The arguments of each call that `text`, a part of `question`, asks for: one, or one for each place."""
    only = _only_required_string(schema)
    choices = {fold(str(value)) for inner in _properties(schema).values() for value in read_enum(inner)}
    places = [name for name in Evidence(text).names if fold(name) not in choices]
    if only is None or len(places) < 2:
        return [_Filler(text, question, schema).fill_object(schema)]
    return [_Filler(place, place, schema).fill_object(schema) | {only: place} for place in places[:MOST_CALLS]]


def _only_required_string(schema: Mapping[str, Any]) -> str | None:
    required, properties = schema.get("required"), _properties(schema)
    if not isinstance(required, list) or len(required) != 1 or not isinstance(required[0], str):
        return None
    inner = properties.get(required[0])
    plain = isinstance(inner, dict) and inner.get("type") == "string" and "enum" not in inner
    return required[0] if plain and not FREE_TEXT.search(fold(required[0])) else None


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


class _Filler:
    """Fills one call; what a value took from the question is not given to the next."""

    def __init__(self, text: str, question: str, root: Mapping[str, Any]) -> None:
        self._question = question
        self._folded = fold(text)
        self._terms = find_terms(text)
        self._near = Evidence(text)
        self._far = Evidence(question)
        self._root = root
        self._depth = 0

    def fill_object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The object's required properties, and the optional ones the question speaks of."""
        if self._depth == DEEPEST:
            return {}
        self._depth += 1
        try:
            return self._fill_properties(schema)
        finally:
            self._depth -= 1

    def _fill_properties(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties = {name: self._resolve(inner) for name, inner in _properties(schema).items()}
        listed = schema.get("required")
        required = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
        # What can only be one of a few values goes first, so that "in Celsius" is no city.
        order = sorted(properties, key=lambda name: (not self._is_narrow(properties[name]), name not in required))
        filled = {
            name: self._fill(name, properties[name])
            for name in order
            if name in required or self._is_mentioned(name, properties[name])
        }
        return {name: filled[name] for name in properties if name in filled}

    def _resolve(self, schema: Any) -> Mapping[str, Any]:
        for _ in range(MOST_CALLS):
            if not isinstance(schema, dict):
                return {}
            reference = schema.get("$ref")
            choices = next((schema[key] for key in ("anyOf", "oneOf", "allOf") if schema.get(key)), None)
            if isinstance(reference, str):
                schema = self._look_up(reference)
            elif isinstance(choices, list):
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
                chosen: Any = next((item for item in choices if item != {"type": "null"}), {})
                schema = rest | (chosen if isinstance(chosen, dict) else {})
            else:
                break
        return schema if isinstance(schema, dict) else {}

    def _look_up(self, reference: str) -> Any:
        value: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            value = value.get(step, {}) if isinstance(value, dict) else {}
        return value

    def _is_narrow(self, schema: Mapping[str, Any]) -> bool:
        return bool(read_enum(schema)) or "const" in schema or _type_of(schema) == "boolean"

    def _is_mentioned(self, name: str, schema: Mapping[str, Any]) -> bool:
        if read_enum(schema):
            return self._mentioned_value(schema) is not None
        kind = _type_of(schema)
        if kind == "string":
            return self._formatted(name, schema) is not None
        named = any(term in self._terms for term in find_terms(name.replace("_", " ")))
        return named and (kind == "boolean" or (kind in ("integer", "number") and bool(self._near.numbers)))

    def _fill(self, name: str, schema: Mapping[str, Any]) -> Any:
        if "const" in schema:
            return schema["const"]
        if read_enum(schema):
            mentioned = self._mentioned_value(schema)
            return read_enum(schema)[0] if mentioned is None else mentioned
        return self._fill_type(_type_of(schema), name, schema)

    def _fill_type(self, kind: str, name: str, schema: Mapping[str, Any]) -> Any:
        if kind == "object":
            return self.fill_object(schema)
        if kind == "array":
            return self._fill_list(name, self._resolve(schema.get("items")))
        if kind == "boolean":
            return NO.search(self._folded) is None
        if kind in ("integer", "number"):
            return self._fill_number(schema, whole=kind == "integer")
        return None if kind == "null" else self._fill_string(name, schema)

    def _mentioned_value(self, schema: Mapping[str, Any]) -> Any:
        for value in read_enum(schema):
            if re.search(rf"\b{re.escape(fold(str(value)))}\b", self._folded):
                self._near.forget(str(value))
                self._far.forget(str(value))
                return value
        return None

    def _fill_list(self, name: str, item: Mapping[str, Any]) -> list[Any]:
        if _type_of(item) in ("integer", "number"):
            count = len(self._near.numbers)
        else:
            count = max(len(self._near.quoted), len(self._near.names)) if _type_of(item) == "string" else 1
        return [self._fill(name, item) for _ in range(max(1, count))]

    def _fill_number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        found = self._near.take("numbers") or self._far.take("numbers")
        default = schema.get("default")
        number = float(default) if isinstance(default, (int, float)) else 1.0
        number = float(found.replace(",", ".")) if found else number
        low, high = schema.get("minimum"), schema.get("maximum")
        number = max(number, float(low)) if isinstance(low, (int, float)) else number
        number = min(number, float(high)) if isinstance(high, (int, float)) else number
        return int(number) if whole or number.is_integer() else number

    def _fill_string(self, name: str, schema: Mapping[str, Any]) -> str:
        formatted = self._formatted(name, schema)
        if formatted is not None:
            return formatted
        if str(schema.get("format")) in INVENTED:
            return INVENTED[str(schema["format"])]
        found = self._near.take("quoted") or self._far.take("quoted")
        if not found and FREE_TEXT.search(fold(name)):
            return self._question.strip()
        return (
            found
            or self._near.take("names")
            or self._far.take("names")
            or str(schema.get("default") or "")
            or topic_of(self._question)
        )

    def _formatted(self, name: str, schema: Mapping[str, Any]) -> str | None:
        folded, form = fold(name), schema.get("format")
        if form == "email" or "mail" in folded or folded in ("to", "recipient", "destinatario"):
            return self._far.take("emails")
        if form in ("uri", "url") or "url" in folded or "link" in folded:
            return self._far.take("urls")
        if form in ("date", "date-time") or re.search(r"\bdat[ae]\b|(?:^|_)dat[ae](?:_|$)|dia$|^day$", folded):
            return self._far.take("dates")
        if re.search(r"express|formula|calculo", folded):
            return self._far.take("sums")
        return None


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"
