"""What `POST /ingest` takes: a list of messages, or of documents with a prompt, turned into the items of a job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from ..proxy.client import encoded
from .schemas import Message, Params, Text

Conversation = Annotated[list[Message], Field(min_length=1)]


class Document(BaseModel):
    """A text that the prompt is about; `id` comes back with its result."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    id: str | None = None


class IngestBody(BaseModel):
    """A job: one question for each of `messages`, or for each of `documents`."""

    model_config = ConfigDict(extra="forbid")

    model: Text | None = None
    messages: Annotated[list[Text | Conversation], Field(min_length=1)] | None = None
    documents: Annotated[list[Document], Field(min_length=1)] | None = None
    prompt: Text | None = None
    system_prompt: Text | None = None
    params: Params = Field(default_factory=Params)

    @field_validator("messages", mode="before")
    @classmethod
    def _each_is_an_item(cls, given: Any) -> Any:
        entries = given if isinstance(given, list) else []
        if wrong := [number for number, entry in enumerate(entries) if not isinstance(entry, str | list)]:
            raise ValueError(f"entry {wrong[0]} must be a text, or a conversation: a list of messages")
        return given

    @field_validator("documents", mode="before")
    @classmethod
    def _a_text_is_a_document(cls, given: Any) -> Any:
        return (
            [{"text": entry} if isinstance(entry, str) else entry for entry in given]
            if isinstance(given, list)
            else given
        )

    @model_validator(mode="after")
    def _say_it_one_way(self) -> Self:
        if (self.messages is None) == (self.documents is None):
            raise ValueError("give exactly one of messages and documents")
        if (self.documents is None) != (self.prompt is None):
            raise ValueError("documents and prompt go together: the prompt says what to do with each document")
        if self.params.stream:
            raise ValueError("params.stream: a job's answers are not streamed; ask /status for them")
        return self

    def count(self) -> int:
        """Return how many items the job has."""
        return len(self.messages or self.documents or ())

    def items(self, most_bytes: int) -> list[dict[str, Any]]:
        """Return the items; raises ValueError where they have more bytes than that, the prompt counted with each.

        Raises Refused where an item, or a parameter of all, cannot be sent.
        """
        encoded(self.params.body())
        items: list[dict[str, Any]] = []
        size = 0
        for item in self._items():
            items.append(item)
            size += len(encoded(item))
            if size > most_bytes:
                raise ValueError(
                    f"the items have more than {most_bytes} bytes in all, prompts included: make several jobs"
                )
        return items

    def _items(self) -> Iterator[dict[str, Any]]:
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        for said in self.messages or ():
            asked = [{"role": "user", "content": said}] if isinstance(said, str) else [one.model_dump() for one in said]
            yield {"messages": [*system, *asked]}
        for document in self.documents or ():
            asked = [{"role": "user", "content": f"{self.prompt}\n\n{document.text}"}]
            yield {"messages": [*system, *asked], **({"id": document.id} if document.id is not None else {})}
