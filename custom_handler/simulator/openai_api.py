"""The agent's answers in OpenAI's words: what the proxy's own `openai` provider is measured against.

An answer has the same text, in the same pieces, at the same pace as at the Agent API, and the same plays apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError
from .responses import Question, ResponseWriter
from .steps import answer_json
from .wire import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .scripted import ScriptedResponse
    from .settings import SimulatorSettings
    from .steps import Step

# Nothing depends on the time of an answer, and a fixed one keeps answers equal.
CREATED = 1_767_225_600


@dataclass(frozen=True, slots=True)
class Completion(Question):
    """A chat completion that is asked for; its prompt is the text of the last user message."""

    model: str = ""
    include_usage: bool = False


def read_completion(body: Mapping[str, Any], message_id: str) -> Completion:
    """The request in a body; raises InvalidRequestError unless it has a user message with text."""
    messages = body.get("messages")
    said = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    spoken = [_text(message.get("content")) for message in said if message.get("role") == "user"]
    if not spoken or not spoken[-1]:
        raise InvalidRequestError("messages must hold a user message with text")
    options = body.get("stream_options")
    return Completion(
        prompt=spoken[-1],
        streaming=bool(body.get("stream", False)),
        message_id=message_id,
        model=str(body.get("model", "")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def refuse_completion(why: str) -> Iterator[Step]:
    """A refusal as OpenAI writes it."""
    return answer_json(400, {"error": {"message": why, "type": "invalid_request_error", "param": None, "code": None}})


class OpenAIScore(ResponseWriter):
    """One play read against one chat completion."""

    def __init__(self, play: ScriptedResponse, completion: Completion, settings: SimulatorSettings) -> None:
        super().__init__(play, completion, settings)
        self._completion = completion

    def shaped(self, message: str, *, opening: bool = False) -> dict[str, Any]:
        """One chunk with a delta of text."""
        return self._chunk({"role": "assistant", "content": message} if opening else {"content": message})

    def closing(self) -> Iterator[Step]:
        """The finish, the usage where it was asked for, and the end mark."""
        yield self.write(self._chunk({}, "stop"))
        if self._completion.include_usage:
            yield self.write(self._chunk(None) | {"usage": self._usage()})
        yield self.write("[DONE]")

    def answer(self) -> dict[str, Any]:
        """The whole chat completion."""
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return self._head("chat.completion") | {"choices": [choice], "usage": self._usage()}

    def _chunk(self, delta: Mapping[str, Any] | None, finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [] if delta is None else [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        identifier = f"chatcmpl-{self.question.message_id}"
        return {"id": identifier, "object": kind, "created": CREATED, "model": self._completion.model}

    def _usage(self) -> dict[str, int]:
        asked, said = count_tokens(self.question.prompt), count_tokens(self.text)
        return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
