"""Ids of the conversations that StackSpot keeps, by fingerprint of their turns, in this process.

`redis_conversations` has the same for several processes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

MAX_CONVERSATIONS = 10_000

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ConversationStore(Protocol):
    """Conversation ids by fingerprint; where `is_local`, the methods make no network call."""

    is_local: bool

    def take(self, fingerprint: str) -> str | None:
        """Remove and return the id of a conversation: only one of two calls can continue it."""

    def put(self, fingerprint: str, conversation_id: str) -> None:
        """Store a conversation for STACKSPOT_CONVERSATION_KEEP seconds."""

    def reset_after_fork(self) -> None:
        """Drop local conversations in a child process: the parent continues them."""


class LocalConversationStore:
    """A thread-safe store of at most `max_size` conversations, each valid for `seconds`."""

    is_local = True

    def __init__(self, seconds: float, clock: Callable[[], float], max_size: int = MAX_CONVERSATIONS) -> None:
        self._seconds = seconds
        self._clock = clock
        self._max_size = max_size
        self.reset_after_fork()

    def take(self, fingerprint: str) -> str | None:
        """See ConversationStore."""
        with self._lock:
            conversation_id, expires = self._known.pop(fingerprint, (None, 0.0))
            return conversation_id if expires > self._clock() else None

    def put(self, fingerprint: str, conversation_id: str) -> None:
        """See ConversationStore; beyond `max_size` the least recently stored one is dropped."""
        with self._lock:
            self._known[fingerprint] = conversation_id, self._clock() + self._seconds
            self._known.move_to_end(fingerprint)
            if len(self._known) > self._max_size:
                self._known.popitem(last=False)

    def reset_after_fork(self) -> None:
        """See ConversationStore."""
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()


def new_conversation_id() -> str:
    """Return a new ULID, the only form of id that the agent accepts (contract, section 2)."""
    number = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
