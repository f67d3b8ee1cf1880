"""List what the accounts have, for `check --agents`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..data_class import data_class
from ..errors import StackspotError
from ..provider.handler import StackspotLLM
from ..proxy.agent_catalog import Listing
from ..proxy.model_list import ModelList
from ..settings import DEFAULT_ACCOUNT, Settings
from ..stackspot.agent_list import VISIBILITIES, Agent


@data_class
class AgentRow:
    """One agent of an account, and the models of wildcards that it is."""

    name: str
    id: str
    visibility: str
    models: tuple[str, ...]
    account: str


@data_class
class AccountAgents:
    """The agents, and a message for each list that cannot be read."""

    rows: tuple[AgentRow, ...]
    problems: tuple[str, ...]


def list_account(config: Mapping[str, Any], settings: Settings) -> AccountAgents:
    """Ask for each list once; uses no quota. Raises nothing."""
    return asyncio.run(_list_account(config, settings))


async def _list_account(config: Mapping[str, Any], settings: Settings) -> AccountAgents:
    found: dict[Listing, list[Agent]] = {}
    problems: list[str] = []
    provider = StackspotLLM(settings)
    names = [account.name for account in provider.accounts.usable]
    for listing in (Listing(name, visibility) for name in names for visibility in VISIBILITIES):
        try:
            found[listing] = await provider.list_agents(listing.visibility, listing.account)
        except StackspotError as error:  # noqa: PERF203  the other lists may be readable
            where = f"account {listing.account}: " if len(names) > 1 else ""
            problems.append(f"{where}{error.message}")
    entries = config.get("model_list")
    catalog = ModelList(entries if isinstance(entries, list) else ()).agents()
    models = catalog.entries(found).values()
    rows = tuple(
        AgentRow(
            agent.name,
            agent.id,
            listing.visibility,
            tuple(dict.fromkeys(entry["model_name"] for entry in models if _is_agent(entry, agent, listing.account))),
            listing.account,
        )
        for listing, agents in found.items()
        for agent in agents
    )
    return AccountAgents(rows, tuple(dict.fromkeys(problems)))


def _is_agent(entry: Mapping[str, Any], agent: Agent, account: str) -> bool:
    """Return whether a deployment of a wildcard is an agent, as an account has it."""
    info = entry["model_info"]
    return info["agent_id"] == agent.id and (info.get("account") or DEFAULT_ACCOUNT) == account
