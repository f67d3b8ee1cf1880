"""Short forms for the tasks, and their long texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..task import ExpectedCall, Task

CODE = "\n".join(
    f'def step_{n}(value: str) -> str:\n    """Step {n}: quote \\"{n}\\" and keep C:\\\\temp\\\\new."""\n'
    f'    return value.replace("{{{n}}}", f"<{n}>\\t") + "\\n"\n'
    for n in range(1, 13)
)
POEM = "\n".join(f"Verso {n}: o mar não tem fim, “disse” o poeta — e 'riu'." for n in range(1, 21))
LOG = "\n".join(
    f"2027-02-0{n % 9 + 1} 10:{n % 60:02d}:00 INFO worker={n % 7} job={n:05d} took {n * 37 % 900} ms"
    for n in range(2000)
)
HANDBOOK = "\n\n".join(
    f"Capítulo {n}. O processo {n} é aprovado pelo comitê {n % 5}, em até {n % 30 + 2} dias úteis, e arquivado na pasta {n * 13}."
    for n in range(1, 401)
)


def call(name: str, result: str = "ok", **arguments: Any) -> ExpectedCall:
    """Return an expected call."""
    return ExpectedCall(name, arguments, result)


def has(pattern: str, example: str = "") -> Mapping[str, str]:
    """Return what matches a string with this pattern; an involved pattern has an example."""
    return {"matches": pattern, "example": example} if example else {"matches": pattern}


def task(kind: str, name: str, user: str, *, system: str = "", **fields: Any) -> Task:
    """Return a task of one user message."""
    messages = [{"role": "system", "content": system}] if system else []
    return Task(name, kind, [*messages, {"role": "user", "content": user}], **fields)
