"""The conversations that StackSpot keeps, for requests with `use_conversation`."""

from __future__ import annotations

from typing import Any, TypeAlias

# The prompts and replies of one conversation.
Exchanges: TypeAlias = list[tuple[str, str]]
MOST_CONVERSATIONS = 10_000


def count_characters(exchanges: Exchanges) -> int:
    """Return the characters of all prompts and replies."""
    return sum(len(prompt) + len(reply) for prompt, reply in exchanges)


class Conversations:
    """The newest conversations by account, agent and id."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Exchanges] = {}
        self._lost: set[tuple[str, str, str]] = set()

    def is_lost(self, account: str, agent: str, identifier: str) -> bool:
        """Return whether `lose` has removed this conversation."""
        return (account, agent, identifier) in self._lost

    def open(self, account: str, agent: str, identifier: str) -> Exchanges:
        """Return the list to which the caller appends; it is empty for an unknown id."""
        key = (account, agent, identifier)
        self._lost.discard(key)
        self._known[key] = exchanges = self._known.pop(key, [])
        if len(self._known) > MOST_CONVERSATIONS:
            del self._known[next(iter(self._known))]
        return exchanges

    def lose(self) -> None:
        """Remove every conversation, as StackSpot does after some time."""
        self._lost |= set(self._known)
        self._known.clear()

    def list(self) -> list[dict[str, Any]]:
        """Return agent, id and size of each conversation as JSON objects."""
        return [
            {
                "agent_id": agent,
                "conversation_id": identifier,
                "exchanges": len(exchanges),
                "characters": count_characters(exchanges),
            }
            for (_, agent, identifier), exchanges in self._known.items()
        ]
