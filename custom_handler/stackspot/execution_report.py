"""Reads the state of a Quick Command's execution (platform contract, section 2).

Every shape is accepted that clients are known to read: any field may be null or missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from ..data_class import data_class

CREATED, RUNNING, COMPLETED, FAILED = "CREATED", "RUNNING", "COMPLETED", "FAILED"

_FAILURES = frozenset({"FAILURE", "FAILED", "ERROR", "CANCELLED", "CANCELED"})


@data_class
class ExecutionReport:
    """What a poll tells: `status` is one of the four above, an unknown word counts as RUNNING.

    `percentage` is between 0 and 100, None where the platform names none; `steps` are those
    that have a result. `text` is the answer of a completed execution, None where it has none;
    `sources` are as the platform sent them.
    """

    status: str
    percentage: int | None = None
    steps: int = 0
    text: str | None = field(default=None, repr=False)
    sources: tuple[Any, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> ExecutionReport:
        """Read the body of a poll.

        >>> ExecutionReport.read({"progress": {"status": "COMPLETED"}, "result": {"total": 3}}).text
        '{"total": 3}'
        """
        progress = body.get("progress")
        known = progress if isinstance(progress, Mapping) else {}
        status = _status(known.get("status"))
        steps = list(_steps(body.get("steps")))
        text = _result(body.get("result"), steps) if status == COMPLETED else None
        sources = [one for step in (*steps, body) for one in _list(step.get("sources"))]
        return cls(status, _percentage(known.get("execution_percentage")), len(steps), text, tuple(sources))


def read_execution_id(body: object) -> str:
    """Return the id in the response to a created execution, empty where it has none.

    It is a JSON string, an object, or bare text.

    >>> read_execution_id("01KC"), read_execution_id({"execution_id": "01KC"})
    ('01KC', '01KC')
    """
    if isinstance(body, Mapping):
        body = body.get("execution_id") or body.get("executionId") or body.get("id")
    text = body.strip().strip('"') if isinstance(body, str) else ""
    return text if 0 < len(text) <= 64 and text.replace("-", "").replace("_", "").isalnum() and text.isascii() else ""


def _status(value: object) -> str:
    word = value.upper() if isinstance(value, str) else CREATED if value is None else RUNNING
    return FAILED if word in _FAILURES else word if word in {CREATED, COMPLETED} else RUNNING


def _percentage(value: object) -> int | None:
    """Return a share of 1 as a percentage."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        return None
    return round(value * 100 if value <= 1 else value)


def _steps(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the results of the steps that have one, in the order of their execution."""
    steps = [one for one in _list(value) if isinstance(one, Mapping)]
    for step in sorted(steps, key=_order):
        result = step.get("step_result")
        if isinstance(result, str) and result:
            yield {"answer": result}
        elif isinstance(result, Mapping) and result:
            yield result


def _order(step: Mapping[str, Any]) -> float:
    order = step.get("execution_order")
    return order if isinstance(order, int | float) else 0


def _result(result: object, steps: list[Mapping[str, Any]]) -> str | None:
    """Return the result as text: that of the last step which has one if there is no other."""
    if result is not None:
        return _text(result)
    for step in reversed(steps):
        # A step that makes a web request has `data`, and `json_data` where that is JSON.
        for name in ("answer", "json_data", "data"):
            if step.get(name) not in (None, ""):
                return _text(step[name])
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
