"""One chat turn, as steps that `transport` carries out: the prompt goes out, the answer comes back as events.

A whole answer and a streamed one are the same events; there is no other path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, MutableMapping
from dataclasses import dataclass
from typing import Any

from .emulation.prompt import render
from .emulation.tool_calls import ToolCallReader
from .errors import AgentTimeout, StackspotError
from .events import AgentEnd, AgentEvent, Finish, ReplyEvent, Text, ToolCallStart, Usage
from .measures import FirstText, Tell, ToolCalled, nobody
from .request import ChatRequest
from .settings import Settings
from .stackspot.exchange import AgentCall, Emit, Read, Steps, open_answer
from .stackspot.frames import ReplyDecoder

FIRST_TEXT_TIMEOUT = 120.0
CHARACTERS_A_TOKEN = 4

_FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}

logger = logging.getLogger("custom_handler")


class CallLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the call's correlation id in front of every line."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Prefix the message."""
        return f"[{self.extra['correlation_id'] if self.extra else ''}] {msg}", kwargs


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a client to an agent; `timeout` is the seconds to the end of the answer."""

    request: ChatRequest
    agent_id: str
    correlation_id: str
    timeout: float

    def steps(
        self, settings: Settings, tell: Tell = nobody, clock: Callable[[], float] = time.monotonic
    ) -> Steps[ReplyEvent]:
        """Ask the agent and tell its answer as events, of which the last one is a Finish; raises StackspotError."""
        log = CallLog(logger, {"correlation_id": self.correlation_id})
        prompt = render(self.request)
        deadline = _Deadline(clock, self.timeout)
        reply = _Reply(self.request, len(prompt))
        decoder = ReplyDecoder(log)
        try:
            yield from open_answer(AgentCall(self.agent_id, prompt, self.correlation_id, self.timeout), settings)
            log.info("SSE connection open after %.3f s, prompt of %d characters", deadline.elapsed(), len(prompt))
            chunks = 0
            while not reply.closed and (chunk := (yield from _read(reply))) is not None:
                chunks += 1
                silent = not reply.spoken
                if events := reply.take(decoder.feed(chunk)):
                    yield Emit(events)
                if silent and reply.spoken:
                    tell(FirstText(deadline.elapsed()))
                deadline.check(spoken=reply.spoken)
            yield Emit(reply.finish([] if reply.closed else decoder.flush()))
        except StackspotError as error:
            log.error("%s (HTTP %d): %s", type(error).__name__, error.status_code, error.message)
            raise
        if reply.names:
            log.info("Tool calls: %s", ", ".join(reply.names))
        for name in reply.names:
            tell(ToolCalled(name))
        log.debug("Answer of %d characters in %d chunks, %.3f s", reply.characters, chunks, deadline.elapsed())


def _read(reply: _Reply) -> Generator[Read, bytes | None, bytes | None]:
    """Read on; once the agent has said its end, a connection that breaks is an end as good as any."""
    try:
        return (yield Read())
    except StackspotError:
        if reply.ended:
            return None
        raise


class _Deadline:
    """The time that a turn may take: to its first text, and to its end. Empty frames do not count as an answer."""

    def __init__(self, clock: Callable[[], float], timeout: float) -> None:
        self._clock = clock
        self._started = clock()
        self._timeout = timeout

    def elapsed(self) -> float:
        return self._clock() - self._started

    def check(self, *, spoken: bool) -> None:
        limit = self._timeout if spoken else min(self._timeout, FIRST_TEXT_TIMEOUT)
        if self.elapsed() > limit:
            what = "did not finish" if spoken else "said nothing"
            raise AgentTimeout(
                f"The agent {what} within {limit:.0f} s: ask for less at once, or raise STACKSPOT_TIMEOUT."
            )


class _Reply:
    """Turns the agent's events into those that a client gets."""

    def __init__(self, request: ChatRequest, prompt_characters: int) -> None:
        schemas = {tool.name: tool.parameters for tool in request.tools}
        self._reader = ToolCallReader(schemas) if schemas else None
        self._prompt_characters = prompt_characters
        self._end = AgentEnd()
        self.names: list[str] = []
        self.characters = 0

    @property
    def spoken(self) -> bool:
        return self.characters > 0

    @property
    def ended(self) -> bool:
        return self._end.stop_reason is not None

    @property
    def closed(self) -> bool:
        return self._reader is not None and self._reader.closed

    def take(self, events: list[AgentEvent]) -> list[ReplyEvent]:
        """Take what arrived together; its texts are read as one."""
        text = "".join(event.text for event in events if isinstance(event, Text))
        for event in events:
            if isinstance(event, AgentEnd):
                self._note(event)
        self.characters += len(text)
        return self._told(self._reader.feed(text) if self._reader else [Text(text)]) if text else []

    def finish(self, events: list[AgentEvent]) -> list[ReplyEvent]:
        """Take the last events and end the answer."""
        told = self.take(events)
        if self._reader is not None:
            told += self._told(self._reader.flush())
        return [*told, Finish(self._reason(), self._usage())]

    def _told(self, events: list[ReplyEvent]) -> list[ReplyEvent]:
        self.names += [event.name for event in events if isinstance(event, ToolCallStart)]
        return events

    def _note(self, end: AgentEnd) -> None:
        """Keep the last value of each field that was not None."""
        self._end = AgentEnd(
            end.stop_reason or self._end.stop_reason,
            end.usage or self._end.usage,
            end.message_id or self._end.message_id,
            end.conversation_id or self._end.conversation_id,
        )

    def _reason(self) -> str:
        if self._reader is not None and self._reader.cut:
            return "length"
        if self.names:
            return "tool_calls"
        if not self.characters and self._end.usage is not None and self._end.usage.completion_tokens:
            return "content_filter"  # tokens were spent and no text came (contract, section 3)
        return _FINISH_REASONS.get(self._end.stop_reason or "stop", "stop")

    def _usage(self) -> Usage:
        """Return the agent's own counts, or an estimate where its last frame is missing."""
        return self._end.usage or Usage(_tokens(self._prompt_characters), _tokens(self.characters))


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)
