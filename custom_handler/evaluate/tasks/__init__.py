"""The built-in tasks: what clients of a language model ask for, in twelve kinds.

Each can be judged without a second model: by calls, by patterns of the answer, or by a schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..task import Task
from . import answers, arguments, calls, coding, loops

_KINDS = (
    calls.single,
    calls.parallel,
    calls.nested,
    calls.required,
    arguments.long,
    answers.no_tool,
    answers.json,
    answers.context,
    loops.loops,
    loops.portuguese,
    loops.injected,
    coding.coding,
)


def built_in_tasks() -> Sequence[Task]:
    """Return the tasks that the package has."""
    return [replace(one, id=f"{one.kind}: {one.id}") for kind in _KINDS for one in kind()]
