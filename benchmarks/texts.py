"""Texts for the benchmarks: generated, reproducible, and of the sizes of coding agents."""

from __future__ import annotations

import json
from random import Random
from typing import Any

_SENTENCES = (
    "the agent reads this file and then it writes another one with care so that nothing gets lost between its lines "
    "while every test of the project still passes and what was asked for is done"
)
_WORDS = _SENTENCES.split()
_MARKDOWN = (
    "## The % of the %\n\n",
    "- % the % and % %.\n- **% %**: % % % %;\n  - `%_%` % %\n* % %\n\n",
    "1. % % % %.\n2. % the %, % %:\n\n",
    "| % | % | % |\n|---|---|---:|\n| % | % % | 12 |\n| **%** | `%` | 3.5 |\n\n",
    "> % % % % %\n> % % %\n\n",
    "- [ ] % % %\n- [x] % [%](https://example.org/%) %\n\n",
    "% % % % % % %, % % % %.\n% % % % % % % %.\n\n",
)
_CODE = '''\
import %
from % import %


@property
def %_%(self, %: int = 3, *, %: str = "%") -> list[str]:
    """Return % % %."""
    %_% = [% for % in self._% if % is not None]
    if not %_%:
        return []
    for %, % in %.items():  # % %
        self._%[%] = %(%, %="%")
        %.append(f"{%}: {%}")
    # % % %
    return %_%


class %(%):
    % = {"%": 1, "%": [2, 3]}

'''
DELTAS = tuple(f" word{number:02}" for number in range(100))
TOOL = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}


def prose(characters: int, seed: int = 0) -> str:
    """Return text in lines and paragraphs, without markers."""
    random, lines, size = Random(seed), [], 0
    while size < characters:
        lines.append(" ".join(random.choices(_WORDS, k=14)) + (".\n\n" if random.random() < 0.2 else ".\n"))
        size += len(lines[-1])
    return "".join(lines)[:characters]


def markdown(characters: int, seed: int = 0) -> str:
    """Return Markdown without fences: headings, lists, tables, quotations and paragraphs."""
    random, parts, size = Random(seed), [], 0
    while size < characters:
        parts.append(_fill(random.choice(_MARKDOWN), random))
        size += len(parts[-1])
    return "".join(parts)[:characters]


def code(characters: int, seed: int = 0) -> str:
    """Return Python without a fence."""
    random, parts, size = Random(seed), [], 0
    while size < characters:
        parts.append(_fill(_CODE, random))
        size += len(parts[-1])
    return "".join(parts)[:characters]


def _fill(template: str, random: Random) -> str:
    """Return a template with a word in the place of each `%`."""
    first, *others = template.split("%")
    return first + "".join(random.choice(_WORDS) + other for other in others)


def answer(characters: int) -> str:
    """Return a coding agent's reply: parts of 4 kB with prose, fenced code and a tool call."""
    part = f"{prose(1500)}\n```python\n{prose(1000, 1)}\n```\n{call(1500)}"
    return (part * (characters // len(part) + 1))[:characters]


def call(characters: int) -> str:
    """Return a call of the tool `write_file`."""
    arguments = json.dumps({"path": "src/module.py", "content": prose(characters, 2)})
    return f"FUNCTION_CALL_START\nwrite_file\narguments: {arguments}\nFUNCTION_CALL_END\n"


def tools(count: int = 60, characters: int = 230_000) -> list[dict[str, Any]]:
    """Return tools in OpenAI's form, with `characters` of compact JSON in total."""
    made = [_tool(number, 0) for number in range(count)]
    missing = (characters - len(compact(made))) // count
    return [_tool(number, missing) for number in range(count)]


def _tool(number: int, description: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        f"option_{index}": {"type": "string", "description": prose(90, number + index), "enum": ["one", "two", "three"]}
        for index in range(6)
    }
    properties["edits"] = {
        "type": "array",
        "items": {"type": "object", "properties": {"line": {"type": "integer"}, "text": {"type": "string"}}},
    }
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties,
        "required": ["option_0"],
        "additionalProperties": False,
    }
    function = {"name": f"tool_{number:02}", "description": prose(description, number), "parameters": schema}
    return {"type": "function", "function": function}


def conversation(turns: int = 200) -> list[dict[str, Any]]:
    """Return the messages of a coding agent's session: a question, then calls and results."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": prose(8000)},
        {"role": "user", "content": prose(500, 1)},
    ]
    for number in range((turns - 1) // 2):
        arguments = json.dumps({"option_0": "one", "text": prose(300, number)})
        function = {"name": f"tool_{number % 60:02}", "arguments": arguments}
        calls = [{"id": f"call_{number}", "type": "function", "function": function}]
        messages.append({"role": "assistant", "content": prose(100, number), "tool_calls": calls})
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": prose(1500, number)})
    return messages


def compact(value: object) -> str:
    """Return JSON without whitespace."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
