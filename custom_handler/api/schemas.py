"""The body of `POST /chat` and its streams, converted to the body of a chat completion."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

Text = Annotated[str, Field(min_length=1)]


class Message(BaseModel):
    """A message of OpenAI's API."""

    model_config = ConfigDict(extra="allow")

    role: Text


class Params(BaseModel):
    """Parameters; others of a chat completion, such as `tools`, are passed on unchanged."""

    model_config = ConfigDict(extra="allow")

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stream: bool = False
    json_mode: bool = False

    @model_validator(mode="after")
    def _reject_fields_of_the_body(self) -> Self:
        if rejected := sorted((self.model_extra or {}).keys() & {"model", "messages", "stream_options"}):
            raise ValueError(f"params cannot hold {', '.join(rejected)}")
        return self

    def completion_fields(self) -> dict[str, Any]:
        """Return the parameters that were sent, in OpenAI's form."""
        sent = self.model_dump(exclude_none=True, exclude={"stream", "json_mode"})
        return sent | ({"response_format": {"type": "json_object"}} if self.json_mode else {})


class ChatBody(BaseModel):
    """A question: `messages`, a `prompt` (optionally with `system_prompt`), or a `message`."""

    model_config = ConfigDict(extra="forbid")

    model: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    prompt: Text | None = None
    system_prompt: Text | None = None
    message: Text | None = None
    params: Params = Field(default_factory=Params)

    @model_validator(mode="after")
    def _require_one_input(self) -> Self:
        if [self.messages, self.prompt, self.message].count(None) != 2:
            raise ValueError("give exactly one of messages, prompt and message")
        if self.system_prompt is not None and self.prompt is None:
            raise ValueError("system_prompt goes with prompt; among messages, give one of role system")
        return self

    def completion_body(self, default_model: str) -> dict[str, Any]:
        """Return the body of the chat completion."""
        return {**self.params.completion_fields(), "model": self.model or default_model, "messages": self._messages()}

    def _messages(self) -> list[dict[str, Any]]:
        if self.messages is not None:
            return [message.model_dump() for message in self.messages]
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*system, {"role": "user", "content": self.prompt or self.message}]
