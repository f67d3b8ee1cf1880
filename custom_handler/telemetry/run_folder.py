"""The folder of a run, `runs/<run_id>/`, with `manifest.json` and `interactions.jsonl`.

A run is a proxy with all its workers, or a program that uses the models of config.yaml.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from ..proxy_module import running_proxy

MANIFEST = "manifest.json"
INTERACTIONS = "interactions.jsonl"


class RunFolder:
    """One run below `directory`; set `models` for its manifest before `interactions` is called."""

    def __init__(self, directory: Path, models: Sequence[Mapping[str, str]] = ()) -> None:
        self.models = models
        self._directory = directory
        self._started = datetime.now(timezone.utc)

    def interactions(self) -> Path:
        """Return the path of interactions.jsonl; create its folder and manifest. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        folder = self._directory / self._run_id()
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError), (folder / MANIFEST).open("x", encoding="utf-8") as file:
            json.dump(self._manifest(folder.name), file, indent=2, ensure_ascii=False)
        return folder / INTERACTIONS

    def _run_id(self) -> str:
        """Return the run id, which begins with the start time of the first worker of the proxy.

        The workers share the authkey that `multiprocessing` passes from a process to its children.
        The first one creates a symbolic link, named by a hash of that key, to the id: creating a
        link is atomic, so the others read the same id.
        """
        family = hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()[:8]
        own_id = f"{self._started:%Y%m%dT%H%M%S}-{family}"
        link = self._directory / f".{family}"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(own_id)
        return str(link.readlink())

    def _manifest(self, run_id: str) -> dict[str, Any]:
        return {
            "run_id": run_id,
            "kind": "proxy" if running_proxy() is not None else "command",
            "started_at": self._started.isoformat(timespec="seconds"),
            "git_sha": _git_sha(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "dependencies": dict(sorted((item.name, item.version) for item in metadata.distributions())),
            "models": list(self.models),
        }


def _git_sha() -> str | None:
    """Return the commit of the working directory, or None."""
    if given := os.environ.get("GIT_SHA"):  # a container image has no repository
        return given
    command = ["git", "rev-parse", "HEAD"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        return result.stdout.strip()
    return None
