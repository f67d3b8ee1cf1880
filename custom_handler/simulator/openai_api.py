"""OpenAI's chat completions: the upstream for measuring LiteLLM's `openai` provider.

A reply has the same text, pieces and pace as at the Agent API, and the same scripts apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .responses import Question, ResponseWriter
from .wire import count_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

# A fixed time makes responses comparable.
CREATED = 1_767_225_600


@dataclass(frozen=True, slots=True)
class CompletionQuestion(Question):
    """A request for a chat completion; its prompt is the text of the last user message."""

    model: str = ""
    include_usage: bool = False


def read_completion(body: Mapping[str, Any], message_id: str) -> CompletionQuestion:
    """Return the question in a body; raises ValueError without a user message that is a text."""
    messages = body.get("messages") if isinstance(body.get("messages"), list) else []
    users = [message for message in messages or () if isinstance(message, dict) and message.get("role") == "user"]
    if not users or not isinstance(users[-1].get("content"), str):
        raise ValueError("messages must hold a user message with text")
    include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    prompt, streaming = users[-1]["content"], bool(body.get("stream"))
    return CompletionQuestion(prompt, streaming, message_id, model=str(body.get("model")), include_usage=include_usage)


class CompletionWriter(ResponseWriter):
    """Write the response to one question in the format of OpenAI's API."""

    question: CompletionQuestion

    def frame(self, message: str, *, first: bool = False) -> dict[str, Any]:
        """Return a chunk with an increment of text; the first chunk has the role."""
        return self._chunk({"role": "assistant", "content": message} if first else {"content": message})

    async def write_end(self) -> None:
        """Write the finish reason, the usage if requested, and the end marker."""
        await self.write_frame(self._chunk({}, "stop"))
        if self.question.include_usage:
            await self.write_frame(self._head("chat.completion.chunk") | {"choices": [], "usage": self._usage()})
        await self.write_frame("[DONE]")

    def whole_body(self) -> dict[str, Any]:
        """Return the whole chat completion."""
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return self._head("chat.completion") | {"choices": [choice], "usage": self._usage()}

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        identifier = f"chatcmpl-{self.question.message_id}"
        return {"id": identifier, "object": kind, "created": CREATED, "model": self.question.model}

    def _usage(self) -> dict[str, int]:
        sent, received = count_tokens(self.question.prompt), count_tokens(self.text)
        return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
