"""A conversation that the platform keeps, in one turn: who has seen what, and what to do when that is not so.

    begin ──▶ known: the agent is told the new turns only ──it was lost──▶ restart: all of it, in a new conversation
      │         └ it was not asked at all, for want of a place or a token: restore
      └─────▶ new: it is told all of it

Recalling a conversation forgets it, and it is remembered only after an answer about which nothing is in doubt. So what failed, was
cut off or runs at the same time can spoil no other turn: whoever finds no conversation tells the agent everything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..emulation.prompt.fingerprint import Fingerprint
from ..errors import (
    AgentForbidden,
    AgentNotFound,
    AgentRejected,
    ConfigurationError,
    ConversationLost,
    CreditExhausted,
    IdentityError,
    PromptTooLong,
    RateLimited,
    StackspotError,
    TokenRefused,
)
from ..events import ReplyEvent
from ..instrumentation import ConversationOutcome, Hook, Measurement, Retried
from ..stackspot.agent_call import SaveConversation, Steps, TakeConversation
from ..stackspot.state.conversations import new_conversation_id

# The platform's word for a conversation that it no longer has is not known: any refusal may be it.
LOST = (ConversationLost, AgentRejected, AgentForbidden, AgentNotFound, PromptTooLong)
# With these the agent was not asked, or has not listened.
UNASKED = (RateLimited, CreditExhausted, TokenRefused, IdentityError, ConfigurationError)


class NativeConversation:
    """The conversation in which a turn is asked: its `id`, and how many turns the agent has `seen` already."""

    def __init__(self, history: Fingerprint, log: logging.LoggerAdapter[logging.Logger], tell: Hook) -> None:
        self._history = history
        self._log = log
        self._tell = tell
        self.restart()

    def restart(self) -> None:
        """Begin a new conversation."""
        self.id = new_conversation_id()
        self.seen = 0
        self._doubtful = False

    def begin(self) -> Steps[ReplyEvent]:
        """Go on with the conversation that ends where the request's history does, if there is one."""
        known: str | None = None
        if self._history.seen is not None:
            known = yield TakeConversation(self._history.seen)
        if known is not None:
            self.id, self.seen = known, self._history.turns_seen
            self._log.debug("The agent has seen %d turns of the conversation", self.seen)
        self._tell(ConversationOutcome("continued" if self.seen else "begun"))

    def restore(self) -> Steps[ReplyEvent]:
        """Have the next turn go on where this one could not."""
        if self._history.seen is not None and not self._doubtful:
            yield SaveConversation(self._history.seen, self.id)

    def lost(self, error: StackspotError) -> None:
        """Note that the agent refused to go on with it, or did not."""
        self._tell(ConversationOutcome("lost"))
        self._log.warning("Conversation lost (%s): the agent is told everything", type(error).__name__)

    def check(self, answered_in: str | None) -> None:
        """Raise ConversationLost where the agent answers in another conversation than the known one."""
        if self.seen and answered_in not in (None, self.id):
            raise ConversationLost("The agent answers in another conversation.")

    def note(self, measure: Measurement) -> None:
        """Hear of a retry: the agent may have stored the question of the first attempt, too."""
        if isinstance(measure, Retried) and measure.reason != "RateLimited":
            self._doubtful = True

    def hear(self, events: Iterable[ReplyEvent]) -> None:
        """Note what the client is told."""
        self._history.hear(events)

    def remember(self, answered_in: str | None) -> Steps[ReplyEvent]:
        """Remember it with its answer; a new one by the id that the platform gave it."""
        if self.seen and answered_in not in (None, self.id):
            self._tell(ConversationOutcome("lost"))
            self._log.warning(
                "The agent no longer had the conversation, and answered without it; the next turn tells it everything. "
                "Where this repeats, STACKSPOT_CONVERSATION_KEEP is longer than the platform keeps conversations"
            )
        elif answered_in is None:
            self._log.warning("The agent did not name the conversation: the next turn tells it everything")
        elif not self._doubtful and (fingerprint := self._history.answered()) is not None:
            yield SaveConversation(fingerprint, answered_in)
