"""One chat turn, as steps that `stackspot.client` carries out: the prompt goes out, the answer comes back as events.

    render ──▶ open ──▶ listen ──▶ what can be mended? ──▶ open, listen: the hidden repair round ──▶ Finish
      ▲          │ the prompt is too long for the agent's model, or the platform lost the conversation, once each
      └──────────┘

A whole answer and a streamed one are the same events; there is no other path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..emulation.answer import AnswerAssembler
from ..emulation.json_output import JsonFormat
from ..emulation.prompt.fingerprint import Fingerprint
from ..emulation.prompt.render import render, repair_prompt
from ..errors import ConversationLost, PromptTooLong, RequestError, StackspotError
from ..events import Finish, ReplyEvent, Usage
from ..instrumentation import FirstText, Hook, Measurement, Repaired, ToolCalled, no_hook
from ..request.chat_request import ChatRequest
from ..request.files import File, FilePart, name_files, with_placeholders
from ..settings import Settings
from ..stackspot.agent_call import AgentCall, Emit, Steps
from ..stackspot.deadline import Deadline
from ..stackspot.uploads import TurnFiles, UploadCache, fetched, open_stream_with_files
from .agent_reply import FINISH_REASONS, Round
from .conversation import LOST, UNASKED, NativeConversation

REPEATED_CHARACTERS = 50_000
SAFETY = 0.95
LEAST_REPAIR_TIME = 5.0
REPAIR_QUEUE_TIME = 5.0

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

    `owner` is whose conversation it is where the platform keeps it; None: the prompt holds all of it.
    `files` are the files in its messages that are to be uploaded.
    """

    request: ChatRequest
    agent_id: str
    correlation_id: str
    timeout: float
    owner: str | None = field(default=None, repr=False)
    files: Sequence[FilePart] = ()

    def steps(
        self,
        settings: Settings,
        tell: Hook = no_hook,
        clock: Callable[[], float] = time.monotonic,
        uploads: UploadCache | None = None,
        *,
        whole: bool = False,
    ) -> Steps[ReplyEvent]:
        """Ask the agent and tell its answer as events, of which the last one is a Finish; raises StackspotError.

        `whole` says that the client gets nothing before the end: so the answer can be asked for again up to there.
        """
        log = CallLog(logger, {"correlation_id": self.correlation_id})
        try:
            deadline = Deadline(self.timeout, clock)
            turn, files = yield from self._named(settings, deadline)
            attached = TurnFiles(files, uploads or UploadCache(clock))
            yield from _Talk(turn, settings, deadline, log, tell, attached).steps(whole)
        except StackspotError as error:
            log.error("%s (HTTP %d): %s", type(error).__name__, error.status_code, error.message)
            raise

    def _named(self, settings: Settings, deadline: Deadline) -> Generator[Any, Any, tuple[Turn, Sequence[File]]]:
        """Return the turn with messages that name the files going along, and these."""
        if not self.files:
            return self, ()
        found = yield from fetched(self.files, settings.uploads, deadline)
        files = name_files(found, settings.uploads.max_files)
        messages = with_placeholders(self.request.messages, found, files)
        return replace(self, request=replace(self.request, messages=messages), files=()), files


def _check(conversation: NativeConversation | None, heard: Round, text: str, *, held: bool) -> None:
    """Raise ConversationLost while there is time: before the first text goes out."""
    if conversation is not None and (held or heard.characters == len(text)):
        conversation.check(heard.conversation_id)


class _Talk:
    """What is said between the gateway and the agent in one turn."""

    def __init__(  # noqa: PLR0917  made in one place
        self, turn: Turn, settings: Settings, deadline: Deadline, log: CallLog, tell: Hook, attached: TurnFiles
    ) -> None:
        self._turn = turn
        self._attached = attached
        self._settings = settings
        self._deadline = deadline
        self._log = log
        self._tell = tell
        self._rounds: list[Round] = []
        self._mended = False
        self._limit = settings.requests.max_prompt_chars
        schema = turn.request.parameters.json_schema
        self._json = None if schema is None else JsonFormat(schema)
        self._format = self._json.instruction() if self._json else ""
        self._conversation = self._kept()

    def _kept(self) -> NativeConversation | None:
        """Return the conversation in which the agent is asked, where there is to be one."""
        turn = self._turn
        if turn.owner is None or self._attached.files:  # how long the platform remembers files is not known
            return None
        history = Fingerprint(turn.request, f"{turn.agent_id} {turn.owner}", self._format)
        return NativeConversation(history, self._log, self._tell) if history.open else None

    def steps(self, whole: bool) -> Steps[ReplyEvent]:
        """Yield the steps of the turn."""
        answer, rest = yield from self._first(whole)
        if (
            self._settings.requests.repair
            and (fault := answer.fault())
            and self._deadline.left(spoken=True) > LEAST_REPAIR_TIME
        ):
            if rest:
                yield Emit(rest)
            rest = []
            yield from self._repair(answer, fault)
        rest += answer.settle()
        reason = self._reason(answer)
        if self._conversation is not None and self._undoubted(answer, reason):
            self._conversation.hear(rest)
            yield from self._conversation.remember(self._rounds[0].conversation_id)
        yield Emit([*rest, Finish(reason, self._usage())])
        self._note(answer)

    def _undoubted(self, answer: AnswerAssembler, reason: str) -> bool:
        """Tell whether the agent said what the client was told, as far as words matter, and came to its end."""
        [first, *more] = self._rounds
        return not more and not answer.closed and first.stop_reason is not None and reason in {"stop", "tool_calls"}

    def _first(self, whole: bool) -> Generator[Any, Any, tuple[AnswerAssembler, list[ReplyEvent]]]:
        """Ask what the client asks: of an agent that has the conversation the new turns, else, or if it lost that, all."""
        if self._conversation is not None:
            yield from self._conversation.begin()
            if seen := self._conversation.seen:
                answer, prompt = self._answer(), self._prompt(self._limit, seen)
                try:
                    return answer, (yield from self._ask(prompt, answer, held=whole))
                except LOST as error:
                    self._forget(error)
                    self._conversation.lost(error)
                except UNASKED:
                    if not self._rounds[-1].spoken:
                        yield from self._conversation.restore()
                    raise
        answer, prompt = self._answer(), self._prompt(self._limit)
        try:
            return answer, (yield from self._ask(prompt, answer))
        except PromptTooLong as error:
            return answer, (yield from self._ask(self._shorter(prompt, error), answer))

    def _answer(self) -> AnswerAssembler:
        return AnswerAssembler(self._turn.request, self._json)

    def _forget(self, error: StackspotError) -> None:
        """Forget the last question as if it had not been asked; raises its error where something was answered."""
        if self._rounds.pop().spoken and not isinstance(error, ConversationLost):
            raise error
        if self._conversation is not None:  # the platform may have kept the question all the same
            self._conversation.restart()

    def _prompt(self, limit: int, since: int = 0) -> str:
        prompt = render(self._turn.request, answer_format=self._format, limit=limit, since=since)
        if not prompt.strip():  # the agent would refuse it, and not say why
            raise RequestError("messages: the only message has no text.", param="messages")
        return prompt

    def _shorter(self, prompt: str, error: PromptTooLong) -> str:
        """Shorten the prompt in the proportion that the agent tells; raises the agent's error where that cannot be."""
        self._forget(error)
        if not error.limit or not error.actual or error.actual <= error.limit:
            raise error
        self._limit = int(len(prompt) * error.limit / error.actual * SAFETY)
        try:
            shorter = self._prompt(self._limit)
        except PromptTooLong:
            raise error from None
        self._log.warning("The prompt is shortened from %d to %d characters for the agent", len(prompt), len(shorter))
        return shorter

    def _ask(
        self, prompt: str, answer: AnswerAssembler, *, hidden: bool = False, held: bool = False
    ) -> Generator[Any, Any, list[ReplyEvent]]:
        """Ask the agent and let the answer out as it comes, unless `hidden` or `held`; returns what has not gone out.

        A hidden question is one call, which waits for its turn for a few seconds only: there is an answer already.
        """
        self._deadline.check(spoken=True)
        heard = Round(prompt, self._deadline, self._log)
        self._rounds.append(heard)
        turn, conversation = self._turn, None if hidden else self._conversation
        call = AgentCall(turn.agent_id, prompt, turn.correlation_id, conversation.id if conversation else None)
        settings = self._settings
        if hidden:
            patience = min(REPAIR_QUEUE_TIME, settings.limits.queue_timeout)
            settings = settings.changed(limits={"max_retries": 0, "queue_timeout": patience})
        yield from open_stream_with_files(call, self._attached, settings, self._deadline, self._noted)
        self._log.debug(
            "SSE connection open after %.3f s, prompt of %d characters", self._deadline.elapsed(), len(prompt)
        )
        kept: list[ReplyEvent] = []
        while not answer.closed and (text := (yield from heard.read())) is not None:
            _check(conversation, heard, text, held=held)
            if text and heard.characters == len(text) and not hidden:
                self._tell(FirstText(self._deadline.elapsed()))
            events = answer.feed(text)
            if held or hidden:
                kept += events
            elif events:
                yield from self._out(events)
        last = "" if answer.closed else heard.last()
        _check(conversation, heard, last, held=held)
        return [*kept, *answer.feed(last), *answer.flush(limited=heard.limited)]

    def _out(self, events: list[ReplyEvent]) -> Steps[ReplyEvent]:
        if self._conversation is not None:
            self._conversation.hear(events)
        yield Emit(events)

    def _noted(self, measure: Measurement) -> None:
        self._tell(measure)
        if self._conversation is not None:
            self._conversation.note(measure)

    def _repair(self, answer: AnswerAssembler, fault: str) -> Steps[ReplyEvent]:
        """Ask once more, hidden, for what is broken; whatever comes of it, the answer so far stays delivered.

        It is asked outside of a conversation that the platform keeps: whether that holds the broken answer is not known.
        """
        second = self._answer()
        try:
            again = repair_prompt(self._prompt(self._limit), answer.text[-REPEATED_CHARACTERS:], answer.correction())
            yield from self._ask(again, second, hidden=True)
            self._mended = answer.mend(second)
        except StackspotError as error:
            self._log.warning("The repair round ended with %s (HTTP %d)", type(error).__name__, error.status_code)
        self._log.info("Repair of: %s, %s", fault, "done" if self._mended else "without success")
        self._tell(Repaired(fault, succeeded=self._mended))

    def _reason(self, answer: AnswerAssembler) -> str:
        if answer.cut_off:
            return "length"
        if answer.called:
            return "tool_calls"
        if answer.stopped:
            return "stop"
        told = self._rounds[-1 if self._mended else 0]
        return "content_filter" if told.withheld else FINISH_REASONS.get(told.stop_reason or "stop", "stop")

    def _usage(self) -> Usage:
        """Sum up what the rounds cost."""
        first, *more = self._rounds
        limit = self._turn.request.parameters.max_tokens
        counts = [heard.usage(limit) for heard in (first, *filter(Round.counts, more))]
        return Usage(sum(count.prompt_tokens for count in counts), sum(count.completion_tokens for count in counts))

    def _note(self, answer: AnswerAssembler) -> None:
        if answer.calls:
            self._log.info("Tool calls: %s", ", ".join(call.name for call in answer.calls))
        for call in answer.calls:
            self._tell(ToolCalled(call.name))
        first = self._rounds[0]
        self._log.debug(
            "Answer of %d characters in %d chunks, %.3f s", first.characters, first.chunks, self._deadline.elapsed()
        )
