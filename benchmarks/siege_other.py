"""The other team's process during `make siege`, and its measurements."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import servers
from .siege_probe import CHAT, HEALTH, NO_ANSWER_SECONDS


@dataclass(frozen=True, slots=True)
class Seen:
    """The longest health probe and the chats in a span of time, in seconds."""

    stall: float
    slowest_chat: float
    chats: int
    failed_chats: int

    def better(self, other: Seen) -> Seen:
        """Return the shorter times of two measurements, and all failures of both."""
        return Seen(
            min(self.stall, other.stall),
            min(self.slowest_chat, other.slowest_chat),
            self.chats + other.chats,
            self.failed_chats + other.failed_chats,
        )


class Other:
    """Read the measurements that the process prints."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._rows: list[tuple[str, float, float, int]] = []

    def seen(self, began: float, ended: float) -> Seen:
        """Return the measurements between two times of the monotonic clock.

        Waits for responses that are outstanding at the end.
        """
        deadline = time.monotonic() + NO_ANSWER_SECONDS + 5
        while not self._complete(ended) and time.monotonic() < deadline:
            time.sleep(0.02)
        within = [row for row in self._rows if row[1] <= ended and row[1] + row[2] >= began]
        self._rows = [row for row in self._rows if row[1] + row[2] >= ended]
        chats = [(seconds, status) for kind, _, seconds, status in within if kind == CHAT]
        return Seen(
            max((seconds for kind, _, seconds, _ in within if kind == HEALTH), default=0),
            max((seconds for seconds, _ in chats), default=0),
            len(chats),
            sum(status != 200 for _, status in chats),
        )

    def _complete(self, ended: float) -> bool:
        """Return whether a probe and a chat have ended since."""
        with self._log.open(encoding="utf-8") as log:
            log.seek(self._offset)
            text = log.read()
        lines, _, _ = text.rpartition("\n")
        self._offset += len(lines) + 1 if lines else 0
        self._rows += (tuple(json.loads(line)) for line in lines.splitlines())
        return {kind for kind, began, seconds, _ in self._rows if began + seconds > ended} == {HEALTH, CHAT}


@contextmanager
def other_team(directory: Path, url: str, key: str) -> Iterator[Other]:
    """Run the process of the other team until the block ends."""
    log = directory / f"other-{time.monotonic_ns()}.log"
    environ = {"SIEGE_KEY": key, "SIEGE_MODEL": servers.STACKSPOT}
    with servers.running([sys.executable, "-m", "benchmarks.siege_probe", url], log, environ):
        yield Other(log)
