"""One question to the agent, and what is heard of its answer."""

from __future__ import annotations

import logging
from collections.abc import Generator

from ..errors import StackspotError
from ..events import AgentEnd, AgentEvent, Text, Usage
from ..stackspot.agent_call import Read
from ..stackspot.deadline import Deadline
from ..stackspot.frames import StreamDecoder

CHARACTERS_A_TOKEN = 4
FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


class Round:
    """One question to the agent and what is heard of its answer."""

    def __init__(self, prompt: str, deadline: Deadline, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.characters = 0
        self.chunks = 0
        self._prompt_characters = len(prompt)
        self._deadline = deadline
        self._decoder = StreamDecoder(log)
        self._end = AgentEnd()

    @property
    def stop_reason(self) -> str | None:
        """Why the agent says it ended."""
        return self._end.stop_reason

    @property
    def conversation_id(self) -> str | None:
        """In which conversation the agent says it answers."""
        return self._end.conversation_id

    @property
    def limited(self) -> bool:
        """Whether a limit of the agent's own ended it."""
        return FINISH_REASONS.get(self.stop_reason or "") == "length"

    @property
    def spoken(self) -> bool:
        """Whether text came."""
        return self.characters > 0

    @property
    def withheld(self) -> bool:
        """Whether tokens were spent and no text came (contract, section 3)."""
        return not self.characters and self._end.usage is not None and self._end.usage.completion_tokens > 0

    def read(self) -> Generator[Read, bytes | None, str | None]:
        """Read on, and return the text that came, None at the end.

        Once the agent has said its end, a connection that breaks is an end as good as any.
        """
        self._decoder.check()
        try:
            chunk = yield Read(self._deadline.silence_timeout(text_received=self.spoken))
        except StackspotError:
            if self.stop_reason is None:
                self._deadline.check(text_received=self.spoken)
                raise
            chunk = None
        if chunk is None:
            return None
        self.chunks += 1
        text = self._take(self._decoder.feed(chunk))
        self._deadline.check(text_received=self.spoken)
        return text

    def last(self) -> str:
        """Return the text that the end of the stream completes."""
        return self._take(self._decoder.flush())

    def usage(self, max_tokens: int | None) -> Usage:
        """Return the agent's own counts, or an estimate where its last frame is missing."""
        if self._end.usage is not None:
            return self._end.usage
        completion = _tokens(self.characters)
        return Usage(_tokens(self._prompt_characters), min(completion, max_tokens or completion))

    def counts(self) -> bool:
        """Tell whether the agent did anything for it."""
        return self.characters > 0 or self._end.usage is not None

    def _take(self, events: list[AgentEvent]) -> str:
        for event in events:
            if isinstance(event, AgentEnd):  # the last value of each field that is not None
                self._end = AgentEnd(
                    event.stop_reason or self._end.stop_reason,
                    event.usage or self._end.usage,
                    event.message_id or self._end.message_id,
                    event.conversation_id or self._end.conversation_id,
                )
        text = "".join(event.text for event in events if isinstance(event, Text))
        self.characters += len(text)
        return text


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)
