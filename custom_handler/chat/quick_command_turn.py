"""A turn that a Quick Command answers: one execution in the place of one request to an agent.

Its result is read like the only frame of an agent's stream. So stop sequences, limits, sources and,
with the whole conversation as input, tools and JSON work as with an agent.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from ..emulation.prompt.content import text_of
from ..emulation.prompt.render import render
from ..emulation.prompt.turns import system_messages
from ..errors import RequestError
from ..events import ReplyEvent
from ..instrumentation import FirstText, PromptSent
from ..request.context import report_progress
from ..stackspot.agent_call import Steps
from ..stackspot.execution_report import ExecutionReport
from ..stackspot.quick_commands import ExecutionCall, execute
from ..stackspot.uploads import with_files
from .agent_reply import AgentReply
from .quick_command import CONVERSATION, LAST, SYSTEM, QuickCommand
from .turn import Turn


@dataclass(eq=False)
class QuickCommandTurn(Turn):
    """One client request to a Quick Command; `agent_id` is its slug."""

    command: QuickCommand = field(default_factory=lambda: QuickCommand(""))

    def _prepare(self) -> Steps[ReplyEvent]:
        if not self.command.reads_conversation:
            self._require_text_answer()
        yield from super()._prepare()

    def _require_text_answer(self) -> None:
        """Raise RequestError for what only a Quick Command could do that reads how to."""
        asked = {
            "tools": bool(self.request.tools),
            "response_format": self.request.parameters.json_schema is not None,
            "suffix": bool(self.request.parameters.suffix),
        }
        if name := next((name for name, is_asked in asked.items() if is_asked), None):
            raise RequestError(
                f"{name}: this model is a Quick Command that reads the last user message only. Send the request without "
                f"{name}, or have the operator set model_info.quick_command.input to {{conversation}}.",
                param=name,
            )

    def _prompt(self, since: int = 0) -> str:
        return super()._prompt(since) if self.command.reads_conversation else self._last_message()

    def _last_message(self) -> str:
        """Return the text of the last user message; raises RequestError if there is none."""
        own = [message for message in self.request.messages if message["role"] == "user"]
        alone = replace(self.request, messages=own[-1:], tools=(), tool_choice="auto")
        text = render(alone, limit=self._max_prompt_chars) if own else ""
        if not text.strip():
            raise RequestError("messages: a Quick Command needs a user message with text.", param="messages")
        self.meter.sent(text)
        return text

    def _open(self, reply: AgentReply) -> Steps[ReplyEvent]:
        """Execute the command, and read its result as the whole reply."""
        settings = self._settings_of(reply)
        call = ExecutionCall(self.agent_id, reply.prompt, self.correlation_id, caller=self.caller)
        call = replace(call, input_data=self.command.input_data(self._values(reply)))
        self.call = self.call or call
        self.hook(PromptSent(len(reply.prompt)))

        def send(upload_ids: tuple[str, ...]) -> Generator[Any, Any, ExecutionReport]:
            known = replace(call, upload_ids=upload_ids)
            return execute(known, settings, self._deadline, self._on_measurement, _report_progress)

        report = yield from with_files(send, self._attached, settings, self._deadline, self._on_measurement)
        frame = {"message": report.text, "stop_reason": "stop", "source": report.sources}
        reply.max_frame_bytes = None  # the size of the response was limited already
        reply.begin(0.0)
        reply.start = reply.feed(f"data: {json.dumps(frame)}\n\n".encode())
        reply.start += reply.flush()
        if not reply.hidden:
            self.hook(FirstText(self._deadline.elapsed()))

    def _values(self, reply: AgentReply) -> dict[str, str]:
        """Return what the placeholders of the input stand for."""
        system = (text_of(message.get("content")) for message in system_messages(self.request))
        own = [message for message in self.request.messages if message["role"] == "user"]
        return {
            CONVERSATION: reply.prompt,
            LAST: text_of(own[-1].get("content")) if own else "",
            SYSTEM: "\n\n".join(filter(None, system)),
        }


def _report_progress(report: ExecutionReport) -> None:
    share = "" if report.percentage is None else f" {report.percentage} %"
    steps = "" if not report.steps else f", steps: {report.steps}"
    report_progress(f"{report.status}{share}{steps}")
