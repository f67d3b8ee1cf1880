"""Ideal replies to the tasks, with which the simulator plays an agent that can solve them.

They show how an evaluation looks, and what the reader makes of slips: how good an agent is, only
the agent can show. Where a task names rules, the agent follows those that it finds in the prompt;
where one is missing, it makes the task's mistaken calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from .task import ExpectedCall, Task

_STARTED_CALLS = regex.compile(r"^FUNCTION_CALL_START$", regex.MULTILINE)
_QUESTION_CHARACTERS = 120  # of a long question, its end is enough
# From a pattern to a text that it matches, for the simple patterns of the tasks.
_ANCHORS = regex.compile(r"\\b|[\^$]|\|.*|\(\?:|\\s[*+]|\.\*|\\w[*+]|.\?|\\W\*|(?<!\\)[()]")
_CLASS = regex.compile(r"\[(.)[^\]]*\][*+]?")
_ESCAPED = regex.compile(r"\\(.)")


def replies(tasks: Sequence[Task]) -> Callable[[str], str | None]:
    """Return a function from a prompt to the reply of an agent that solves its task."""
    by_question = sorted(((_question(task), task) for task in tasks), key=lambda one: -len(one[0]))

    def reply(prompt: str) -> str | None:
        for question, task in by_question:
            if (at := prompt.rfind(question)) >= 0:
                if not all(_within_json(rule) in prompt[:at] for rule in task.rules):
                    return "\n".join(map(_block, task.mistaken))
                end = prompt.rfind("\n«reminder»\n")  # a repair prompt repeats the faulty reply behind it
                return ideal_reply(task, len(_STARTED_CALLS.findall(prompt, at, max(at, end))))
        return None

    return reply


def ideal_reply(task: Task, calls_made: int) -> str:
    """Return the reply to a task after some calls: the calls of the next step, or the answer."""
    made = 0
    for step in task.steps:
        if made >= calls_made:
            return "\n".join(map(_block, step))
        made += len(step)
    if task.said:
        return sample_text(task.says[0])
    if task.json is not None:
        return json.dumps(sample(task.json), ensure_ascii=False)
    return "Pronto: " + "; ".join(map(sample_text, task.says))


def sample(expected: Any) -> Any:
    """Return a value that matches what a task expects."""
    if isinstance(expected, Mapping):
        if "matches" in expected:
            return expected.get("example") or sample_text(expected["matches"])
        return {name: sample(value) for name, value in expected.items()}
    return [sample(item) for item in expected] if isinstance(expected, list) else expected


def sample_text(pattern: str) -> str:
    """Return a text that a simple pattern matches.

    >>> sample_text(r"^S[aã]o Paulo|x")
    'Sao Paulo'
    """
    return _ESCAPED.sub(r"\1", _ANCHORS.sub("", _CLASS.sub(r"\1", pattern)))


def _question(task: Task) -> str:
    text = str(task.messages[-1].get("content"))
    if task.said:  # the simulated agent is asked for the whole answer, and writes its rest
        text = text.rpartition("\n\n«assistant»\n")[0]
    return text[-_QUESTION_CHARACTERS:]


def _within_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _block(call: ExpectedCall) -> str:
    arguments = json.dumps(sample(call.arguments), ensure_ascii=False)
    return f"FUNCTION_CALL_START\n{call.name}\narguments: {arguments}\nFUNCTION_CALL_END"
