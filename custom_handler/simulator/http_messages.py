"""A request as it came from the network, and what the service checks in its body."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .request_log import Record
    from .steps import Step

CHAT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "user_prompt": str,
    "streaming": bool,
    "stackspot_knowledge": bool,
    "return_ks_in_response": bool,
    "use_conversation": bool,
    "conversation_id": (str, type(None)),
    "upload_ids": list,
    "knowledge_source_ids": list,
    "deep_search_ks": bool,
    "agent_version_number": int,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request read from the network: header names in lower case, `origin` the base URL it was sent to."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    @property
    def content_type(self) -> str:
        """The Content-Type header, or nothing."""
        return self.headers.get("content-type", "")

    @property
    def authorization(self) -> str:
        """The Authorization header, or nothing."""
        return self.headers.get("authorization", "")


@dataclass(frozen=True, slots=True)
class Response:
    """The steps of an answer, and the record in which the server notes how they went."""

    steps: Iterator[Step]
    record: Record | None = None


def read_object(call: Request) -> dict[str, Any]:
    """The JSON object in the body; raises InvalidRequestError at anything else."""
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequestError("the content type must be application/json")
    try:
        value = json.loads(call.body)
    except ValueError:
        raise InvalidRequestError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("the body is not a JSON object")
    return value


def check_chat(body: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError unless the fields of a chat request have the contract's types."""
    for name, kind in CHAT_FIELDS.items():
        if name in body and not isinstance(body[name], kind):
            raise InvalidRequestError(f"{name} has a wrong type")
    if not body.get("user_prompt"):
        raise InvalidRequestError("user_prompt must not be empty")
