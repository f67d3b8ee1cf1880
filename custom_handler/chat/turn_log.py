"""The log of one turn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent_reply import AgentReply

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:  # Python 3.10 knows it without a parameter only
    _LoggerAdapter = logging.LoggerAdapter


class TurnLog(_LoggerAdapter):
    """Prefixes each message with the call's correlation id."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the prefixed message."""
        return f"[{self.extra['correlation_id'] if self.extra else ''}] {msg}", kwargs

    def called(self, names: Iterable[str]) -> None:
        """Log the tool calls of an answer, if it has any."""
        if listed := ", ".join(names):
            self.info("Tool calls: %s", listed)

    def answered(self, reply: AgentReply, seconds: float, limit: int) -> None:
        """Log the end of an answer; one of more than `limit` characters is cut off."""
        if reply.characters > limit:
            self.warning("The answer is cut off at %d characters (STACKSPOT_MAX_ANSWER_CHARS)", limit)
        self.debug("Answer of %d characters in %d chunks, %.3f s", reply.characters, reply.chunks, seconds)
