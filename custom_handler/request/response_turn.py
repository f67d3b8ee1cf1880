"""A request of /v1/responses and the conversation that it continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class ResponseTurn:
    """One request of /v1/responses, for its response to be kept.

    `owner` is a hash of the API key. `items` are all of the conversation's input items, without
    references; the last `added` of them are the request's own. `previous` is the id of the response
    that it continues. `wanted` is false where the client says `store: false`; `bridged` is set once
    a deployment is chosen whose provider keeps no responses itself.
    """

    owner: str
    items: list[Any]
    added: int
    previous: str | None = None
    wanted: bool = True
    bridged: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the response of this request is to be kept."""
        return self.wanted and self.bridged
