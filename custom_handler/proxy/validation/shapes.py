"""Describe the types of values in a request body, and check a value against its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ...data_class import data_class
from ..error_body import invalid_request

_NAMES: Mapping[type, str] = {
    str: "a string",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


@data_class
class Shape:
    """The types of a value (none: any type), and the shapes of the values in it.

    `items` is the shape of the items of a list; `values` that of all values of an object; `fields`
    those of an object's fields by name, of which `required` may not be absent. `kinds` are the
    shapes of an object by its field `type`; `only`: no other type is allowed. `filled`: a list may
    not be empty. `among`: the allowed strings. `in_header`: LiteLLM copies the string, or the names
    of the object, to a header of the response.
    """

    types: tuple[type, ...] = ()
    items: Shape | None = None
    values: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    kinds: Mapping[str, Shape] = field(default_factory=dict)
    only: bool = False
    filled: bool = False
    among: frozenset[str] = frozenset()
    in_header: bool = False


ANY = Shape()
STRING = Shape((str,))
BOOLEAN = Shape((bool,))
INTEGER = Shape((int,))
NUMBER = Shape((int, float))
OBJECT = Shape((dict,))
STRINGS = Shape((list,), items=STRING)
OBJECTS = Shape((list,), items=OBJECT)


def check(value: Any, shape: Shape, path: str = "") -> None:
    """Raise the proxy's error (400) for the first value of a wrong type; null counts as absent."""
    if shape.types and not _has_type(value, shape.types):
        raise invalid_request(f"{path} must be {_described(shape)}.", path)
    if shape.among and isinstance(value, str) and value not in shape.among:
        raise invalid_request(f"{path} must be one of {', '.join(sorted(shape.among))}.", path)
    names = value if isinstance(value, dict) else [value] if isinstance(value, str) else ()
    if shape.in_header and not all(map(_fits_header, names)):
        raise invalid_request(f"{path} must have printable characters of Latin-1 only.", path)
    if isinstance(value, list):
        _check_items(value, shape, path)
    elif isinstance(value, dict):
        _check_fields(value, shape, f"{path}." if path else "")


def _check_items(value: list[Any], shape: Shape, path: str) -> None:
    if shape.filled and not value:
        item = "message" if path == "messages" else "item"
        raise invalid_request(f"{path} must be a list with at least one {item}.", path)
    if shape.items is not None:
        for number, item in enumerate(value):
            check(item, shape.items, f"{path}[{number}]")


def _check_fields(value: Mapping[str, Any], shape: Shape, prefix: str) -> None:
    if shape.values is not None:
        for name, inner in value.items():
            check(inner, shape.values, f"{prefix}{name[:64]}")
    for name, inner in value.items():
        if inner is not None and (inner_shape := shape.fields.get(name)) is not None:
            check(inner, inner_shape, f"{prefix}{name}")
    for name in shape.required:
        if value.get(name) is None:
            described = _described(shape.fields[name])
            raise invalid_request(f"{prefix}{name} is missing: it must be {described}.", f"{prefix}{name}")
    if shape.kinds:
        _check_kind(value, shape, prefix)


def _check_kind(value: Mapping[str, Any], shape: Shape, prefix: str) -> None:
    kind = value.get("type")
    if not isinstance(kind, str) or (shape.only and kind not in shape.kinds):
        known = ", ".join(sorted(shape.kinds)) if shape.only else "a string"
        raise invalid_request(f"{prefix}type must be {'one of ' if shape.only else ''}{known}.", f"{prefix}type")
    if kind in shape.kinds:
        _check_fields(value, shape.kinds[kind], prefix)


def _fits_header(text: str) -> bool:
    r"""Return whether a text can be a header's value, and of one line.

    >>> _fits_header("segurança"), _fits_header("a\r\nb: c"), _fits_header("д")
    (True, False, False)
    """
    return text.isprintable() and all(character <= "ÿ" for character in text)


def _has_type(value: Any, types: tuple[type, ...]) -> bool:
    return bool in types if isinstance(value, bool) else isinstance(value, types)


def _described(shape: Shape) -> str:
    """Return what a value must be.

    >>> _described(NUMBER), _described(Shape((str, list)))
    ('a number', 'a string or a list')
    """
    types = tuple(type_ for type_ in shape.types if type_ is not int or float not in shape.types)
    return " or ".join(_NAMES[type_] for type_ in types)
