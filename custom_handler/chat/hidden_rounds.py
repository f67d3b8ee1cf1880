"""The hidden requests of a turn: repairs, follow-ups, and the rest of a reply that broke off."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ..emulation.answer import ANNOUNCED, FOLLOW_UP
from ..emulation.prompt.render import repair_prompt, resume_prompt
from ..errors import AgentFailed, AgentTimeout, ReplyCutOff, StackspotError
from ..events import ReplyEvent
from ..instrumentation import Hook, Repaired, Resumed
from ..settings import Settings
from ..stackspot.agent_call import Emit, Steps
from ..stackspot.deadline import Deadline
from .agent_reply import AgentReply
from .end_markers import EndMarkers
from .turn_log import TurnLog

MAX_HIDDEN_REQUESTS = 2  # of a turn
REPAIR_REPLY_LIMIT = 50_000  # characters of the first reply that a hidden prompt repeats
MIN_REPAIR_SECONDS = 5.0  # with less time left there is no hidden request
REPAIR_QUEUE_TIMEOUT = 5.0


class HiddenRounds:
    """What a `Turn` does beside its first request; a base class of it alone."""

    agent_id: str
    settings: Settings
    hook: Hook
    resume_streams: bool
    ends: EndMarkers
    _deadline: Deadline
    _log: TurnLog
    _hidden: list[AgentReply]  # replies to hidden requests, and those that broke off

    if TYPE_CHECKING:

        def _prompt(self, since: int = 0) -> str: ...

        def _reply(
            self, prompt: str, *, buffered: bool = False, repair: bool = False, broken: AgentReply | None = None
        ) -> AgentReply: ...

        def _receive(self, reply: AgentReply) -> Steps[ReplyEvent]: ...

    def _settings_of(self, reply: AgentReply) -> Settings:
        """Return the settings of a request; a hidden one is sent once, with a short wait."""
        if not reply.hidden:
            return self.settings
        queue_timeout = min(REPAIR_QUEUE_TIMEOUT, self.settings.limits.queue_timeout)
        return self.settings.changed(limits={"max_retries": 0, "queue_timeout": queue_timeout})

    def _repair(self, reply: AgentReply) -> Generator[Any, Any, AgentReply]:
        """Send one hidden request for what is faulty; return the reply that the client receives."""
        answer = reply.answer
        if not self.settings.requests.repair or not (reason := answer.repair_reason()):
            return reply
        repair = yield from self._ask_hidden(reply, answer.text, answer.repair_instruction())
        if repair is None:
            return reply
        repaired = repair.complete and answer.apply_repair(repair.answer)
        self._log.info("Repair of: %s, %s", reason, "done" if repaired else "without success")
        self.hook(Repaired(reason, succeeded=repaired))
        return repair if repaired else reply

    def _follow_up(self, reply: AgentReply) -> Steps[ReplyEvent]:
        """Send hidden requests for a call that the reply announces, and append its calls."""
        answer, text = reply.answer, reply.answer.text
        left = min(self.settings.requests.follow_ups, MAX_HIDDEN_REQUESTS - len(self._hidden))
        while left > 0 and answer.lacks_announced_call(text):
            left -= 1
            follow_up = yield from self._ask_hidden(reply, text, FOLLOW_UP)
            if follow_up is None:
                return
            appended = follow_up.complete and answer.apply_repair(follow_up.answer)
            self._log.info("Follow-up of an announced call, %s", "done" if appended else "without success")
            self.hook(Repaired(ANNOUNCED, succeeded=appended))
            text = follow_up.answer.text

    def _ask_hidden(self, reply: AgentReply, text: str, instruction: str) -> Generator[Any, Any, AgentReply | None]:
        """Ask about a reply's text; return the new reply, or None if too little time is left.

        It uses no native conversation: whether that contains the faulty answer is not documented.
        """
        if self._deadline.left(text_received=True) <= MIN_REPAIR_SECONDS:
            return None
        if reply.unsent:
            yield Emit(reply.unsent)
            reply.unsent = []
        hidden: AgentReply | None = None
        try:
            prompt = repair_prompt(self._prompt(), text[-REPAIR_REPLY_LIMIT:], instruction)
            hidden = self._reply(prompt, buffered=True, repair=True)
            self._hidden.append(hidden)
            yield from self._receive(hidden)
        except StackspotError as error:
            self._log.warning("A hidden request ended with %s (HTTP %d)", type(error).__name__, error.status_code)
        return hidden

    def _check_end(self, reply: AgentReply) -> None:
        """Raise ReplyCutOff for a reply without the end that this agent's replies have."""
        if reply.has_end:
            self.ends.note(self.agent_id)
        elif (
            reply.text_received and not (reply.answer.done or reply.content_filtered) and self.ends.sends(self.agent_id)
        ):
            error = ReplyCutOff("The agent's answer ended without its last frame.")
            if self._can_resume(reply, error):
                raise error

    def _can_resume(self, reply: AgentReply, error: StackspotError) -> bool:
        """Return whether a hidden request may continue the reply that ended with this error.

        It may not where the reply has a call, or may end within one: that could be made twice.
        """
        is_broken = isinstance(error, AgentFailed | AgentTimeout) and error.retryable
        if not self.resume_streams or not is_broken or reply.hidden or not reply.text_received:
            return False
        return not reply.answer.in_call and self._deadline.left(text_received=True) > MIN_REPAIR_SECONDS

    def _resumed(self, broken: AgentReply, error: StackspotError) -> Generator[Any, Any, AgentReply]:
        """Return the request that continues a reply; raises the error it ended with if none can.

        It uses no native conversation: whether that contains the broken answer is not documented.
        """
        if not self._can_resume(broken, error):
            if self.resume_streams:
                self.hook(Resumed("not_tried"))
            raise error
        try:
            prompt = resume_prompt(self._prompt(), broken.answer.text[-REPAIR_REPLY_LIMIT:])
        except StackspotError:  # the whole conversation is too long, which the platform kept
            raise error from None
        if broken.unsent and not broken.buffered:
            yield Emit(broken.unsent)
            broken.unsent = []
        self._log.warning("The answer broke off (%s): a hidden request continues it", type(error).__name__)
        broken.error = error
        self._hidden.append(broken)
        return self._reply(prompt, buffered=broken.buffered, broken=broken)

    def _unresumed(self, reply: AgentReply, error: StackspotError) -> AgentReply:
        """Return the reply that broke off, complete as it is; raises its error where it is not.

        `reply` was to continue it, and failed with `error`.
        """
        self.hook(Resumed("failed"))
        broken = reply.broken
        self._log.warning("The rest of the answer failed (%s)", type(error).__name__)
        if broken is None or broken.error is None:
            raise error
        if reply.text_received or not isinstance(broken.error, ReplyCutOff):
            raise broken.error
        self._hidden.remove(broken)
        broken.unsent += reply.answer.flush()
        broken.complete = True
        return broken
