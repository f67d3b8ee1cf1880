"""The list of the account's agents, in the shapes that the platform may send it."""

from __future__ import annotations

import json

import pytest

from custom_handler.errors import AgentFailed, AgentForbidden
from custom_handler.stackspot.agent_list import Agent, list_agents
from custom_handler.stackspot.client import StackspotClient

A, B = Agent("01A", "Um", "um"), Agent("01B", "Dois")
ITEMS = [{"id": "01B", "name": "Dois", "more": {}}, {"id": "01A", "name": "Um", "slug": "um"}]


async def listed(*answers):
    """Return the agents that these answers give, and the paths that were asked for."""
    paths, left = [], list(answers)

    async def get(path):
        paths.append(path)
        status, body = left.pop(0)
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    return await list_agents(get, "shared"), paths


@pytest.mark.parametrize(
    ("body", "agents"),
    [
        (ITEMS, [A, B]),
        ({"items": ITEMS}, [A, B]),
        ([], []),
        ([*ITEMS, None, 7, "01C", {}, {"id": 7}, {"id": "../x"}, {"id": ""}], [A, B]),
        ([{"id": "01C", "name": None, "slug": 3}], [Agent("01C")]),
        ([{"id": "01C", "name": " a\n\u202eb  c "}], [Agent("01C", "a b c")]),
    ],
)
async def test_a_list_is_read_in_any_shape(body, agents):
    assert (await listed((200, body)))[0] == agents


async def test_a_list_that_is_gone_is_read_from_its_pages():
    page = [{"id": f"01P{number}"} for number in range(100)]
    agents, paths = await listed((404, b""), (200, {"items": page}), (200, {"items": ITEMS}))
    assert len(agents) == 102
    assert paths[1:] == [f"/v4/agents?page={number}&size=100&visibility_list=shared" for number in (1, 2)]
    agents, paths = await listed((404, b""), (200, {"items": page}), (200, {"items": page}))  # it ignores the page
    assert (len(agents), len(paths)) == (100, 3)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b"", AgentForbidden),
        (403, b"", AgentForbidden),
        (500, b"", AgentFailed),
        (302, b"", AgentFailed),
        (200, b"<html>", AgentFailed),
        (200, {"agents": []}, AgentFailed),
        (200, b"[" * 100_000, AgentFailed),
    ],
)
async def test_any_other_answer_is_an_error(status, body, error):
    with pytest.raises(error, match="list of agents"):
        await listed((status, body))


async def test_a_refused_token_is_renewed_once_and_a_large_list_is_refused(settings, simulator):
    client = StackspotClient(settings)
    simulator.script({"at": "agents", "status": 401})
    assert [agent.name for agent in await client.list_agents("shared")] == ["Revisão de código"]
    assert len(simulator.requests("token")) == 2
    simulator.script({"at": "agents", "body": "x" * (4 * 1024 * 1024 + 1)})
    with pytest.raises(AgentFailed, match="more than 4 MiB"):
        await client.list_agents("shared")
