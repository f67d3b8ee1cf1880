"""Run each approved MCP call once, however often and to how many processes its approval is sent.

A record in the store of responses, by the API key and the approval, says that the call was started,
and later what came of it. While it runs, a second record is the lease of its process; without
that, and without an outcome, nothing tells whether the tool has run, and it does not run again.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from ..data_class import data_class
from ..errors import ApprovedCallRuns, RequestError, ResponseStoreUnavailable
from ..request.mcp_outcome import Outcome
from .items import decode, encode, exceeds
from .store import ResponseStore

LEASE = 30.0
"""Seconds after which a process that has not renewed its lease of a call has ended."""

WAIT, POLL = 20.0, 0.2  # seconds for the outcome of another process
RETRY_AFTER = 5.0

Result = TypeVar("Result")
RunOnStore: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]

logger = logging.getLogger(__name__)


class CallNotMade(Exception):
    """A call was not made, so it may be made later; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("not made")
        self.outcome = outcome


@data_class
class ApprovedCall:
    """A call and its approval by an API key, of which `owner` is the hash.

    `kept`: the outcome may be stored, and not only that there was one.
    """

    owner: str
    approval: str
    name: str
    arguments: str
    kept: bool = True

    @property
    def record(self) -> str:
        """The id of the record of this call."""
        return _record(self.approval)

    @property
    def digest(self) -> str:
        """A hash of what is called."""
        return hashlib.sha256(f"{self.name}\n{self.arguments}".encode("utf-8", "surrogatepass")).hexdigest()


class ApprovedCalls:
    """The approved calls of all keys; `run_on_store` calls the store on a thread of its own."""

    def __init__(
        self,
        store: ResponseStore,
        run_on_store: RunOnStore,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._run_on_store = store, run_on_store
        self._max_bytes = max_bytes
        self._clock = clock
        self._running: dict[ApprovedCall, asyncio.Task[Outcome]] = {}

    async def once(self, call: ApprovedCall, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Return the outcome of a call, which `run` makes unless an earlier request has made it.

        The call goes on if the client disconnects. Raises ApprovedCallRuns if another process makes
        it for long, ResponseStoreUnavailable, and RequestError for an approval of another call.
        """
        if (task := self._running.get(call)) is None:
            task = self._running[call] = asyncio.create_task(self._once(call, run))
            task.add_done_callback(lambda ended: self._forget(call, ended))
        return await asyncio.shield(task)

    def _forget(self, call: ApprovedCall, ended: asyncio.Task[Outcome]) -> None:
        self._running.pop(call, None)
        if not ended.cancelled():
            ended.exception()  # its client may have left: asyncio would log that it was not read

    async def _once(self, call: ApprovedCall, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
        until = time.monotonic() + WAIT
        found = await self._claimed(call)
        while found is not None:
            earlier = decode(found)
            if earlier["call"] != call.digest:
                raise RequestError(
                    f"mcp_approval_response: {call.approval[:80]!r} was the approval of another call before.",
                    param="input",
                )
            if "outcome" in earlier:
                return Outcome(*earlier["outcome"])
            leased = await self._is_leased(call, earlier["until"])
            if leased and time.monotonic() > until:
                raise ApprovedCallRuns(
                    "mcp_approval_response: an earlier request with this approval has started the call, which "
                    "still runs. Send the approval again later for its result: the call is not made again.",
                    retry_after=RETRY_AFTER,
                )
            if leased:
                await asyncio.sleep(POLL)
            before, found = found, await self._claimed(call)
            if not leased and found == before:  # else the call has ended, and its lease with it
                return Outcome.refused(
                    "The proxy stopped before it had the outcome of this call, so it is unknown whether the tool "
                    f"has run. {_NOT_AGAIN}"
                )
        try:
            outcome = await self._made(call, run)
        except CallNotMade as error:
            await self._try(lambda: self._store.delete(call.owner, call.record))
            return error.outcome
        await self._keep(call, outcome)
        return outcome

    async def _claimed(self, call: ApprovedCall) -> bytes | None:
        """Return the record of an earlier request, None where this one is the first."""
        record = encode({"call": call.digest, "until": self._clock() + LEASE})
        try:
            [found] = await self._run_on_store(lambda: (self._store.claim(call.owner, call.record, record),))
        except ResponseStoreUnavailable:
            raise ResponseStoreUnavailable(
                "The store of responses cannot be used right now, so the approved call was not made: it could be "
                "made twice. Try again."
            ) from None
        return found  # type: ignore[no-any-return]

    async def _made(self, call: ApprovedCall, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Return what `run` returns, and renew the lease meanwhile."""
        task = asyncio.ensure_future(run())
        try:
            while not (await asyncio.wait({task}, timeout=LEASE / 3))[0]:
                await self._renew_lease(call)
        finally:
            task.cancel()
        return await task

    async def _renew_lease(self, call: ApprovedCall) -> None:
        """Store until when this process makes the call, apart from the call's outcome."""
        until = encode(self._clock() + LEASE)
        await self._try(lambda: self._put(call.owner, _lease(call), until))

    async def _is_leased(self, call: ApprovedCall, until: float) -> bool:
        [found] = await self._run_on_store(lambda: (self._store.get(call.owner, _lease(call)),))
        return max(until, decode(found) if found else 0.0) >= self._clock()

    async def _keep(self, call: ApprovedCall, outcome: Outcome) -> None:
        if not call.kept:
            outcome = Outcome.refused(f"{_MADE_BEFORE} because its request had store: false. {_NOT_AGAIN}")
        elif exceeds([outcome.output, outcome.error], self._max_bytes):
            outcome = Outcome.refused(f"{_MADE_BEFORE} because it is larger than RESPONSES_MAX_BYTES. {_NOT_AGAIN}")
        record = encode({"call": call.digest, "outcome": [outcome.output, outcome.error]})
        await self._try(lambda: self._put(call.owner, call.record, record))
        await self._try(lambda: self._store.delete(call.owner, _lease(call)))

    async def drop(self, owner: str, approval: str) -> None:
        """Delete what came of a call, but not that it was made. Raises ResponseStoreUnavailable."""
        [found] = await self._run_on_store(lambda: (self._store.get(owner, _record(approval)),))
        earlier = decode(found) if found else {}
        if "outcome" in earlier:
            lost = Outcome.refused(f"{_MADE_BEFORE} because its response was deleted. {_NOT_AGAIN}")
            record = encode({**earlier, "outcome": [lost.output, lost.error]})
            await self._run_on_store(functools.partial(self._put, owner, _record(approval), record))

    def _put(self, owner: str, record: str, content: bytes) -> bool:
        self._store.put(owner, record, content, {})
        return True

    async def _try(self, command: Callable[[], bool]) -> None:
        """Run a command on the store; if it fails, later requests read: the outcome is unknown."""
        try:
            await self._run_on_store(command)
        except ResponseStoreUnavailable:
            logger.warning("The outcome of an approved MCP call could not be kept: the store cannot be used right now")


_MADE_BEFORE = "This call was made by an earlier request with its approval. Its result was not kept,"
_NOT_AGAIN = "The call was not made again."


def _record(approval: str) -> str:
    """Return the id of a record; it has a character that no id of a client's request may have."""
    return f"approval\n{hashlib.sha256(approval.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _lease(call: ApprovedCall) -> str:
    return f"{call.record}\nlease"
