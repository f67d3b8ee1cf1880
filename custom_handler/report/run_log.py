"""Read the folder of a run: its manifest and its recorded calls."""

from __future__ import annotations

import contextlib
import json
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..data_class import data_class
from ..errors import ConfigurationError


@data_class
class RecordedCall:
    """A line of `interactions.jsonl`.

    `latency` and `first_token` are in milliseconds, `cost` in USD.
    """

    at: datetime
    model: str
    latency: float
    first_token: float | None
    tokens_in: int
    tokens_out: int
    status: int
    error: str | None
    key: str | None = None
    provider: str | None = None
    request_id: str | None = None
    cost: float = 0.0
    tool_calls: int = 0
    retries: int = 0
    repairs: int = 0


@data_class
class RunLog:
    """A run: its manifest and its calls by start time.

    `unreadable` counts invalid lines; `truncated` says that older lines were not read.
    """

    folder: Path
    manifest: dict[str, Any]
    calls: list[RecordedCall] = field(repr=False)
    unreadable: int = 0
    truncated: bool = False

    @property
    def name(self) -> str:
        """Return the run id."""
        return self.folder.name


def read_run(directory: Path, name: str | None = None, max_bytes: int | None = None) -> RunLog:
    """Read a run of `directory`, by its name or its path, or the last `max_bytes` of its lines.

    Without a name, read the newest run of a proxy, else that of a command. Raises
    ConfigurationError if there is none, and for a folder that is none.
    """
    folder = _find(directory, name) if name else _newest(directory)
    calls: list[RecordedCall] = []
    unreadable, left, truncated = 0, max_bytes, False
    newest_first = sorted(folder.glob("interactions*.jsonl"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in newest_first:
        with file.open("rb") as lines:
            if left is not None:
                size = file.stat().st_size
                if size > left:
                    lines.seek(size - left)
                    lines.readline()  # the rest of a line
                    truncated = True
                left = max(0, left - size)
            for call in map(_call, filter(bytes.strip, lines)):
                if call is None:
                    unreadable += 1
                else:
                    calls.append(call)
    return RunLog(folder, _manifest(folder), sorted(calls, key=lambda call: call.at), unreadable, truncated)


def _newest(directory: Path) -> Path:
    names = run_names(directory)
    if not names:
        raise ConfigurationError(
            f"There is no run in {directory}: start the proxy, or set RUNS_DIR to where it writes."
        )
    proxies = [name for name in names if _manifest(directory / name).get("kind") != "command"]
    return directory / (proxies or names)[-1]


def _find(directory: Path, name: str) -> Path:
    folder = next((folder for folder in (directory / name, Path(name)) if folder.is_dir()), None)
    if folder is None:
        raise ConfigurationError(
            f"There is no run {name!r} in {directory}; there are: {', '.join(run_names(directory)) or 'none'}."
        )
    if not _is_run(folder):
        raise ConfigurationError(
            f"{folder} is not a run: it has neither interactions.jsonl nor a manifest.json of a run. Name one of "
            f"{directory}: {', '.join(run_names(directory)) or 'none'}."
        )
    return folder.resolve()


def _is_run(folder: Path) -> bool:
    return "run_id" in _manifest(folder) or any(folder.glob("interactions*.jsonl"))


def run_names(directory: Path) -> list[str]:
    """Return the names of the runs, which begin with their start time, the newest last."""
    folders = directory.iterdir() if directory.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def _manifest(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest if isinstance(manifest, dict) else {}
    return {}


def _call(line: bytes) -> RecordedCall | None:
    """Parse a line; return None if a full disk or a crash truncated it."""
    try:
        record = json.loads(line)
        first = record.get("time_to_first_token_ms")
        return RecordedCall(
            at=datetime.fromisoformat(record["time"]),
            model=str(record.get("model") or "(none)"),
            latency=float(record["latency_ms"]),
            first_token=None if first is None else float(first),
            tokens_in=int(record["usage"]["prompt_tokens"]),
            tokens_out=int(record["usage"]["completion_tokens"]),
            status=int(record["status"]),
            error=record.get("error_class"),
            key=record.get("key"),
            provider=record.get("provider"),
            request_id=record.get("request_id"),
            cost=float(record.get("cost_usd") or 0),
            tool_calls=int(record.get("tool_calls") or 0),
            retries=int(record.get("retries") or 0),
            repairs=int(record.get("repairs") or 0),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
