"""Which conversations the platform keeps for us: fingerprints of what was said, each with the conversation's id; those of one process.

`redis_conversations` keeps the same for many processes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

MOST = 10_000

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Conversations(Protocol):
    """Known conversations by fingerprint; `instant` tells that no network is asked."""

    instant: bool

    def take(self, fingerprint: str) -> str | None:
        """Return the id of a conversation, and forget it: of two calls that would continue it, one can."""

    def keep(self, fingerprint: str, conversation_id: str) -> None:
        """Remember a conversation for as long as the settings say."""

    def forget(self) -> None:
        """Begin anew in a fork's child: its parent goes on with the conversations that it knows."""


class LocalConversations:
    """The conversations of one process, `most` of them, for so many `seconds` each; any thread may use it."""

    instant = True

    def __init__(self, seconds: float, clock: Callable[[], float], most: int = MOST) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self.forget()

    def take(self, fingerprint: str) -> str | None:
        """See Conversations."""
        with self._lock:
            conversation_id, until = self._known.pop(fingerprint, (None, 0.0))
            return conversation_id if until > self._clock() else None

    def keep(self, fingerprint: str, conversation_id: str) -> None:
        """See Conversations; of too many, the one that was heard of least recently goes."""
        with self._lock:
            self._known[fingerprint] = conversation_id, self._clock() + self._seconds
            self._known.move_to_end(fingerprint)
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self) -> None:
        """See Conversations."""
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()


def new_conversation_id() -> str:
    """Make a ULID: the agent takes no other id (contract, section 2)."""
    number = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
