"""The other team's process during `make siege`, and its measurements."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import servers
from .probe import HEALTH, NO_ANSWER_SECONDS


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the other team; times are seconds, `began` is of the monotonic clock."""

    kind: str
    began: float
    seconds: float
    status: int
    waited: float
    wrong: str

    @property
    def own(self) -> float:
        """The seconds that the proxy took, without those for which it waited for a CPU."""
        return max(0.0, self.seconds - self.waited)

    @property
    def ended(self) -> float:
        """The end on the monotonic clock."""
        return self.began + self.seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """What the other team saw in a span of time.

    `stall` is the longest health probe without the time for which the proxy waited for a CPU;
    `waited` is that time. `failures` are health probes and chats.
    """

    began: float
    ended: float
    rows: Sequence[Row]

    @property
    def longest(self) -> Row | None:
        """The health probe that took the proxy longest."""
        return max((row for row in self.rows if row.kind == HEALTH), key=lambda row: row.own, default=None)

    @property
    def stall(self) -> float:
        """What the longest health probe took the proxy, in seconds."""
        return self.longest.own if self.longest else 0

    @property
    def waited(self) -> float:
        """The further seconds of this probe, for which the proxy's main thread waited for a CPU."""
        return self.longest.waited if self.longest else 0

    @property
    def chats(self) -> list[Row]:
        """The chats of all protocols."""
        return [row for row in self.rows if row.kind != HEALTH]

    @property
    def chat_median(self) -> float:
        """The median of the chats, in seconds."""
        return statistics.median(row.seconds for row in self.chats) if self.chats else 0

    @property
    def chat_longest(self) -> float:
        """The seconds of the slowest chat."""
        return max((row.seconds for row in self.chats), default=0)

    def failures(self, cuts: Sequence[float] = ()) -> list[Row]:
        """Return failed requests, except those that ran without a response when a process was killed (`cuts`)."""
        failed = (row for row in self.rows if row.wrong)
        return [row for row in failed if row.status or not any(row.began <= cut <= row.ended for cut in cuts)]


class Other:
    """Read the measurements that the process prints."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._open: dict[int, tuple[str, float]] = {}
        self._newest: dict[bool, float] = {}
        self.rows: list[Row] = []

    def seen(self, began: float, ended: float) -> Seen:
        """Return the requests that ran between two times of the monotonic clock.

        Waits for responses that are outstanding at the end.
        """
        deadline = time.monotonic() + NO_ANSWER_SECONDS + 5
        while not self._complete(ended) and time.monotonic() < deadline:
            time.sleep(0.02)
        return Seen(began, ended, [row for row in self.rows if row.began <= ended and row.ended >= began])

    def _complete(self, ended: float) -> bool:
        """Return whether a probe and a chat have begun since, and all before them have ended."""
        self._read()
        return (
            all(began > ended for _, began in self._open.values())
            and set(self._newest) == {True, False}
            and all(began > ended for began in self._newest.values())
        )

    def _read(self) -> None:
        with self._log.open("rb") as log:
            log.seek(self._offset)
            lines, end, _ = log.read().rpartition(b"\n")
        self._offset += len(lines) + len(end)
        for line in lines.splitlines():
            number, *values = json.loads(line)
            if number in self._open:
                self.rows.append(Row(*self._open.pop(number), *values))
            else:
                kind, began = self._open[number] = tuple(values)
                self._newest[kind == HEALTH] = began


@contextmanager
def other_team(directory: Path, proxy: servers.Proxy, key: str) -> Iterator[Other]:
    """Run the process of the other team until the block ends."""
    log = directory / f"other-{time.monotonic_ns()}.log"
    environ = {"SIEGE_KEY": key, "SIEGE_MODEL": servers.STACKSPOT}
    command = [sys.executable, "-m", "benchmarks.siege.probe", proxy.url, str(proxy.process.pid)]
    with servers.running(command, log, environ):
        yield Other(log)
