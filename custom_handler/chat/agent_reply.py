"""One request to the agent, and its reply as far as it has arrived."""

from __future__ import annotations

import logging
from dataclasses import InitVar, dataclass, field

from ..emulation.answer import AnswerAssembler
from ..events import ReplyEvent, Usage
from ..stackspot.frames import StreamDecoder
from .conversation import NativeConversation

CHARACTERS_PER_TOKEN = 4
FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


@dataclass(eq=False)
class AgentReply:
    """A prompt and the reply to it: `feed` takes the reply's bytes, `flush` ends it.

    `answer` assembles the reply's text. The events of a `buffered` reply are collected in `unsent`
    instead of emitted. `conversation` is the native conversation that the request continues or
    starts, `repair` marks the request of a repair round.
    """

    prompt: str
    answer: AnswerAssembler
    log: InitVar[logging.LoggerAdapter[logging.Logger]]
    conversation: NativeConversation | None = None
    buffered: bool = False
    repair: bool = False
    max_frame_bytes: int | None = None
    unsent: list[ReplyEvent] = field(default_factory=list, init=False)
    complete: bool = field(default=False, init=False)
    characters: int = field(default=0, init=False)
    chunks: int = field(default=0, init=False)

    def __post_init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._decoder = StreamDecoder(log, self.max_frame_bytes)

    @property
    def stop_reason(self) -> str | None:
        """The agent's stop reason, None before it has sent one."""
        return self._decoder.end.stop_reason

    @property
    def conversation_id(self) -> str | None:
        """The id of the conversation that the agent used, None before it has sent one."""
        return self._decoder.end.conversation_id

    @property
    def hit_token_limit(self) -> bool:
        """Whether the agent's own token limit ended the reply."""
        return FINISH_REASONS.get(self.stop_reason or "") == "length"

    @property
    def text_received(self) -> bool:
        """Whether any text has arrived."""
        return self.characters > 0

    @property
    def was_processed(self) -> bool:
        """Whether the agent sent text or token counts."""
        return self.characters > 0 or self._decoder.end.usage is not None

    @property
    def content_filtered(self) -> bool:
        """Whether the agent used tokens but sent no text (contract, section 3)."""
        usage = self._decoder.end.usage
        return not self.characters and usage is not None and usage.completion_tokens > 0

    def feed(self, chunk: bytes) -> str:
        """Return the text in these bytes; raises StackspotError, see StreamDecoder."""
        self.chunks += 1
        text = self._decoder.feed(chunk)
        self.characters += len(text)
        return text

    def flush(self) -> str:
        """Return the text that the end of the stream completes."""
        text = self._decoder.flush()
        self.characters += len(text)
        return text

    def check(self) -> None:
        """Raise the error that the agent sent after the last text."""
        self._decoder.check()

    def usage(self, max_tokens: int | None) -> Usage:
        """Return the agent's token counts, or an estimate where they are missing.

        An answer that is cut at `max_tokens` has no more, even if all of the reply has arrived.
        """
        usage = self._decoder.end.usage
        if usage is None:
            usage = Usage(_tokens(len(self.prompt)), _tokens(self.characters))
        elif not self.answer.truncated:
            return usage
        return Usage(usage.prompt_tokens, min(usage.completion_tokens, max_tokens or usage.completion_tokens))


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
