"""Encoded answers by key, for models with a cache, in this process.

`redis_answers` has the same for several processes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

MAX_ANSWER_BYTES = 1_000_000  # of one answer
ENTRY_BYTES = 400  # that Python needs for an entry beside its key and its answer


class AnswerStore(Protocol):
    """Encoded answers by key; where `is_local`, the methods make no network call."""

    is_local: bool

    def get(self, key: str) -> bytes | None:
        """Return a stored answer, None without one or once its time is over."""

    def put(self, key: str, answer: bytes, seconds: float) -> None:
        """Store an answer for so many seconds; one of more than MAX_ANSWER_BYTES is not stored."""

    def reset_after_fork(self) -> None:
        """Drop local answers in a child process."""


class LocalAnswerStore:
    """A thread-safe store of at most `max_bytes`; the least recently used answer goes first."""

    is_local = True

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self.reset_after_fork()

    def get(self, key: str) -> bytes | None:
        """See AnswerStore."""
        with self._lock:
            answer, expires = self._known.get(key, (None, 0.0))
            if answer is None:
                return None
            if expires <= self._clock():
                self._drop(key)
                return None
            self._known.move_to_end(key)
            return answer

    def put(self, key: str, answer: bytes, seconds: float) -> None:
        """See AnswerStore."""
        with self._lock:
            if key in self._known:
                self._drop(key)
            size = _size(key, answer)
            if len(answer) > MAX_ANSWER_BYTES or size > self._max_bytes:
                return
            self._known[key] = answer, self._clock() + seconds
            self.bytes += size
            while self.bytes > self._max_bytes:
                self._drop(next(iter(self._known)))

    def _drop(self, key: str) -> None:
        answer, _ = self._known.pop(key)
        self.bytes -= _size(key, answer)

    def reset_after_fork(self) -> None:
        """See AnswerStore."""
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.bytes = 0


def _size(key: str, answer: bytes) -> int:
    return len(key) + len(answer) + ENTRY_BYTES
