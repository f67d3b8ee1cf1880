"""The native conversation of one turn, which StackSpot keeps under an id.

    begin ──▶ continued: only new turns are sent ──lost──▶ restart: all turns, in a new conversation
      │           └ the request was not processed (no slot, no token): restore
      └─────▶ new: all turns are sent

`begin` takes the conversation's id out of the store, and `save` puts it back only after a complete
answer. So a turn that failed, was cut off or runs concurrently affects no other turn: without an id
in the store, all turns are sent.
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

# How the platform rejects an unknown conversation is not documented: any rejection may mean that.
CONVERSATION_LOST_ERRORS = (ConversationLost, AgentRejected, AgentForbidden, AgentNotFound, PromptTooLong)
# With these the agent has not processed the request.
NOT_PROCESSED_ERRORS = (RateLimited, CreditExhausted, TokenRefused, IdentityError, ConfigurationError)


class NativeConversation:
    """The conversation `id` that a turn uses, and how many turns of it the agent has `seen`."""

    def __init__(self, history: Fingerprint, log: logging.LoggerAdapter[logging.Logger], hook: Hook) -> None:
        self._history = history
        self._log = log
        self._hook = hook
        self.restart()

    def restart(self) -> None:
        """Switch to a new conversation."""
        self.id = new_conversation_id()
        self.seen = 0
        self._retried = False

    def begin(self) -> Steps[ReplyEvent]:
        """Continue the stored conversation with the request's history, if there is one."""
        stored: str | None = None
        if self._history.seen is not None:
            stored = yield TakeConversation(self._history.seen)
        if stored is not None:
            self.id, self.seen = stored, self._history.turns_seen
            self._log.debug("The agent has seen %d turns of the conversation", self.seen)
        self._hook(ConversationOutcome("continued" if self.seen else "begun"))

    def restore(self) -> Steps[ReplyEvent]:
        """Put the conversation back: the agent has not processed this turn."""
        if self._history.seen is not None and not self._retried:
            yield SaveConversation(self._history.seen, self.id)

    def report_lost(self, error: StackspotError) -> None:
        """Report that the agent did not continue the conversation."""
        self._hook(ConversationOutcome("lost"))
        self._log.warning("Conversation lost (%s): all turns are sent again", type(error).__name__)

    def check(self, reply_id: str | None) -> None:
        """Raise ConversationLost if the agent did not use the stored conversation."""
        if self.seen and reply_id not in (None, self.id):
            raise ConversationLost("The agent answers in another conversation.")

    def on_measurement(self, measurement: Measurement) -> None:
        """Note a retry: the agent may have stored the message of the first attempt, too."""
        if isinstance(measurement, Retried) and measurement.reason != "RateLimited":
            self._retried = True

    def record(self, events: Iterable[ReplyEvent]) -> None:
        """Record events of the answer, for the fingerprint of the next turn."""
        self._history.record(events)

    def save(self, reply_id: str | None) -> Steps[ReplyEvent]:
        """Store the conversation, by the id that the agent sent, for the next turn."""
        if self.seen and reply_id not in (None, self.id):
            self._hook(ConversationOutcome("lost"))
            self._log.warning(
                "The agent no longer had the conversation, and answered without it; the next turn sends all turns. "
                "If this repeats, STACKSPOT_CONVERSATION_KEEP is longer than the platform keeps conversations"
            )
        elif reply_id is None:
            self._log.warning("The agent sent no conversation id: the next turn sends all turns")
        elif not self._retried and (fingerprint := self._history.answered()) is not None:
            yield SaveConversation(fingerprint, reply_id)
