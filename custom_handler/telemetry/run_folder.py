"""The folder of a run, `runs/<run_id>/`: what ran (`manifest.json`), and what was asked of it (`interactions.jsonl`).

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
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
INTERACTIONS = "interactions.jsonl"


class RunFolder:
    """One run below `directory`; `models` are named in its manifest, as they are when that is written."""

    def __init__(self, directory: Path, models: Sequence[Mapping[str, str]] = ()) -> None:
        self.models = models
        self._directory = directory
        self._started = datetime.now(timezone.utc)

    def interactions(self) -> Path:
        """Name the file of the calls; the first process of the run makes its folder and its manifest. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        folder = self._directory / self._agreed_id()
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError), (folder / MANIFEST).open("x", encoding="utf-8") as file:
            json.dump(self._manifest(folder.name), file, indent=2, ensure_ascii=False)
        return folder / INTERACTIONS

    def _agreed_id(self) -> str:
        """Name the run after its start; workers of one proxy agree on the name of the first of them.

        What they share is the key that `multiprocessing` gives to a process and all its children. A link of that name
        is made by one of them, at once and with its content.
        """
        family = hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()[:8]
        mine = f"{self._started:%Y%m%dT%H%M%S}-{family}"
        link = self._directory / f".{family}"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(mine)
        return str(link.readlink())

    def _manifest(self, run_id: str) -> dict[str, Any]:
        return {
            "run_id": run_id,
            "kind": "proxy" if "litellm.proxy.proxy_server" in sys.modules else "command",
            "started_at": self._started.isoformat(timespec="seconds"),
            "git_sha": _git_sha(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "dependencies": dict(sorted((item.name, item.version) for item in metadata.distributions())),
            "models": list(self.models),
        }


def _git_sha() -> str | None:
    """Tell the commit of the working directory; None where there is none."""
    if given := os.environ.get("GIT_SHA"):  # an image has no repository
        return given
    command = ["git", "rev-parse", "HEAD"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        return told.stdout.strip()
    return None
