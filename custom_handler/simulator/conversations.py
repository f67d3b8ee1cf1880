"""The conversations that the service keeps where a client asks for it: for each agent, what it was told and what it said."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .steps import Break, Open, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MOST = 10_000
OK = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    prompt: str
    answer: str


@dataclass(slots=True)
class Conversation:
    """What one agent remembers; `id` is what its answers call it."""

    id: str
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def characters(self) -> int:
        """How much there is to read before a new question."""
        return sum(len(exchange.prompt) + len(exchange.answer) for exchange in self.exchanges)

    def remember(self, prompt: str, answer: str) -> None:
        """Remember one more exchange."""
        self.exchanges.append(Exchange(prompt, answer))


class Conversations:
    """The newest conversations by agent and id."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Conversation] = OrderedDict()
        self._lost: set[tuple[str, str]] = set()

    def lost(self, agent: str, identifier: str) -> bool:
        """Whether there was such a conversation, and is no longer."""
        return (agent, identifier) in self._lost

    def open(self, agent: str, identifier: str) -> Conversation:
        """The conversation of that id; a new one unless it is known."""
        key = (agent, identifier)
        self._lost.discard(key)
        known = self._known.setdefault(key, Conversation(identifier))
        self._known.move_to_end(key)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return known

    def forget(self) -> None:
        """Lose every conversation, as one day the service does."""
        self._lost |= set(self._known)
        self._known.clear()

    def clear(self) -> None:
        """Start anew: none was ever there."""
        self._known.clear()
        self._lost.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The conversations as JSON objects."""
        return [
            {
                "agent_id": agent,
                "conversation_id": identifier,
                "exchanges": len(conversation.exchanges),
                "characters": conversation.characters,
            }
            for (agent, identifier), conversation in self._known.items()
        ]


def watched(steps: Iterator[Step], heard: Callable[[], None]) -> Iterator[Step]:
    """The same steps; `heard` is called once a good answer was told to its end."""
    good = True
    for step in steps:
        good = good and not isinstance(step, Break) and not (isinstance(step, Open) and step.status != OK)
        yield step
    if good:
        heard()
