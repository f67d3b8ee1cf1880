"""The figures of each call of a run, in columns, for the page that filters and sums them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .run_log import RecordedCall, RunLog

MAX_CALLS = 20_000
"""How many calls a page shows: the newest; each has some 100 bytes."""

UNKNOWN_MODELS = "(unknown models)"
_NO_KEY = "(no key)"


def report_data(run: RunLog, runs: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the run as JSON values; `runs` are the names of those that a reader may choose.

    `calls` has a list for each field, all of one length: `at` in milliseconds since the epoch,
    `latency` and `first` (to the first token, or None) in milliseconds, `cost` in USD; `model`,
    `key` and `error` are positions in the lists of names, and -1 is no error.
    """
    calls = run.calls[-MAX_CALLS:]
    models, keys, errors = _Names(), _Names(), _Names()
    return {
        "run": run.name,
        "runs": None if runs is None else list(runs),
        "facts": _facts(run, len(run.calls) - len(calls)),
        "calls": {
            "at": [round(1000 * call.at.timestamp()) for call in calls],
            "model": [models.place(_model(call)) for call in calls],
            "key": [keys.place(call.key or _NO_KEY) for call in calls],
            "latency": [call.latency for call in calls],
            "first": [call.first_token for call in calls],
            "in": [call.tokens_in for call in calls],
            "out": [call.tokens_out for call in calls],
            "cost": [call.cost for call in calls],
            "tools": [call.tool_calls for call in calls],
            "retries": [call.retries for call in calls],
            "repairs": [call.repairs for call in calls],
            "error": [errors.place(f"{call.status} {call.error}") if call.error else -1 for call in calls],
            "id": [call.request_id or "" for call in calls],
        },
        "models": models.names,
        "keys": keys.names,
        "errors": errors.names,
    }


class _Names:
    """Names in the order in which they came, each once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def place(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places))


def _model(call: RecordedCall) -> str:
    """Return the model's name, or one for all names that only a client knows."""
    return UNKNOWN_MODELS if call.error and not call.provider else call.model


def _facts(run: RunLog, left_out: int) -> list[str]:
    manifest, versions = run.manifest, run.manifest.get("dependencies")
    litellm = versions.get("litellm", "?") if isinstance(versions, dict) else "?"
    return [
        f"Run {run.name}",
        f"Python {manifest.get('python', '?')}",
        f"LiteLLM {litellm}",
        f"git {str(manifest.get('git_sha') or 'unknown')[:12]}",
        *([f"the newest {MAX_CALLS} calls, without {left_out} before them"] if left_out else []),
        *([f"{run.unreadable} unreadable lines"] if run.unreadable else []),
        *(["older lines are not read"] if run.truncated else []),
    ]
