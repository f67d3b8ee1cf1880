"""Reads the folder of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A line of `interactions.jsonl`: what the summary and the plots are made from. Times are in seconds and milliseconds."""

    at: datetime
    model: str
    latency: float
    first_token: float | None
    tokens_in: int
    tokens_out: int
    status: int
    error: str | None


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run: its manifest, and its calls in the order of their beginning; `unreadable` counts the lines that are none."""

    folder: Path
    manifest: dict[str, Any]
    calls: list[RecordedCall] = field(repr=False)
    unreadable: int = 0

    @property
    def name(self) -> str:
        """The run's id."""
        return self.folder.name


def read_run(directory: Path, name: str | None = None) -> RunLog:
    """Read a run of `directory`, the newest where none is named, a proxy's rather than a command's; `name` may also be a folder.

    Raises ConfigurationError, which says what there is.
    """
    folder = _named(directory, name) if name else _newest(directory)
    calls: list[RecordedCall] = []
    unreadable = 0
    for file in folder.glob("interactions*.jsonl"):
        for call in map(_call, _lines(file)):
            if call is None:
                unreadable += 1
            else:
                calls.append(call)
    return RunLog(folder, _manifest(folder), sorted(calls, key=lambda call: call.at), unreadable)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from filter(bytes.strip, lines)


def _newest(directory: Path) -> Path:
    known = _known(directory)
    if not known:
        raise ConfigurationError(
            f"There is no run in {directory}: start the proxy, or set RUNS_DIR to where it writes."
        )
    proxies = [name for name in known if _manifest(directory / name).get("kind") != "command"]
    return directory / (proxies or known)[-1]


def _named(directory: Path, name: str) -> Path:
    folder = next((folder for folder in (directory / name, Path(name)) if folder.is_dir()), None)
    if folder is None:
        raise ConfigurationError(
            f"There is no run {name!r} in {directory}; there are: {', '.join(_known(directory)) or 'none'}."
        )
    return folder.resolve()


def _known(directory: Path) -> list[str]:
    """Name the runs, the newest last; their names begin with the time of their start."""
    folders = directory.iterdir() if directory.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("."))


def _manifest(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def _call(line: bytes) -> RecordedCall | None:
    """Read a line; None for one that a full disk or a crash cut."""
    try:
        told = json.loads(line)
        first = told.get("time_to_first_token_ms")
        return RecordedCall(
            at=datetime.fromisoformat(told["time"]),
            model=str(told.get("model") or "(none)"),
            latency=float(told["latency_ms"]),
            first_token=None if first is None else float(first),
            tokens_in=int(told["usage"]["prompt_tokens"]),
            tokens_out=int(told["usage"]["completion_tokens"]),
            status=int(told["status"]),
            error=told.get("error_class"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
