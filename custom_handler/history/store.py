"""The interface of the stores of responses, and the choice between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from ..settings import Settings

FILE_NAME = "responses.sqlite3"


class StoreFailed(Exception):
    """A store can be neither read nor written now."""


class ResponseStore(Protocol):
    """Contents by the hash of an API key (`owner`) and an id. Methods block, and are thread-safe.

    They raise StoreFailed. Nothing is found once it is older than RESPONSES_KEEP, and of each owner
    the newest RESPONSES_PER_KEY responses are kept.
    """

    def put(self, owner: str, response_id: str, content: bytes, items: Mapping[str, bytes]) -> None:
        """Store a response and its items by their ids, in one transaction."""

    def claim(self, owner: str, response_id: str, content: bytes) -> bytes | None:
        """Store a content and return None, unless there is one of this id: return that."""

    def get(self, owner: str, response_id: str) -> bytes | None:
        """Return the content of a response, None if this owner has none of this id."""

    def items(self, owner: str, item_ids: Collection[str]) -> dict[str, bytes]:
        """Return the items that this owner has, by their ids."""

    def delete(self, owner: str, response_id: str) -> bool:
        """Delete a response and its items; return whether there was one."""

    def close(self) -> None:
        """Close the connections."""


def open_responses(settings: Settings) -> ResponseStore:
    """Return the store of the processes: Redis where it is configured, else a file of SQLite."""
    keep, per_key = settings.responses.keep, settings.responses.per_key
    if not settings.redis.configured:
        from .sqlite_store import SqliteResponseStore  # noqa: PLC0415

        return SqliteResponseStore(Path(settings.jobs.directory) / FILE_NAME, keep, per_key)
    from .redis_store import RedisResponseStore  # noqa: PLC0415  loads redis only where it is used

    return RedisResponseStore(settings.redis, keep, per_key)
