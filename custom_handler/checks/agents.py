"""List what the account has, for `check --agents`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import StackspotError
from ..provider.handler import StackspotLLM
from ..proxy.model_list import ModelList
from ..settings import Settings
from ..stackspot.agent_list import VISIBILITIES, Agent


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent of the account, and the models of wildcards that it is."""

    name: str
    id: str
    visibility: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountAgents:
    """The agents, and a message for each visibility that cannot be listed."""

    rows: tuple[AgentRow, ...]
    problems: tuple[str, ...]


def list_account(config: Mapping[str, Any], settings: Settings) -> AccountAgents:
    """Ask for each list once; uses no quota. Raises nothing."""
    return asyncio.run(_list_account(config, settings))


async def _list_account(config: Mapping[str, Any], settings: Settings) -> AccountAgents:
    found: dict[str, list[Agent]] = {}
    problems: list[str] = []
    provider = StackspotLLM(settings)
    for visibility in VISIBILITIES:
        try:
            found[visibility] = await provider.list_agents(visibility)
        except StackspotError as error:  # noqa: PERF203  the other lists may be readable
            problems.append(error.message)
    entries = config.get("model_list")
    models = ModelList(entries if isinstance(entries, list) else ()).agents().models(found)
    rows = tuple(
        AgentRow(agent.name, agent.id, visibility, tuple(name for name, one in models.items() if one.id == agent.id))
        for visibility, agents in found.items()
        for agent in agents
    )
    return AccountAgents(rows, tuple(dict.fromkeys(problems)))
