"""List the accounts' agents in the background, and keep the router's models of them in step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litellm.types.router import Deployment

from ..errors import StackspotError
from ..instrumentation import AgentsRefreshed, Hook
from ..settings import DEFAULT_ACCOUNT
from ..stackspot.agent_list import Agent
from .agent_catalog import AgentCatalog, Listing

FIRST_WAIT = 5.0
"""Seconds for which a start waits for the first list."""
JITTER = 0.1

logger = logging.getLogger(__name__)


class AgentRefresh:
    """One task of a process; a chat never waits for it, and a list that fails changes nothing.

    `router` returns LiteLLM's router, `list_agents` the agents of one visibility, of an account.
    """

    def __init__(
        self,
        catalog: AgentCatalog,
        list_agents: Callable[[str, str], Awaitable[Sequence[Agent]]],
        router: Callable[[], Any],
        interval: float,
        hook: Hook,
    ) -> None:
        self._catalog = catalog
        self._list_agents = list_agents
        self._router = router
        self._interval = interval
        self._hook = hook
        self._found: dict[Listing, Sequence[Agent]] = {}
        self._failing: set[Listing] = set()
        self._deployments: dict[str, dict[str, Any]] = {}
        self._aliases: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve the agents that are allowed by id, and start the task; wait a little for it."""
        if not self._catalog.lists:
            return
        self._apply()
        first = asyncio.Event()
        self._task = asyncio.create_task(self._run(first))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(first.wait(), FIRST_WAIT)

    async def aclose(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, first: asyncio.Event) -> None:
        while True:
            await self.refresh()
            first.set()
            await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  no secret

    async def refresh(self) -> None:
        """Read the lists once; one that fails stays as it was. Raises nothing.

        The refresh of an account succeeds if one of its lists can be read.
        """
        lists = self._catalog.lists
        read = {listing.account for listing in lists if await self._read(listing)}
        try:
            self._apply()
        except Exception:
            logger.exception("The models of the agents could not be changed")
            read = set()
        listed = Counter(entry["model_info"].get("account") or DEFAULT_ACCOUNT for entry in self._deployments.values())
        for account in dict.fromkeys(listing.account for listing in lists):
            self._hook(AgentsRefreshed(listed[account], account in read, account=account))

    async def _read(self, listing: Listing) -> bool:
        try:
            self._found[listing] = await self._list_agents(listing.visibility, listing.account)
        except Exception as error:  # noqa: BLE001  after any error the last list stays
            if listing not in self._failing:
                reason = error.message if isinstance(error, StackspotError) else type(error).__name__
                logger.warning(
                    "The agents of the account %s (visibility %s) cannot be listed, the last list stays: %s",
                    *(listing.account, listing.visibility, reason),
                )
            self._failing.add(listing)
            return False
        self._failing.discard(listing)
        return True

    def _apply(self) -> None:
        """Add new models before old ones are removed, so that a known agent is always served.

        Each step is noted, so if the router fails at one, the next list still removes the others.
        """
        router, wanted = self._router(), self._catalog.entries(self._found)
        if router is None:
            return
        added = [identity for identity in wanted if not router.has_model_id(identity)]
        removed = [identity for identity in self._deployments if identity not in wanted]
        for identity in added:
            self._deployments[identity] = wanted[identity]
            router.add_deployment(Deployment(**wanted[identity]))
        aliases = self._catalog.aliases(self._found)
        for alias in self._aliases.keys() - aliases.keys():
            router.model_group_alias.pop(alias, None)
        for alias, name in aliases.items():
            router.model_group_alias[alias] = {"model": name, "hidden": True}
        self._aliases = aliases
        for identity in removed:
            router.delete_deployment(id=identity)
            del self._deployments[identity]
        if added or removed:
            logger.info("Agents as models: %d (%d added, %d removed)", len(wanted), len(added), len(removed))
