"""What a conversation over a socket remembers: the last turns, within a bound of turns and of bytes."""

from __future__ import annotations

import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field

SESSIONS = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a session remembers: turns (a question and its answer) and bytes of text in UTF-8."""

    turns: int
    bytes: int


@dataclass(slots=True)
class Session:
    """One conversation; the agent sees its correlation id with every question."""

    bounds: Bounds
    correlation_id: str
    _turns: deque[tuple[str, str]] = field(default_factory=deque)

    def ask(self, question: str) -> list[dict[str, str]]:
        """Return the messages that ask a question after what was said before."""
        messages = []
        for asked, answered in self._turns:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return [*messages, {"role": "user", "content": question}]

    def keep(self, question: str, answer: str) -> None:
        """Remember a turn, and forget the oldest ones beyond the bounds."""
        self._turns.append((question, answer))
        while len(self._turns) > self.bounds.turns or self._size() > self.bounds.bytes:
            self._turns.popleft()

    def _size(self) -> int:
        return sum(len(text.encode()) for turn in self._turns for text in turn)


class Sessions:
    """The conversations of one socket, and so of one key; of more than 100 the one longest unused is forgotten.

    Each has a correlation id of its own, unless the client gave one for all.
    """

    def __init__(self, bounds: Bounds, correlation_id: str | None = None) -> None:
        self._bounds = bounds
        self._correlation_id = correlation_id
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __getitem__(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            self._sessions[session_id] = Session(self._bounds, self._correlation_id or str(uuid.uuid4()))
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return self._sessions[session_id]
