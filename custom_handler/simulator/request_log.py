"""The log of received requests, for tests to read."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp.web import Request

MOST_RECORDS = 10_000


@dataclass(slots=True)
class Record:
    """One request and how its response ended; times are seconds since the epoch."""

    at: str
    path: str
    headers: dict[str, str]
    started: float
    account: str | None = None  # its client id
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
    records: deque[Record] = field(default_factory=lambda: deque(maxlen=MOST_RECORDS))

    def start(self, record: Record) -> None:
        """Record a request and count an open stream."""
        self.records.append(record)
        if record.at == "chat":
            self.counters.open_streams += 1
            self.counters.most_open_streams = max(self.counters.most_open_streams, self.counters.open_streams)

    def end(self, record: Record) -> None:
        """Count a response that ended, completely or not."""
        record.ended = time.time()
        self.counters.open_streams -= record.at == "chat"
        self.counters.frames_sent += record.frames_sent
        self.counters.connections_reset += record.broken == "reset"
        self.counters.client_disconnects += record.disconnected

    def find(self, at: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """Return records as JSON objects: of one endpoint, and with this text in the prompt."""
        return [
            asdict(record)
            for record in self.records
            if at in (None, record.at) and (match is None or match in record.prompt)
        ]

    def reset(self) -> None:
        """Remove the records and set the totals to zero, except the number of open streams."""
        self.records.clear()
        still_open = self.counters.open_streams
        self.counters = Counters(open_streams=still_open, most_open_streams=still_open)


def record_of(at: str, request: Request) -> Record:
    """Return the record of a request, with a short hash in place of the credential."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "authorization" in headers:
        scheme, _, credential = headers["authorization"].rpartition(" ")
        headers["authorization"] = f"{scheme} sha256:{hashlib.sha256(credential.encode()).hexdigest()[:12]}".strip()
    return Record(at, request.path, headers, time.time())
