"""One task of the evaluation: what is asked, the results of the tools, and what has to come.

    {"id": "weather", "kind": "single", "tools": [{"name": …, "description": …, "parameters": …}],
     "messages": [{"role": "user", "content": "What is the weather in Recife?"}],
     "steps": [[{"name": "get_weather", "arguments": {"city": "Recife"}, "result": "31 °C"}]],
     "says": ["31"]}

A string in `arguments` is compared without case; `{"matches": "<pattern>"}` is searched (with an
`example` that matches, for the simulated agent), and `{"any": true}` is any value. Arguments that
the task does not name are ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any

import regex
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..data_class import data_class
from ..errors import ConfigurationError

_PATTERN_SECONDS = 1.0
_MAY_LACK = frozenset({"said", "rules", "mistaken"})  # fields that are newer than the results of some


@data_class
class ExpectedCall:
    """A call that has to come, and what the tool then returns."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: str = "ok"

    def matches(self, name: str, arguments: object) -> bool:
        """Return whether a call is this one."""
        return name == self.name and _matches(self.arguments, arguments)


@data_class
class Task:
    """A task; `steps` are the calls of each round, in order, and those of one round in any order.

    `together`: the calls of a round have to come in one reply. `allowed` are tools that may be
    called besides. `says` are patterns of the answer, without case, `says_not` the forbidden ones.
    `json_schema` is sent as the response format; `json` has what the answer has to contain.
    `said` is the start of an answer whose rest is asked for: what is checked is both, joined.
    `rules` are texts of the tools on which the task depends, `mistaken` the calls of an agent that
    has not read them: with both, the simulated agent depends on the prompt.
    """

    id: str
    kind: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    steps: Sequence[Sequence[ExpectedCall]] = ()
    says: Sequence[str] = ()
    says_not: Sequence[str] = ()
    tool_choice: Any = None
    json_schema: Mapping[str, Any] | None = None
    json: Any = None
    allowed: Sequence[str] = ()
    together: bool = False
    said: str = ""
    rules: Sequence[str] = ()
    mistaken: Sequence[ExpectedCall] = ()

    @property
    def digest(self) -> str:
        """A hash of the task: a result of another version of it does not count."""
        values = {name: value for name, value in asdict(self).items() if name not in _MAY_LACK or value}
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @property
    def continues(self) -> bool:
        """Whether the tools' results are sent back: an answer or a further call has to come."""
        return len(self.steps) > 1 or bool(self.steps and (self.says or self.says_not or self.json is not None))

    def request(self) -> dict[str, Any]:
        """Return the fields of a chat completion request, without the model."""
        body: dict[str, Any] = {"messages": list(self.messages)}
        if self.tools:
            body["tools"] = [{"type": "function", "function": dict(tool)} for tool in self.tools]
        if self.tool_choice is not None:
            body["tool_choice"] = self.tool_choice
        if self.json_schema is not None:
            schema = {"name": "answer", "schema": dict(self.json_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def text_fault(self, text: str) -> str:
        """Return why an answer is wrong, else an empty string."""
        if self.said:
            from ..emulation.continuation import Continuation  # noqa: PLC0415  as below

            rest = Continuation(self.said)
            text = (self.said + rest.feed(text) + rest.flush()).strip()
        for pattern in self.says:
            if not _search(pattern, text):
                return f"the answer lacks {pattern!r}"
        for pattern in self.says_not:
            if _search(pattern, text):
                return f"the answer contains {pattern!r}"
        return self._json_fault(text) if self.json_schema is not None or self.json is not None else ""

    def _json_fault(self, text: str) -> str:
        try:
            value = json.loads(text)
        except ValueError:
            return "the answer is not JSON"
        if self.json_schema is not None:
            from ..emulation.json_schema import value_error  # noqa: PLC0415  it takes long to import

            if error := value_error(value, self.json_schema):
                return f"the JSON does not match its schema: {error[:200]}"
        return "" if self.json is None or _matches(self.json, value) else "the JSON has other values"


_LINE = TypeAdapter(Task)
_FIELDS = frozenset(one.name for one in fields(Task))


def read_tasks(file: Path) -> list[Task]:
    """Return the tasks of a JSON Lines file; raises ConfigurationError, which names the line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read ({type(error).__name__}): name a file of JSON lines."
        ) from None
    tasks: list[Task] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            tasks.append(_read_task(line, f"{file}, line {number}"))
    if not tasks:
        raise ConfigurationError(f"{file} has no tasks: write one JSON object a line.")
    if twice := {task.id for task in tasks if sum(other.id == task.id for other in tasks) > 1}:
        raise ConfigurationError(f"{file}: the id {min(twice)!r} occurs twice: give each task its own.")
    return tasks


def _read_task(line: str, where: str) -> Task:
    try:
        row = json.loads(line)
        if isinstance(row, dict) and (unknown := row.keys() - _FIELDS):
            raise ConfigurationError(
                f"{where}: {min(unknown)!r} is not a field of a task; there are: {', '.join(sorted(_FIELDS))}."
            )
        task = _LINE.validate_json(line, strict=True)
        _check(task)
    except (ValueError, RecursionError, regex.error) as error:
        raise ConfigurationError(
            f"{where} is not a task ({_reason(error)}): it needs id, kind, messages, and what has to come: see "
            "docs/evaluation.md."
        ) from None
    return task


def _check(task: Task) -> None:
    """Raise ValueError or regex.error for a value that has the right type, and cannot be used."""
    if not task.messages or not all(isinstance(message.get("role"), str) for message in task.messages):
        raise ValueError("messages: there has to be a message, and each needs a role")
    if not all(isinstance(tool.get("name"), str) for tool in task.tools):
        raise ValueError("tools: each needs a name")
    if not all(task.steps):
        raise ValueError("steps: each needs a call")
    expected = (task.json, *(call.arguments for step in task.steps for call in step))
    for pattern in (*task.says, *task.says_not, *_patterns(expected)):
        regex.compile(pattern)
    if task.json_schema is not None:
        from ..emulation.json_schema import schema_error  # noqa: PLC0415  it takes long to import

        if error := schema_error(json.dumps(task.json_schema)):
            raise ValueError(f"json_schema: {error}")


def _patterns(expected: object) -> Iterator[str]:
    """Yield the patterns of `{"matches": …}` in what is expected."""
    if isinstance(expected, Mapping):
        if _is_pattern(expected):
            yield str(expected["matches"])
            return
        expected = tuple(expected.values())
    if isinstance(expected, list | tuple):
        for part in expected:
            yield from _patterns(part)


def _is_pattern(expected: Mapping[str, Any]) -> bool:
    return "matches" in expected and expected.keys() <= {"matches", "example"}


def _reason(error: Exception) -> str:
    """Return what is wrong with a line, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _matches(expected: object, value: object) -> bool:
    """Return whether a value has all that is expected."""
    if isinstance(expected, Mapping):
        if _is_pattern(expected):
            return isinstance(value, str) and _search(str(expected["matches"]), value)
        if expected.keys() == {"any"}:
            return True
        return isinstance(value, Mapping) and all(
            key in value and _matches(part, value[key]) for key, part in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(value, list) and len(value) == len(expected) and all(map(_matches, expected, value))
    if isinstance(expected, str):
        return isinstance(value, str) and value.strip().casefold() == expected.strip().casefold()
    is_number = isinstance(expected, int | float) and isinstance(value, int | float)
    return expected == value and (type(expected) is type(value) or (is_number and not isinstance(value, bool)))


def _search(pattern: str, text: str) -> bool:
    try:
        return regex.search(pattern, text, regex.IGNORECASE, timeout=_PATTERN_SECONDS) is not None
    except TimeoutError:
        return False
