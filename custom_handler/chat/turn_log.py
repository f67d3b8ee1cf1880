"""The log of one turn."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent_reply import AgentReply

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:  # Python 3.10 knows it without a parameter only
    _LoggerAdapter = logging.LoggerAdapter


_PLAIN = re.compile(r"[\w.:/@+-]*", re.ASCII)


class TurnLog(_LoggerAdapter):
    """Prefixes each message with the call's correlation id, which the client may choose.

    One with other characters than ids have is quoted: it could look like the message, and a `%`
    is the start of an argument in it.

    >>> TurnLog(logging.getLogger(), {"correlation_id": "1] Done ["}).process("Failed", {})[0]
    "['1] Done ['] Failed"
    """

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the prefixed message."""
        given = str(self.extra["correlation_id"] if self.extra else "")
        shown = given if _PLAIN.fullmatch(given) else repr(given).replace("%", r"\x25")
        return f"[{shown}] {msg}", kwargs

    def called(self, names: Iterable[str]) -> None:
        """Log the tool calls of an answer, if it has any."""
        if listed := ", ".join(names):
            self.info("Tool calls: %s", listed)

    def answered(self, reply: AgentReply, seconds: float, limit: int) -> None:
        """Log the end of an answer; one of more than `limit` characters is cut off."""
        if reply.characters > limit:
            self.warning("The answer is cut off at %d characters (STACKSPOT_MAX_ANSWER_CHARS)", limit)
        self.debug("Answer of %d characters in %d chunks, %.3f s", reply.characters, reply.chunks, seconds)
