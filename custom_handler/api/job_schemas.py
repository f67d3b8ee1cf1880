"""The body of `POST /ingest`: messages, or documents with a prompt, and the items they become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from ..proxy.client import encode_json
from .schemas import Message, Params, Text

Conversation = Annotated[list[Message], Field(min_length=1)]


class Document(BaseModel):
    """A text that the prompt refers to; the result has its `id`."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    id: str | None = None


class IngestBody(BaseModel):
    """A job: one item for each of `messages`, or for each of `documents`."""

    model_config = ConfigDict(extra="forbid")

    model: Text | None = None
    messages: Annotated[list[Text | Conversation], Field(min_length=1)] | None = None
    documents: Annotated[list[Document], Field(min_length=1)] | None = None
    prompt: Text | None = None
    system_prompt: Text | None = None
    params: Params = Field(default_factory=Params)

    @field_validator("messages", mode="before")
    @classmethod
    def _require_texts_or_lists(cls, value: Any) -> Any:
        entries = value if isinstance(value, list) else []
        if wrong := [number for number, entry in enumerate(entries) if not isinstance(entry, str | list)]:
            raise ValueError(f"entry {wrong[0]} must be a text, or a conversation: a list of messages")
        return value

    @field_validator("documents", mode="before")
    @classmethod
    def _texts_to_documents(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"text": entry} if isinstance(entry, str) else entry for entry in value]

    @model_validator(mode="after")
    def _require_one_input(self) -> Self:
        if (self.messages is None) == (self.documents is None):
            raise ValueError("give exactly one of messages and documents")
        if (self.documents is None) != (self.prompt is None):
            raise ValueError("documents and prompt go together: the prompt says what to do with each document")
        if self.params.stream:
            raise ValueError("params.stream: a job's answers are not streamed; ask /status for them")
        return self

    def count(self) -> int:
        """Return the number of items."""
        return len(self.messages or self.documents or ())

    def items(self, max_bytes: int) -> list[dict[str, Any]]:
        """Return the items: a dict with `messages`, and `id` if the document has one.

        Raises:
            ValueError: They have more than `max_bytes` bytes in all, the prompt counted in each.
            ProxyResponseError: JSON cannot represent an item or a parameter.
        """
        encode_json(self.params.completion_fields())
        items: list[dict[str, Any]] = []
        size = 0
        for item in self._items():
            items.append(item)
            size += len(encode_json(item))
            if size > max_bytes:
                raise ValueError(
                    f"the items have more than {max_bytes} bytes in all, prompts included: make several jobs"
                )
        return items

    def _items(self) -> Iterator[dict[str, Any]]:
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        for entry in self.messages or ():
            if isinstance(entry, str):
                yield {"messages": [*system, {"role": "user", "content": entry}]}
            else:
                yield {"messages": [*system, *(message.model_dump() for message in entry)]}
        for document in self.documents or ():
            user = {"role": "user", "content": f"{self.prompt}\n\n{document.text}"}
            yield {"messages": [*system, user], **({"id": document.id} if document.id is not None else {})}
