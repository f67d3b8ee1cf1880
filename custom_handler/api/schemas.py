"""What `POST /chat` and its streams take: one of three ways to say it, turned into a chat completion's body."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

Text = Annotated[str, Field(min_length=1)]


class Message(BaseModel):
    """A message as OpenAI's API has it."""

    model_config = ConfigDict(extra="allow")

    role: Text


class Params(BaseModel):
    """How to answer; any other parameter of a chat completion, such as `tools`, is passed on as it is."""

    model_config = ConfigDict(extra="allow")

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stream: bool = False
    json_mode: bool = False

    @model_validator(mode="after")
    def _leave_the_rest_alone(self) -> Self:
        if taken := sorted((self.model_extra or {}).keys() & {"model", "messages", "stream_options"}):
            raise ValueError(f"params cannot hold {', '.join(taken)}")
        return self

    def body(self) -> dict[str, Any]:
        """Return the parameters of the chat completion, those that were given."""
        given = self.model_dump(exclude_none=True, exclude={"stream", "json_mode"})
        return given | ({"response_format": {"type": "json_object"}} if self.json_mode else {})


class ChatBody(BaseModel):
    """A question: as `messages`, as a `prompt` (with a `system_prompt` or without), or as a `message`."""

    model_config = ConfigDict(extra="forbid")

    model: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    prompt: Text | None = None
    system_prompt: Text | None = None
    message: Text | None = None
    params: Params = Field(default_factory=Params)

    @model_validator(mode="after")
    def _say_it_one_way(self) -> Self:
        if [self.messages, self.prompt, self.message].count(None) != 2:
            raise ValueError("give exactly one of messages, prompt and message")
        if self.system_prompt is not None and self.prompt is None:
            raise ValueError("system_prompt goes with prompt; among messages, give one of role system")
        return self

    def body(self, default_model: str) -> dict[str, Any]:
        """Return the chat completion's body."""
        return {**self.params.body(), "model": self.model or default_model, "messages": self._messages()}

    def _messages(self) -> list[dict[str, Any]]:
        if self.messages is not None:
            return [message.model_dump() for message in self.messages]
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return [*system, {"role": "user", "content": self.prompt or self.message}]
