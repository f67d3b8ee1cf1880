"""Keep responses of /v1/responses, and find the conversation that a request continues.

A response is kept with all input items of its conversation, so a request reads one record, and
neither the age nor the deletion of an earlier response matters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import RequestError, ResponseStoreUnavailable, ResponseUnknown
from ..instrumentation import Hook, ResponseStored, no_hook
from ..request.response_turn import ResponseTurn
from ..stackspot.state.store_threads import StoreThreads
from .approved_calls import ApprovedCalls
from .items import (
    StoredResponse,
    as_items,
    by_id,
    decode,
    encode,
    exceeds,
    normalized,
    referenced_id,
)
from .store import ResponseStore, StoreFailed

TIMEOUT = 2.5
"""Seconds that a call of the store may take; a response that is not stored by then is not kept."""

MAX_ITEMS = 1000  # of a response to which later requests can refer; the newest
MAX_REFERENCES = 1000  # of a request
_MAX_ID = 1000
_TOO_LARGE = b""  # is stored instead of a response that exceeds the limit

KEPT, TOO_LARGE, FAILED = "kept", "too_large", "failed"

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class ResponseHistory:
    """The kept responses; `owner` is always the hash of an API key, which finds only its own."""

    def __init__(self, store: ResponseStore, max_bytes: int, hook: Hook = no_hook) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._hook = hook
        self._threads = StoreThreads(TIMEOUT)
        self._has_failed = False
        self.approved_calls = ApprovedCalls(store, self._run, max_bytes)

    async def resolve(self, owner: str, body: Mapping[str, Any]) -> ResponseTurn:
        """Return the turn of a request: with the conversation that it continues or refers to.

        Raises ResponseUnknown, ResponseStoreUnavailable, and RequestError for a response that was
        too large to be kept.
        """
        previous, added = body.get("previous_response_id"), as_items(body.get("input"))
        earlier: list[Any] = []
        if isinstance(previous, str) and previous:
            earlier = (await self._conversation(owner, previous)).conversation()
        else:
            previous = None
        added = await self._with_referenced(owner, added, by_id(earlier))
        wanted = body.get("store") is not False
        return ResponseTurn(owner, [*earlier, *added], len(added), previous, wanted)

    async def keep(self, turn: ResponseTurn, response: dict[str, Any]) -> None:
        """Store the response of a turn; a failure is logged and counted, and raises nothing."""
        outcome = None
        try:
            outcome = await self._threads.run(self._put, turn, response)
        except StoreFailed as error:
            if not self._has_failed:
                logger.warning(
                    "Responses cannot be kept (%s): requests cannot continue them. Set JOBS_DIR to a folder that "
                    "can be written to, or REDIS_URL to a Redis that responds",
                    error,
                )
        except Exception as error:  # noqa: BLE001  the client receives its answer all the same
            logger.warning("A response could not be kept (%s)", type(error).__name__)
        self._has_failed = outcome is None
        self._hook(ResponseStored(outcome or FAILED))

    async def find(self, owner: str, response_id: str) -> StoredResponse:
        """Return a kept response. Raises ResponseUnknown, ResponseStoreUnavailable."""
        content = await self._content(owner, response_id)
        if not content:
            raise ResponseUnknown(_not_kept(response_id, is_too_large=content == _TOO_LARGE))
        return await self._decoded(content)

    async def delete(self, owner: str, response_id: str) -> None:
        """Delete a kept response. Raises ResponseUnknown, ResponseStoreUnavailable."""
        content = await self._content(owner, response_id)
        if content is None or not await self._run(lambda: self._store.delete(owner, response_id)):
            raise ResponseUnknown(_not_kept(response_id))
        for item in (await self._decoded(content)).output() if content else ():
            if isinstance(item, Mapping) and (approval := item.get("approval_request_id")):
                await self.approved_calls.drop(owner, str(approval))

    async def aclose(self) -> None:
        """Close the store."""
        self._store.close()

    async def _conversation(self, owner: str, response_id: str) -> StoredResponse:
        content = await self._content(owner, response_id)
        if content is None:
            raise ResponseUnknown(
                "previous_response_id: this proxy does not know that response of this API key, because it kept none "
                "or has dropped it. Send the whole conversation in input.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if content == _TOO_LARGE:
            raise RequestError(
                "previous_response_id: the conversation of that response was not kept, because it is larger than "
                f"{self._max_bytes} bytes. Send it in input, or raise RESPONSES_MAX_BYTES.",
                param="previous_response_id",
            )
        return await self._decoded(content)

    async def _with_referenced(self, owner: str, items: list[Any], known: Mapping[str, Any]) -> list[Any]:
        """Return items with the content of those that refer to others.

        A reference to an item of the conversation that is continued is left out.
        """
        references = {name for item in items if (name := referenced_id(item)) is not None}
        wanted = references - known.keys()
        if not references:
            return items
        if len(wanted) > MAX_REFERENCES:
            raise RequestError(f"input: a request can refer to {MAX_REFERENCES} items.", param="input")
        ids = [name for name in wanted if _is_id(name)]
        contents = await self._run(lambda: self._store.items(owner, ids))
        if missing := next((name for name in wanted if name not in contents), None):
            raise ResponseUnknown(
                f"input: this proxy has no item {missing[:80]!r} of this API key to refer to. Send the item itself.",
                param="input",
            )
        found = await self._run(lambda: {name: decode(content) for name, content in contents.items()})
        return [item if name is None else found[name] for item in items if (name := referenced_id(item)) not in known]

    def _put(self, turn: ResponseTurn, response: dict[str, Any]) -> str:
        split = len(turn.items) - turn.added
        items = [*turn.items[:split], *map(normalized, turn.items[split:])]
        response_id = str(response["id"])
        if exceeds([response, items], self._max_bytes):
            self._store.put(turn.owner, response_id, _TOO_LARGE, {})
            return TOO_LARGE
        stored = StoredResponse(response, items, turn.added)
        own = {name: item for name, item in by_id(stored.own_items()).items() if _is_id(name)}
        contents = {name: encode(item) for name, item in list(own.items())[-MAX_ITEMS:]}
        self._store.put(turn.owner, response_id, encode([response, items, turn.added]), contents)
        return KEPT

    async def _content(self, owner: str, response_id: str) -> bytes | None:
        if not _is_id(response_id):
            return None
        found = await self._run(lambda: (self._store.get(owner, response_id),))
        return found[0]

    async def _decoded(self, content: bytes) -> StoredResponse:
        return await self._run(lambda: StoredResponse(*decode(content)))

    async def _run(self, call: Callable[[], Result]) -> Result:
        """Return the result of a call on the store's threads. Raises ResponseStoreUnavailable."""
        try:
            result = await self._threads.run(call)
        except StoreFailed:
            result = None
        if result is None:
            raise ResponseStoreUnavailable(
                "The store of responses cannot be read right now. Try again, or send the whole conversation in input."
            )
        return result


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _MAX_ID and text.isascii() and text.isprintable()


def _not_kept(response_id: str, *, is_too_large: bool = False) -> str:
    reason = "it was larger than RESPONSES_MAX_BYTES" if is_too_large else "it kept none or has dropped it"
    return f"This proxy has no response {response_id[:80]!r} of this API key, because {reason}."
