"""The list of the account's agents, which is undocumented: any shape is taken, or refused whole.

`GET /v1/agents?visibility=…` is a bare list of `{id, name, …}`; where it is gone, `/v4/agents` is
paged, with `items` (docs: platform, section 3). Nothing of it is needed to answer a chat.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import AgentFailed, AgentForbidden, StackspotError
from .json_body import decode_json

VISIBILITIES = ("personal", "account", "shared")
MAX_AGENTS = 1000
PAGE_SIZE = 100

Get: TypeAlias = Callable[[str], Awaitable[tuple[int, bytes]]]
"""Sends a GET request for a path and its query, with a token; returns status and body."""

_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_SHOWN_NAME = 200


@dataclass(frozen=True, slots=True, order=True)
class Agent:
    """One agent of the account; `slug` is the platform's own, empty where it has none."""

    id: str
    name: str = ""
    slug: str = ""


async def list_agents(get: Get, visibility: str) -> list[Agent]:
    """Return the agents of one visibility (`personal`, `account` or `shared`), by id.

    Raises AgentForbidden, and AgentFailed for any other answer that is no list of agents.
    """
    status, body = await get(f"/v1/agents?visibility={visibility}")
    if status not in {404, 405, 410}:
        return sorted(_read(status, body, visibility))
    found: set[Agent] = set()
    for page in range(1, MAX_AGENTS // PAGE_SIZE + 1):
        status, body = await get(f"/v4/agents?page={page}&size={PAGE_SIZE}&visibility_list={visibility}")
        more = _read(status, body, visibility)
        if not more - found:  # the last page, or a host that ignores `page`
            break
        found |= more
        if len(more) < PAGE_SIZE:
            break
    return sorted(found)[:MAX_AGENTS]


def _read(status: int, body: bytes, visibility: str) -> set[Agent]:
    if status != 200:
        raise _refusal(status, visibility)
    try:
        content = decode_json(body)
    except ValueError:
        content = None
    items = content.get("items") if isinstance(content, Mapping) else content
    if not isinstance(items, list):
        raise AgentFailed(
            f"StackSpot's list of agents (visibility {visibility}) is no list: check STACKSPOT_AGENTS_URL."
        )
    return {agent for item in items if (agent := _agent(item)) is not None}


def _agent(item: Any) -> Agent | None:
    """Return the agent of an item, None for one without a usable id."""
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str) or not _ID.fullmatch(item["id"]):
        return None
    name, slug = (value[:_SHOWN_NAME] if isinstance(value := item.get(key), str) else "" for key in ("name", "slug"))
    return Agent(item["id"], "".join(filter(str.isprintable, " ".join(name.split()))), slug)


def _refusal(status: int, visibility: str) -> StackspotError:
    which = f"StackSpot's list of agents (visibility {visibility})"
    if status in {401, 403}:
        return AgentForbidden(
            f"{which} is refused with HTTP {status}: the credentials may not read it. List agents by their ids."
        )
    return AgentFailed(f"{which} failed with HTTP {status}: the last list stays. Check STACKSPOT_AGENTS_URL.")
