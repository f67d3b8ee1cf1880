"""One request to the agent, and its reply as far as it has arrived."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..emulation.answer import AnswerAssembler
from ..errors import AgentFailed, ContentFiltered, StackspotError
from ..events import ReplyEvent, Source, Usage
from ..stackspot.frames import StreamDecoder
from ..stackspot.private import Private
from ..stackspot.refusals import is_filter_reason
from .conversation import NativeConversation

if TYPE_CHECKING:
    from ..emulation.continuation import Continuation

CHARACTERS_PER_TOKEN = 4
LIMIT_REASONS = frozenset({"length", "max_tokens"})


@dataclass(eq=False)
class AgentReply:
    """A prompt and the reply to it: `begin` starts it, `feed` takes its bytes, `flush` ends it.

    `start` is its first text, `ended` is True after its last, `timeout` is that of the next read,
    `failed` whether `check` raises an error that the agent sent after the text.
    `answer` assembles the text. The events of a `buffered` reply are collected in `unsent` instead
    of emitted. `conversation` is the native conversation that the request continues or starts,
    `repair` marks the request of a repair round, errors do not repeat what is `private`.

    `broken` is the reply that this one continues, by `continuation` and in the same `answer`;
    `error` is what a reply broke off with.
    """

    prompt: str
    answer: AnswerAssembler
    log: logging.LoggerAdapter[logging.Logger]
    conversation: NativeConversation | None = None
    buffered: bool = False
    repair: bool = False
    max_frame_bytes: int | None = None
    private: Private | None = None
    unsent: list[ReplyEvent] = field(default_factory=list, init=False)
    complete: bool = field(default=False, init=False)
    characters: int = field(default=0, init=False)
    chunks: int = field(default=0, init=False)
    start: str = field(default="", init=False)
    ended: bool = field(default=False, init=False)
    failed: bool = field(default=False, init=False)
    broken: AgentReply | None = field(default=None, init=False)
    continuation: Continuation | None = field(default=None, init=False)
    error: StackspotError | None = field(default=None, init=False)
    _blocked: bool = field(default=False, init=False)
    timeout: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.begin(self.timeout)

    def begin(self, timeout: float) -> None:
        """Start to read, perhaps once more; the first read may take `timeout` seconds."""
        self._decoder = StreamDecoder(self.log, self.max_frame_bytes, self.private)
        self.timeout = timeout
        self.ended = False

    @property
    def hidden(self) -> bool:
        """Whether the client does not see this request: it repairs or continues another reply."""
        return self.repair or self.broken is not None

    @property
    def has_end(self) -> bool:
        """Whether the agent said that the reply ends here."""
        return self.stop_reason is not None or self._decoder.ended

    @property
    def stop_reason(self) -> str | None:
        """The agent's stop reason, None before it has sent one."""
        return self._decoder.end.stop_reason

    @property
    def conversation_id(self) -> str | None:
        """The id of the conversation that the agent used, None before it has sent one."""
        return self._decoder.end.conversation_id

    @property
    def counted(self) -> Usage | None:
        """The agent's own token counts, None before it has sent any."""
        return self._decoder.end.usage

    @property
    def sources(self) -> tuple[Source, ...]:
        """The knowledge sources that the agent has named so far, for a broken reply, too."""
        before = () if self.broken is None else self.broken.sources
        return tuple(dict.fromkeys([*before, *self._decoder.sources.sources()]))

    @property
    def hit_token_limit(self) -> bool:
        """Whether the agent's own token limit ended the reply."""
        return (self.stop_reason or "").lower() in LIMIT_REASONS

    @property
    def text_received(self) -> bool:
        """Whether any text has arrived."""
        return self.characters > 0

    @property
    def is_whole(self) -> bool:
        """Whether the agent said that the reply ends here, and all of it was read."""
        return self.stop_reason is not None and not self.answer.done

    @property
    def was_processed(self) -> bool:
        """Whether the agent sent text or token counts."""
        return self.characters > 0 or self._decoder.end.usage is not None

    @property
    def content_filtered(self) -> bool:
        """Whether the platform says that a content filter ended or blocked the reply.

        It does so by an error, by its stop reason, or by a null message for which tokens were used
        (contract, section 3). A reply that is merely empty is not filtered.
        """
        usage = self._decoder.end.usage
        without_text = usage is not None and usage.completion_tokens > 0 and self._decoder.null_message
        return self._blocked or is_filter_reason(self.stop_reason) or (not self.characters and without_text)

    def feed(self, chunk: bytes) -> str:
        """Return the text in these bytes; raises StackspotError, see StreamDecoder.

        A content filter's error after text ends the reply.
        """
        self.chunks += 1
        try:
            text = self._decoder.feed(chunk)
        except ContentFiltered as error:
            return self._end_filtered(error)
        self.characters += len(text)
        self.failed = self._decoder.failure is not None
        return text if self.continuation is None else self._joined(self.continuation.feed(text))

    def flush(self) -> str:
        """Return the text that the end of the stream completes."""
        self.ended = True
        try:
            text = self._decoder.flush()
        except ContentFiltered as error:
            return self._end_filtered(error)
        self.characters += len(text)
        if self.continuation is None:
            return text
        return self._joined(self.continuation.feed(text) + self.continuation.flush())

    def _joined(self, text: str) -> str:
        """Return text that follows the broken reply; raises AgentFailed where none can."""
        restarted = self.continuation is not None and self.continuation.restarted
        if restarted or (self.ended and self.continuation is not None and self.continuation.empty):
            raise AgentFailed("The agent did not continue its answer: try again.")
        return text

    def check(self) -> None:
        """Raise the error that the agent sent after the text."""
        try:
            self._decoder.check()
        except ContentFiltered as error:
            self._end_filtered(error)

    def check_conversation(self, text: str) -> None:
        """Raise ConversationLost while the turn can restart: `text` is the first text."""
        if self.conversation is not None and (self.buffered or self.characters == len(text)):
            self.conversation.check(self.conversation_id)

    def _end_filtered(self, error: ContentFiltered) -> str:
        if not self.text_received:
            raise error
        self._blocked = self.ended = True
        return ""

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


def finish_reason(answer: AnswerAssembler, source: AgentReply) -> str:
    """Return OpenAI's finish reason; `source` is the reply whose text the client receives."""
    if answer.truncated:
        return "content_filter" if source.content_filtered else "length"
    if answer.has_tool_calls:
        return "tool_calls"
    if answer.stop_sequence is not None:
        return "stop"
    return "content_filter" if source.content_filtered else "length" if source.hit_token_limit else "stop"


def total_usage(reply: AgentReply, hidden: Iterable[AgentReply], max_tokens: int | None) -> Usage:
    """Return the counts of a reply and of the replies to hidden requests."""
    usages = [reply.usage(max_tokens), *(one.usage(max_tokens) for one in hidden if one.was_processed)]
    prompt, completion = sum(one.prompt_tokens for one in usages), sum(one.completion_tokens for one in usages)
    return Usage(prompt, completion, requests=len(usages))


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
