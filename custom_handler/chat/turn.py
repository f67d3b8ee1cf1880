"""One chat turn, as steps that `stackspot.client` performs: a prompt is sent, events are emitted.

    prepare ──▶ send, receive ──▶ repairable? ──▶ send, receive: the hidden repair round ──▶ Finish
                  ▲     │ the prompt exceeds the model's context, the conversation is lost,
                  └─────┘ or the reply broke off, and its rest is asked for (each at most once)

A whole answer is built from the same events as a streamed one.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..emulation.answer import AnswerAssembler
from ..emulation.json_output import JsonFormat
from ..emulation.prompt.fingerprint import Fingerprint
from ..emulation.prompt.render import render
from ..errors import ConversationLost, PromptTooLong, RequestError, StackspotError
from ..events import Finish, ReplyEvent
from ..instrumentation import FirstText, Hook, Measurement, PromptSent, Resumed, ToolCalled, no_hook
from ..request.caller import ANYONE, Caller
from ..request.chat_request import ChatRequest
from ..request.files import FilePart, name_files, with_placeholders, with_unread_files
from ..settings import Settings
from ..stackspot.agent_call import AgentCall, Emit, Read, Sleep, Steps
from ..stackspot.agent_choice import NO_CHOICE, AgentChoice
from ..stackspot.agent_errors import content_filtered
from ..stackspot.deadline import Deadline
from ..stackspot.knowledge import NO_KNOWLEDGE, Knowledge
from ..stackspot.private import Private
from ..stackspot.uploads import TurnFiles, UploadCache, fetch_files, open_stream_with_files
from .agent_reply import AgentReply, finish_reason, total_usage
from .answer_key import CacheOptions
from .conversation import CONVERSATION_LOST_ERRORS, NOT_PROCESSED_ERRORS, NativeConversation
from .end_markers import EndMarkers
from .hidden_rounds import HiddenRounds
from .shortening import share_to_send
from .sources import source_events
from .token_estimate import NO_METER, PromptMeter
from .turn_log import TurnLog

SLICE = 2048  # characters of the reply that are read at once
PAUSE_AFTER = 0.005  # seconds of reading

logger = logging.getLogger("custom_handler")


@dataclass(eq=False)
class Turn(HiddenRounds):
    """One client request to an agent; `steps` runs it, once.

    `timeout` is in seconds, from the first step to the end of the answer. `conversation_owner`
    identifies whose native conversation it is; None: each prompt has the whole conversation.
    `files` are to be uploaded; `meter` receives the whole prompt, and the agent's count of it.
    With `resume_streams` a hidden request continues an answer that breaks off; `ends` knows which
    agents end theirs. `call` is the first request to the agent, `is_reusable` is True after a
    whole, faultless answer.
    """

    request: ChatRequest
    agent_id: str
    correlation_id: str
    timeout: float
    settings: Settings
    conversation_owner: str | None = field(default=None, repr=False)
    caller: Caller = ANYONE
    files: Sequence[FilePart] = ()
    hook: Hook = no_hook
    clock: Callable[[], float] = time.monotonic
    uploads: UploadCache | None = None
    knowledge: Knowledge = NO_KNOWLEDGE
    meter: PromptMeter = NO_METER
    cache: CacheOptions | None = None
    choice: AgentChoice = NO_CHOICE
    resume_streams: bool = False
    ends: EndMarkers = field(default_factory=EndMarkers)

    def __post_init__(self) -> None:
        self._log = TurnLog(logger, {"correlation_id": self.correlation_id})
        self._attached = TurnFiles((), self.uploads or UploadCache(self.clock))
        self._json_format: JsonFormat | None = None
        self._answer_format = ""
        self._conversation: NativeConversation | None = None
        self._max_prompt_chars = self.settings.requests.max_prompt_chars
        self._shortened = False
        self._hidden: list[AgentReply] = []
        self.call: AgentCall | None = None
        self.is_reusable = False

    def steps(self, *, buffered: bool = False) -> Steps[ReplyEvent]:
        """Ask the agent, and emit its answer as events up to a Finish; raises StackspotError.

        `buffered`: the client receives nothing before the end, so that a lost conversation can be
        restarted even after text has arrived.
        """
        self._deadline = Deadline(self.timeout, self.clock)
        try:
            yield from self._prepare()
            reply = yield from self._first_reply(buffered=buffered)
            while not reply.complete:
                try:
                    yield from self._receive(reply)
                except StackspotError as error:  # noqa: PERF203  each pass is a request
                    reply = yield from self._replacement(reply, error)
            source = yield from self._repair(reply)
            yield from self._follow_up(reply)
            yield from self._finish(reply, source)
        except StackspotError as error:
            self._log.error("%s (HTTP %d): %s", type(error).__name__, error.status_code, error.message)
            raise

    def whole_prompt(self) -> str:
        """Return the prompt of a turn that is not run; files are not fetched to be named."""
        self.request = replace(self.request, messages=with_unread_files(self.request.messages, self.files))
        self._prepare_format()
        return self._prompt()

    def _prepare(self) -> Steps[ReplyEvent]:
        """Fetch the files, replace them by placeholders, and decide on a native conversation."""
        if self.files:
            parts = yield from fetch_files(self.files, self.settings.uploads, self._deadline)
            files = name_files(parts, self.settings.uploads.max_files)
            self._attached = replace(self._attached, files=files)
            self.request = replace(self.request, messages=with_placeholders(self.request.messages, parts, files))
        self._prepare_format()
        # Not with files: how long a conversation keeps them is not documented.
        if self.conversation_owner is not None and not self.files:
            owner = f"{self.choice.key(self.agent_id)} {self.conversation_owner}"
            history = Fingerprint(self.request, owner, self._answer_format)
            if history.open:
                self._conversation = NativeConversation(history, self._log, self.hook)

    def _prepare_format(self) -> None:
        schema = self.request.parameters.json_schema
        if schema is not None:
            self._json_format = JsonFormat(schema)
            self._answer_format = self._json_format.instruction()

    def _first_reply(self, *, buffered: bool) -> Generator[Any, Any, AgentReply]:
        """Return the first request: the new turns of a stored conversation, or all turns."""
        if self._conversation is not None:
            yield from self._conversation.begin()
            if seen := self._conversation.seen:
                with contextlib.suppress(PromptTooLong):
                    self._prompt()  # what the meter measures: the agent has all of it
                return self._reply(self._prompt(since=seen), buffered=buffered)
        return self._reply(self._prompt())

    def _reply(
        self, prompt: str, *, buffered: bool = False, repair: bool = False, broken: AgentReply | None = None
    ) -> AgentReply:
        """Return the request with a prompt; it continues the reply that is `broken`."""
        answer = AnswerAssembler(self.request, self._json_format, self.settings.requests.max_answer_chars)
        conversation = None if repair or broken is not None else self._conversation
        max_frame_bytes = self.settings.requests.max_frame_bytes
        private = Private.of(self.settings.account, self.agent_id, prompt)
        reply = AgentReply(prompt, answer, self._log, conversation, buffered, repair, max_frame_bytes, private)
        if broken is not None:
            reply.broken, reply.answer, reply.unsent = broken, broken.answer, broken.unsent
            from ..emulation.continuation import Continuation  # noqa: PLC0415  few replies break off

            reply.continuation = Continuation(broken.answer.text)
        return reply

    def _prompt(self, since: int = 0) -> str:
        limit = self._max_prompt_chars
        prompt = render(self.request, answer_format=self._answer_format, limit=limit, since=since)
        if not prompt.strip():  # the agent would reject it without a reason
            raise RequestError("messages: the only message has no text.", param="messages")
        if not since:
            self.meter.sent(prompt)
        return prompt

    def _receive(self, reply: AgentReply) -> Steps[ReplyEvent]:
        """Send the prompt and read the reply; emit events as they come, or collect them."""
        self._deadline.check(text_received=True)
        yield from self._open(reply)
        text = reply.start
        while True:
            resumed_at = self.clock() if len(text) > SLICE else 0.0
            for start in range(0, len(text), SLICE):
                events = reply.answer.feed(text[start : start + SLICE])
                if reply.buffered or reply.ended:
                    reply.unsent += events
                elif events:
                    if reply.conversation is not None:
                        reply.conversation.record(events)
                    yield Emit(events)
                if resumed_at and self.clock() - resumed_at > PAUSE_AFTER:
                    yield Sleep(0)  # other tasks run: markers are slow to read
                    resumed_at = self.clock()
            if reply.ended or reply.answer.done:
                break
            text = yield from self._read(reply)
        if reply.content_filtered and not reply.text_received:
            raise content_filtered()
        self._check_end(reply)
        reply.unsent += reply.answer.flush(limited=reply.hit_token_limit or reply.content_filtered)
        reply.complete = True

    def _open(self, reply: AgentReply) -> Steps[ReplyEvent]:
        """Send the prompt, and read up to the first text, with retries."""
        conversation_id = None if reply.conversation is None else reply.conversation.id
        call = AgentCall(
            self.agent_id, reply.prompt, self.correlation_id, conversation_id, caller=self.caller,
            knowledge=NO_KNOWLEDGE if reply.repair else self.knowledge, choice=self.choice,
        )  # fmt: skip
        self.call = self.call or call
        self.hook(PromptSent(len(reply.prompt)))
        yield from open_stream_with_files(
            call,
            self._attached,
            self._settings_of(reply),
            self._deadline,
            self._on_measurement,
            read_start=lambda: self._read_start(reply),
        )
        size = len(reply.prompt)
        self._log.debug("SSE connection open after %.3f s, prompt of %d characters", self._deadline.elapsed(), size)

    def _read_start(self, reply: AgentReply) -> Steps[ReplyEvent]:
        """Read up to the first text; an error before it fails the attempt."""
        reply.begin(self._deadline.silence_timeout(text_received=False))
        while not (reply.ended or reply.text_received):
            reply.start = yield from self._read(reply)
        if not (reply.ended or reply.hidden):
            self.hook(FirstText(self._deadline.elapsed()))

    def _read(self, reply: AgentReply) -> Generator[Any, Any, str]:
        """Return the text of the next read, or what the end of the stream completes."""
        if reply.failed:
            reply.check()  # that of a content filter only ends the reply
            return ""
        try:
            chunk = yield Read(reply.timeout)
        except StackspotError:
            if reply.stop_reason is None:
                self._deadline.check(text_received=reply.text_received)
                raise
            chunk = None  # the agent had finished: a broken connection loses nothing
        if chunk is None:
            text = reply.flush()
        else:
            text = reply.feed(chunk)
            reply.timeout = self._deadline.check(text_received=reply.characters > 0)
        if reply.conversation is not None:
            reply.check_conversation(text)
        return text

    def _on_measurement(self, measurement: Measurement) -> None:
        self.hook(measurement)
        if self._conversation is not None:
            self._conversation.on_measurement(measurement)

    def _replacement(self, failed: AgentReply, error: StackspotError) -> Generator[Any, Any, AgentReply]:
        """Return the request to send after an error; raises the error where none can help."""
        if failed.broken is not None:
            return self._unresumed(failed, error)
        if failed.text_received and not isinstance(error, ConversationLost):
            return (yield from self._resumed(failed, error))
        conversation = self._conversation
        if conversation is not None and conversation.seen:
            if isinstance(error, NOT_PROCESSED_ERRORS):
                yield from conversation.restore()
            if not isinstance(error, CONVERSATION_LOST_ERRORS):
                raise error
            conversation.restart()
            conversation.report_lost(error)
            return self._reply(self._prompt())
        if not isinstance(error, PromptTooLong) or self._shortened:
            raise error
        if conversation is not None:  # the platform may have stored the rejected message
            conversation.restart()
        return self._reply(self._shorter_prompt(failed.prompt, error))

    def _shorter_prompt(self, prompt: str, error: PromptTooLong) -> str:
        """Shorten the prompt in proportion to the error's token counts, or by a share without them.

        Raises the error where nothing can be left out.
        """
        self._shortened = True
        self._max_prompt_chars = int(len(prompt) * share_to_send(error))
        try:
            shorter = self._prompt()
        except PromptTooLong:
            raise error from None
        self._log.warning("The prompt is shortened from %d to %d characters for the agent", len(prompt), len(shorter))
        return shorter

    def _finish(self, reply: AgentReply, source: AgentReply) -> Steps[ReplyEvent]:
        """Emit what is left of the answer and the Finish; save a native conversation.

        `source` is the reply whose text the client receives.
        """
        answer = reply.answer
        whole = self._conversation is None or not self._conversation.seen
        if reply.broken is not None:
            self.hook(Resumed("succeeded"))
        elif whole and not self.files and (counted := reply.counted):  # the agent's count of the prompt alone
            self.meter.counted(counted.prompt_tokens)
        faulty = self._shortened or bool(answer.repair_reason())
        rest, reason = reply.unsent + answer.release_held(), finish_reason(answer, source)
        # A saved conversation must contain what the client received, to its end.
        as_received = reply.is_whole and not self._hidden and reason in {"stop", "tool_calls"}
        self.is_reusable = as_received and reply.text_received and not faulty
        if self._conversation is not None and as_received:
            self._conversation.record(rest)
            yield from self._conversation.save(reply.conversation_id)
        as_text = reason == "stop" and not answer.done and self._json_format is None and reply.text_received
        rest += source_events(self.knowledge, reply.sources, self.hook, shown=as_text)
        usage = total_usage(reply, self._hidden, self.request.parameters.max_tokens)
        yield Emit([*rest, Finish(reason, usage, answer.stop_sequence)])
        self._log.called(call.name for call in answer.calls)
        for call in answer.calls:
            self.hook(ToolCalled(call.name))
        self._log.answered(reply, self._deadline.elapsed(), self.settings.requests.max_answer_chars)
