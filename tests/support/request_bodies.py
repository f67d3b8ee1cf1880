"""Bodies for fuzzing: those of the SDKs' request types, changed ones, and the fields that LiteLLM reads.

They run where the SDKs are (`.venv-clients`), without LiteLLM: its source is read, not imported.
"""

from __future__ import annotations

import ast
import base64
import collections.abc
import copy
import enum
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import typing_extensions
from pydantic.alias_generators import to_camel

# One of each kind that a field may hold instead, and the edges of each kind.
WRONG: tuple[Any, ...] = (
    None,
    True,
    7,
    -1,
    10**30,
    0.5,
    1e308,
    "",
    "x",
    "\x00",
    "\ud800",
    "д\r\nx-header: d",
    "é" * 300,
    [],
    [None],
    ["x"],
    [7],
    [[]],
    [{}],
    {},
    {"a": None},
    {"a": {}},
    {"type": "x"},
    {"type": 7},
    {"type": {}},
    {"": ""},
)
CONTENT = "Segredo-4711"  # what clients say in the bodies; no log may hold it
TEXTS = (CONTENT, "", "x", "get_weather", "call_1", "auto", "user", "text/plain", "data:image/png;base64,iVBORw0KGgo=")
DATA = base64.b64encode(CONTENT.encode()).decode()
_MAX_DEPTH = 6
_MAX_OPTIONAL = 4

_SCALARS: Mapping[Any, tuple[Any, ...]] = {
    bool: (True, False),
    int: (0, 1, 3),
    float: (0, 0.5, 1),
    type(None): (None,),
    bytes: (DATA,),
    str: TEXTS,
}


# --- the SDKs' types ------------------------------------------------------------------------------------------------


class Bodies:
    """Generates JSON of an SDK's types; the same random numbers give the same JSON."""

    def __init__(self, random: Random, *, camel: bool = False) -> None:
        self._random = random
        self._camel = camel

    def typed(self, hint: Any, depth: int = 0) -> Any:
        """Return JSON of a TypedDict, or of what stands in one."""
        origin, arguments = typing_extensions.get_origin(hint), typing_extensions.get_args(hint)
        if origin in {typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired}:
            return self.typed(arguments[0], depth)
        if origin is typing.Literal:
            return self._random.choice(arguments)
        if origin in {typing.Union, types.UnionType}:
            return self.typed(self._random.choice(_narrowed(arguments, depth)), depth)
        if typing_extensions.is_typeddict(hint):
            return self._object(hint, depth)
        count = 0 if depth > _MAX_DEPTH else self._random.choice((0, 1, 1, 2))
        if isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
            return {text: self.typed(arguments[1], depth + 1) for text in self._random.sample(TEXTS, count)}
        if arguments:  # lists, iterables, and what the SDKs made themselves
            return [self.typed(arguments[0], depth + 1) for _ in range(count)]
        return self._scalar(hint)

    def one_field(self, hint: Any, body: dict[str, Any]) -> dict[str, Any]:
        """Return a good body with one field of a TypedDict added or replaced, and one value in it changed."""
        hints = _hints(hint)
        name = self._random.choice(sorted(hints))
        field = {self._name(name): self.typed(hints[name], 1)}
        return copy.deepcopy(body) | self.changed(field, kept=(), times=1)

    def _name(self, name: str) -> str:
        return to_camel(name) if self._camel else name

    def _object(self, hint: Any, depth: int) -> dict[str, Any]:
        hints = _hints(hint)
        required = sorted(hint.__required_keys__)
        optional = sorted(set(hints) - set(required))
        count = 0 if depth > _MAX_DEPTH else self._random.randint(0, min(len(optional), _MAX_OPTIONAL))
        names = [*required, *self._random.sample(optional, count)]
        return {self._name(name): self.typed(hints[name], depth + 1) for name in names}

    def _scalar(self, hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._random.choice([member.value for member in hint])
        return self._random.choice(_SCALARS.get(hint, (*TEXTS, {}, 1)))  # object, and classes that become no JSON

    def changed(
        self, body: dict[str, Any], kept: Sequence[str] = ("model",), times: int | None = None
    ) -> dict[str, Any]:
        """Return a body with values changed or left out (0 to 2 `times`), but not in the fields that are `kept`."""
        body = copy.deepcopy(body)
        for _ in range(self._random.choice((0, 1, 1, 2)) if times is None else times):
            if places := [place for place in _places(body) if place[0] not in kept]:
                *parents, last = self._random.choice(places)
                parent: Any = functools.reduce(operator.getitem, parents, body)
                if self._random.randrange(8):
                    parent[last] = copy.deepcopy(self._random.choice(WRONG))
                else:
                    del parent[last]
        return body


_hints = functools.cache(typing_extensions.get_type_hints)


def _narrowed(arguments: Sequence[Any], depth: int) -> Sequence[Any]:
    """Return what a union may be, without objects where a value is deep already."""
    flat = [argument for argument in arguments if argument in _SCALARS]
    return flat if depth > _MAX_DEPTH and flat else arguments


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def smallest(body: dict[str, Any], fails: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return a body that still fails, without what is not needed for that."""
    for place in sorted(_places(body), key=len):
        smaller = copy.deepcopy(body)
        *parents, last = place
        del functools.reduce(operator.getitem, parents, smaller)[last]
        if fails(smaller):
            return smallest(smaller, fails)
    return body


# --- the fields that LiteLLM reads ----------------------------------------------------------------------------------

_HOLDERS = {
    "kwargs", "data", "request_data", "optional_params", "litellm_params", "body", "request_body", "request_kwargs",
    "params", "_kwargs", "parsed_body", "_parsed_body", "passed_params", "completion_kwargs", "call_kwargs",
    "extra_kwargs", "metadata", "_metadata", "litellm_metadata", "non_default_params", "input_kwargs", "model_call_details",
}  # fmt: skip
_NAME = r"""["']([\w-]+)["']"""
_READ = re.compile(
    rf"\b(?:{'|'.join(_HOLDERS)})(?:\.(?:get|pop|setdefault)\(\s*|\[){_NAME}|{_NAME} (?:not )?in (?:{'|'.join(_HOLDERS)})\b"
)
_ENTRIES = {"completion", "acompletion", "function_setup", "client", "make_call", "async_function_with_fallbacks"}
_DECLARING = ("Params", "Options", "Connection", "State")
_DECLARED = re.compile(rf"class \w*(?:{'|'.join(_DECLARING)})\(|def (?:{'|'.join(_ENTRIES)})\(")
_PARTS = ("*.py", "types/litellm_params.py", "types/utils.py", "types/router.py", "router_utils", "litellm_core_utils",
          "responses", "google_genai", "caching", "completion_extras", "llms/custom_httpx", "proxy")  # fmt: skip
_NOT_A_REQUEST = ("proxy/management", "proxy/guardrails/guardrail_hooks", "proxy/client", "proxy/_experimental")


def litellm_fields(package: Path) -> list[str]:
    """Return the names that LiteLLM's source reads from a request, or declares as its own parameters."""
    names: set[str] = set()
    for part in _PARTS:
        for file in [*package.glob(part)] if part.endswith(".py") else [*(package / part).rglob("*.py")]:
            if not str(file.relative_to(package)).startswith(_NOT_A_REQUEST):
                source = file.read_text()
                names.update(found[1] or found[2] for found in _READ.finditer(source))
                if _DECLARED.search(source):  # parsing all files takes seconds
                    names.update(_declared(ast.parse(source)))
    return sorted(names)


def _declared(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=kind) if kind.endswith(_DECLARING):
                yield from (item.target.id for item in node.body if _is_field(item))  # type: ignore[attr-defined]
            case (
                ast.FunctionDef(name=function, args=arguments) | ast.AsyncFunctionDef(name=function, args=arguments)
            ) if function in _ENTRIES:
                yield from (argument.arg for argument in (*arguments.args, *arguments.kwonlyargs))


def _is_field(item: ast.stmt) -> bool:
    return isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
