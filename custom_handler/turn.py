"""One chat turn, as steps that `transport` carries out: the prompt goes out, the answer comes back as events.

    render ──▶ open ──▶ listen ──▶ what can be mended? ──▶ open, listen: the hidden repair round ──▶ Finish
      ▲          │ the prompt is too long for the agent's model, once
      └──────────┘

A whole answer and a streamed one are the same events; there is no other path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .attachments import Enclosure, File, named, shown
from .emulation.answer import Answer
from .emulation.prompt import corrected, render
from .emulation.structured_output import JsonFormat
from .errors import PromptTooLong, RequestError, StackspotError
from .events import AgentEnd, AgentEvent, Finish, ReplyEvent, Text, Usage
from .measures import FirstText, Repaired, Tell, ToolCalled, nobody
from .request import ChatRequest
from .settings import Settings
from .stackspot.deadline import Deadline
from .stackspot.exchange import AgentCall, Emit, Read, Steps
from .stackspot.frames import ReplyDecoder
from .stackspot.uploads import Attached, UploadMemory, fetched, open_with_files

CHARACTERS_A_TOKEN = 4
REPEATED_CHARACTERS = 50_000
SAFETY = 0.95
LEAST_REPAIR_TIME = 5.0
REPAIR_QUEUE_TIME = 5.0

_FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:  # Python 3.10 knows it without a parameter only
    _LoggerAdapter = logging.LoggerAdapter

logger = logging.getLogger("custom_handler")


class CallLog(_LoggerAdapter):
    """Puts the call's correlation id in front of every line."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Prefix the message."""
        return f"[{self.extra['correlation_id'] if self.extra else ''}] {msg}", kwargs


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a client to an agent; `timeout` is the seconds to the end of the answer.

    `enclosed` are the files in its messages that are to be uploaded.
    """

    request: ChatRequest
    agent_id: str
    correlation_id: str
    timeout: float
    enclosed: Sequence[Enclosure] = ()

    def steps(
        self,
        settings: Settings,
        tell: Tell = nobody,
        clock: Callable[[], float] = time.monotonic,
        uploads: UploadMemory | None = None,
    ) -> Steps[ReplyEvent]:
        """Ask the agent and tell its answer as events, of which the last one is a Finish; raises StackspotError."""
        log = CallLog(logger, {"correlation_id": self.correlation_id})
        try:
            deadline = Deadline(self.timeout, clock)
            turn, files = yield from self._named(settings, deadline)
            attached = Attached(files, uploads or UploadMemory(clock))
            yield from _Talk(turn, settings, deadline, log, tell, attached).steps()
        except StackspotError as error:
            log.error("%s (HTTP %d): %s", type(error).__name__, error.status_code, error.message)
            raise

    def _named(self, settings: Settings, deadline: Deadline) -> Generator[Any, Any, tuple[Turn, Sequence[File]]]:
        """Return the turn with messages that name the files going along, and these."""
        if not self.enclosed:
            return self, ()
        found = yield from fetched(self.enclosed, settings, deadline)
        files = named(found, settings.upload_files)
        messages = shown(self.request.messages, found, files)
        return replace(self, request=replace(self.request, messages=messages), enclosed=()), files


class _Round:
    """One question to the agent and what is heard of its answer."""

    def __init__(self, prompt: str, deadline: Deadline, log: CallLog) -> None:
        self.characters = 0
        self.chunks = 0
        self._prompt_characters = len(prompt)
        self._deadline = deadline
        self._decoder = ReplyDecoder(log)
        self._end = AgentEnd()

    @property
    def stop_reason(self) -> str | None:
        """Why the agent says it ended."""
        return self._end.stop_reason

    @property
    def limited(self) -> bool:
        """Whether a limit of the agent's own ended it."""
        return _FINISH_REASONS.get(self.stop_reason or "") == "length"

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
            chunk = yield Read(self._deadline.patience(spoken=self.spoken))
        except StackspotError:
            if self.stop_reason is None:
                self._deadline.check(spoken=self.spoken)
                raise
            chunk = None
        if chunk is None:
            return None
        self.chunks += 1
        text = self._take(self._decoder.feed(chunk))
        self._deadline.check(spoken=self.spoken)
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


class _Talk:
    """What is said between the gateway and the agent in one turn."""

    def __init__(  # noqa: PLR0917  made in one place
        self, turn: Turn, settings: Settings, deadline: Deadline, log: CallLog, tell: Tell, attached: Attached
    ) -> None:
        self._turn = turn
        self._attached = attached
        self._settings = settings
        self._deadline = deadline
        self._log = log
        self._tell = tell
        self._rounds: list[_Round] = []
        self._mended = False
        schema = turn.request.parameters.json_schema
        self._json = None if schema is None else JsonFormat(schema)

    def steps(self) -> Steps[ReplyEvent]:
        """Yield the steps of the turn."""
        answer = Answer(self._turn.request, self._json)
        prompt = self._prompt(self._settings.max_prompt_chars)
        try:
            rest = yield from self._ask(prompt, answer)
        except PromptTooLong as error:
            prompt = self._shorter(prompt, error)
            rest = yield from self._ask(prompt, answer)
        if self._settings.repair and (fault := answer.fault()) and self._deadline.left(spoken=True) > LEAST_REPAIR_TIME:
            if rest:
                yield Emit(rest)
            rest = []
            yield from self._repair(prompt, answer, fault)
        rest += answer.settle()
        yield Emit([*rest, Finish(self._reason(answer), self._usage())])
        self._note(answer)

    def _prompt(self, limit: int) -> str:
        answer_format = self._json.instruction() if self._json else ""
        prompt = render(self._turn.request, answer_format=answer_format, limit=limit)
        if not prompt.strip():  # the agent would refuse it, and not say why
            raise RequestError("messages: the only message has no text.", param="messages")
        return prompt

    def _shorter(self, prompt: str, error: PromptTooLong) -> str:
        """Shorten the prompt in the proportion that the agent tells; raises the agent's error where that cannot be."""
        heard = self._rounds.pop()
        if not error.limit or not error.actual or error.actual <= error.limit or heard.characters:
            raise error
        limit = int(len(prompt) * error.limit / error.actual * SAFETY)
        try:
            shorter = self._prompt(limit)
        except PromptTooLong:
            raise error from None
        self._log.warning("The prompt is shortened from %d to %d characters for the agent", len(prompt), len(shorter))
        return shorter

    def _ask(self, prompt: str, answer: Answer, *, hidden: bool = False) -> Generator[Any, Any, list[ReplyEvent]]:
        """Ask the agent and let the answer out as it comes, unless `hidden`; returns what the end of it completes.

        A hidden question is one call, which waits for its turn for a few seconds only: there is an answer already.
        """
        self._deadline.check(spoken=True)
        heard = _Round(prompt, self._deadline, self._log)
        self._rounds.append(heard)
        turn = self._turn
        call = AgentCall(turn.agent_id, prompt, turn.correlation_id)
        settings = self._settings
        if hidden:
            patience = min(REPAIR_QUEUE_TIME, settings.queue_timeout)
            settings = replace(settings, max_retries=0, queue_timeout=patience)
        yield from open_with_files(call, self._attached, settings, self._deadline, self._tell)
        self._log.debug(
            "SSE connection open after %.3f s, prompt of %d characters", self._deadline.elapsed(), len(prompt)
        )
        while not answer.closed and (text := (yield from heard.read())) is not None:
            if text and heard.characters == len(text) and not hidden:
                self._tell(FirstText(self._deadline.elapsed()))
            if (events := answer.feed(text)) and not hidden:
                yield Emit(events)
        rest = [] if answer.closed else answer.feed(heard.last())
        return rest + answer.flush(limited=heard.limited)

    def _repair(self, prompt: str, answer: Answer, fault: str) -> Steps[ReplyEvent]:
        """Ask once more, hidden, for what is broken; whatever comes of it, the answer so far stays delivered."""
        second = Answer(self._turn.request, self._json)
        try:
            again = corrected(prompt, answer.text[-REPEATED_CHARACTERS:], answer.correction())
            yield from self._ask(again, second, hidden=True)
            self._mended = answer.mend(second)
        except StackspotError as error:
            self._log.warning("The repair round ended with %s (HTTP %d)", type(error).__name__, error.status_code)
        self._log.info("Repair of: %s, %s", fault, "done" if self._mended else "without success")
        self._tell(Repaired(fault, succeeded=self._mended))

    def _reason(self, answer: Answer) -> str:
        if answer.cut_off:
            return "length"
        if answer.called:
            return "tool_calls"
        if answer.stopped:
            return "stop"
        told = self._rounds[-1 if self._mended else 0]
        return "content_filter" if told.withheld else _FINISH_REASONS.get(told.stop_reason or "stop", "stop")

    def _usage(self) -> Usage:
        """Sum up what the rounds cost."""
        first, *more = self._rounds
        limit = self._turn.request.parameters.max_tokens
        counts = [heard.usage(limit) for heard in (first, *filter(_Round.counts, more))]
        return Usage(sum(count.prompt_tokens for count in counts), sum(count.completion_tokens for count in counts))

    def _note(self, answer: Answer) -> None:
        if answer.calls:
            self._log.info("Tool calls: %s", ", ".join(call.name for call in answer.calls))
        for call in answer.calls:
            self._tell(ToolCalled(call.name))
        first = self._rounds[0]
        self._log.debug(
            "Answer of %d characters in %d chunks, %.3f s", first.characters, first.chunks, self._deadline.elapsed()
        )
