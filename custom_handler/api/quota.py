"""`GET /quota`: the limits of the StackSpot accounts, and what each API key uses of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from ..proxy.auth import Caller as AuthenticatedKey
from ..proxy.auth import sees_all
from ..proxy.budgets import Budget
from ..proxy.keys_file import quota_caller
from ..request.caller import Caller
from ..stackspot.state.ledger import Quota, total_quota
from .responses import api_router


def routes(
    read: Callable[[], Mapping[str, Quota]],
    configured: Iterable[Caller] = (),
    read_budgets: Callable[[], Awaitable[Mapping[str, Budget]]] | None = None,
) -> APIRouter:
    """Return the route; `read` returns the quotas by account and may block.

    `configured` are the keys of KEYS_FILE.
    """
    router: APIRouter = api_router(tags=["chat service"])
    reader, known = _Reader(read), tuple(configured)

    @router.get("/quota")
    async def quota(key: AuthenticatedKey) -> dict[str, Any]:
        """Return limits and use: with all keys for the master key, else with the caller's own."""
        budgets = {} if read_budgets is None else await read_budgets()
        only = None if sees_all(key) else quota_caller(key)
        return quotas_object(await reader.read(), only, known, time.time(), budgets)

    return router


def quotas_object(
    quotas: Mapping[str, Quota],
    only: Caller | None,
    configured: Iterable[Caller],
    now: float,
    budgets: Mapping[str, Budget] | None = None,
) -> dict[str, Any]:
    """Return the response for all accounts together, and where there are several, for each.

    See `quota_object`.
    """
    known = tuple(configured)
    together = quota_object(total_quota(tuple(quotas.values())), only, known, now, budgets)
    if len(quotas) == 1:
        return together
    each = {name: quota_object(quota, only, known, now) for name, quota in quotas.items()}
    return {**together, "accounts": [{"name": name, **found} for name, found in each.items()]}


def quota_object(
    quota: Quota,
    only: Caller | None,
    configured: Iterable[Caller],
    now: float,
    budgets: Mapping[str, Budget] | None = None,
) -> dict[str, Any]:
    """Return the response for one account; `only` is the one key to show.

    The quota of Quick Commands has the same fields, without budgets. `now` is in seconds since the
    epoch.
    """
    limits, usage, known = quota.limits, quota.usage, tuple(configured)
    keys = {caller.name: _Key(caller) for caller in (*usage.by_caller, *usage.waiting, *known)}
    for caller, used in usage.by_caller.items():
        keys[caller.name].used += used
    for caller, waiting in usage.waiting.items():
        keys[caller.name].waiting += waiting
    if only is not None:
        keys = {only.name: keys.get(only.name, _Key(only))}
    commands = quota.quick_commands
    return {
        "limit": limits.per_minute or None,
        "used": usage.used,
        "waiting": sum(usage.waiting.values()),
        "paused_until": round(now + quota.pause, 3) if quota.pause else None,
        "day": {"limit": limits.per_day or None, "used": usage.used_today},
        "keys": [keys[name].as_object() | _budget_object(name, budgets or {}) for name in sorted(keys)],
        **({} if commands is None else {"quick_commands": quota_object(commands, only, known, now)}),
    }


@dataclass(slots=True)
class _Key:
    caller: Caller
    used: int = 0
    waiting: int = 0

    def as_object(self) -> dict[str, Any]:
        caller = self.caller
        counts = {"used": self.used, "waiting": self.waiting}
        return {"name": caller.name, **counts, "weight": caller.weight, "share": caller.share}


def _budget_object(name: str, budgets: Mapping[str, Budget]) -> dict[str, Any]:
    budget = budgets.get(name)
    if budget is None:
        return {}
    return {"budget": {"limit": budget.limit, "spent": round(budget.spent, 9), "resets_at": budget.resets_at}}


class _Reader:
    """Reads the quota on a thread of its own; requests that arrive meanwhile share the result.

    So a Redis that does not respond delays no request but these.
    """

    def __init__(self, read: Callable[[], Mapping[str, Quota]]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stackspot-quota")
        self._pending: Future[Mapping[str, Quota]] | None = None

    async def read(self) -> Mapping[str, Quota]:
        if self._pending is None or self._pending.done():
            self._pending = self._thread.submit(self._read)
        return await asyncio.shield(asyncio.wrap_future(self._pending))
