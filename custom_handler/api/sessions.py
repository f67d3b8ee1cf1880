"""The history of conversations over a WebSocket: the last turns, limited in number and bytes."""

from __future__ import annotations

import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ..data_class import data_class

MAX_SESSIONS = 100
"""Sessions of one WebSocket."""


@data_class
class HistoryLimits:
    """Maximum history of a session: turns (a question and its answer), and bytes of their UTF-8."""

    turns: int
    bytes: int


@dataclass(slots=True)
class Session:
    """One conversation; all its requests have the same correlation id."""

    limits: HistoryLimits
    correlation_id: str
    _turns: deque[tuple[str, str]] = field(default_factory=deque)

    def messages(self, question: str) -> list[dict[str, str]]:
        """Return the history and a new question, as messages.

        >>> session = Session(HistoryLimits(turns=10, bytes=1000), "c-1")
        >>> session.add_turn("Hi", "Hello")
        >>> [message["content"] for message in session.messages("How are you?")]
        ['Hi', 'Hello', 'How are you?']
        """
        history = []
        for user, assistant in self._turns:
            history += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
        return [*history, {"role": "user", "content": question}]

    def add_turn(self, question: str, answer: str) -> None:
        """Append a turn, and drop the oldest ones beyond the limits."""
        self._turns.append((question, answer))
        while len(self._turns) > self.limits.turns or self._size() > self.limits.bytes:
            self._turns.popleft()

    def _size(self) -> int:
        return sum(len(text.encode()) for turn in self._turns for text in turn)


class Sessions:
    """The sessions of one WebSocket by id; beyond `MAX_SESSIONS` the least recently used is lost.

    Each has its own correlation id, unless the client sent one for all.
    """

    def __init__(self, limits: HistoryLimits, correlation_id: str | None = None) -> None:
        self._limits = limits
        self._correlation_id = correlation_id
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __getitem__(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            self._sessions[session_id] = Session(self._limits, self._correlation_id or str(uuid.uuid4()))
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return self._sessions[session_id]
