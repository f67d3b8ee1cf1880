"""What the simulator remembers of the requests it answered, for tests to look at."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_RECORDS = 10_000
# A second bound, so that long prompts do not fill the memory of a benchmark.
MOST_CHARACTERS = 64_000_000


@dataclass(slots=True)
class Record:
    """One request and how its answer ended; times are seconds since the epoch."""

    at: str
    path: str
    headers: dict[str, str]
    started: float
    agent_id: str | None = None
    prompt: str = ""
    characters: int = 0  # of the prompt
    body: Any = None
    ended: float | None = None
    status: int | None = None
    frames_sent: int = 0
    finished: bool = False
    disconnected: bool = False
    broken: str | None = None


@dataclass(slots=True)
class Counters:
    """Totals since the start or the last reset."""

    token_requests: int = 0
    chat_requests: int = 0
    tokens_issued: int = 0
    unauthorized: int = 0
    rate_limited: int = 0
    open_streams: int = 0
    most_open_streams: int = 0
    connections_reset: int = 0
    client_disconnects: int = 0
    frames_sent: int = 0


@dataclass(slots=True)
class Recorder:
    """The newest records, oldest first, and the counters."""

    counters: Counters = field(default_factory=Counters)
    _records: deque[Record] = field(default_factory=deque)
    _characters: int = 0

    def add(self, record: Record) -> None:
        """Remember `record`, and forget the oldest ones when there are too many."""
        self._records.append(record)
        self._characters += len(record.prompt)
        while len(self._records) > MOST_RECORDS or self._characters > MOST_CHARACTERS < self._characters:
            self._characters -= len(self._records.popleft().prompt)

    def opened(self, record: Record) -> None:
        """Count an answer that begins."""
        if record.at == "chat":
            self.counters.open_streams += 1
            self.counters.most_open_streams = max(self.counters.most_open_streams, self.counters.open_streams)

    def ended(self, record: Record) -> None:
        """Count an answer that ended, well or badly."""
        self.counters.open_streams -= record.at == "chat"
        self.counters.frames_sent += record.frames_sent
        self.counters.connections_reset += record.broken == "reset"
        self.counters.client_disconnects += record.disconnected

    def found(self, at: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """The records as JSON objects: all, those of one endpoint, those with that text in the prompt."""
        return [
            asdict(record)
            for record in self._records
            if at in (None, record.at) and (match is None or match in record.prompt)
        ]

    def clear(self) -> None:
        """Forget every record."""
        self._records.clear()
        self._characters = 0

    def reset_counters(self) -> None:
        """Set the totals to zero, but for the streams that are open."""
        still_open = self.counters.open_streams
        self.counters = Counters(open_streams=still_open, most_open_streams=still_open)


def hide_secret(authorization: str) -> str:
    """A short hash in place of a credential, the same for the same credential."""
    scheme, _, credential = authorization.rpartition(" ")
    return f"{scheme} sha256:{hashlib.sha256(credential.encode()).hexdigest()[:12]}".strip()
