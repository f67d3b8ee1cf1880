"""Agents as models: which ones a wildcard allows, their names, and the router's deployments."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import litellm
import pytest
from litellm import CustomLLM

from custom_handler.checks.models import check_models, faults
from custom_handler.errors import AgentFailed, ConfigurationError
from custom_handler.instrumentation import AgentsRefreshed
from custom_handler.proxy.agent_catalog import AgentCatalog, AllowList, Listing
from custom_handler.proxy.agent_names import agent_names
from custom_handler.proxy.agent_refresh import AgentRefresh
from custom_handler.proxy.config import read_config
from custom_handler.proxy.model_list import ModelList
from custom_handler.settings import AccountSettings, Settings
from custom_handler.stackspot.agent_list import Agent

A, B, C = (f"01{letter * 24}" for letter in "ABC")


def wildcard(agents, name="stackspot/*", model="stackspot/*", **info):
    return {"model_name": name, "litellm_params": {"model": model}, "model_info": {"agents": agents, **info}}


def of_default(**found):
    return {Listing("default", visibility): agents for visibility, agents in found.items()}


@pytest.mark.parametrize(
    ("agents", "names"),
    [
        ([Agent(A, "Revisão"), Agent(B, "Escritor")], ["revisao", "escritor"]),
        ([Agent(A, "Revisão", "meu-slug")], ["meu-slug"]),
        ([Agent(A, "Review"), Agent(B, "review!")], ["review-aaaaaa", "review-bbbbbb"]),
        ([Agent(A, "x" * 23 + "AAAAAA"), Agent("01" + "A" * 25, "日本")], ["x" * 23 + "aaaaaa", "01" + "A" * 25]),
        ([Agent(A, "Review"), Agent(B, "Review"), Agent(C, "review-aaaaaa")], None),
        ([Agent(A, "Taken")], ["taken-aaaaaa"]),
        ([Agent(A), Agent(B, A)], [A, f"{A.lower()}-bbbbbb"]),
    ],
    ids=["plain", "slug", "one name", "no letters", "a suffix as a name", "of another model", "an id as a name"],
)
def test_names_are_readable_distinct_and_the_same_in_any_order(agents, names):
    named = agent_names((("*", agent) for agent in agents), lambda _, name: name == "taken")
    assert named == agent_names((("*", agent) for agent in reversed(agents)), lambda _, name: name == "taken")
    assert len({name.casefold() for name in named.values()}) == len(agents)
    if names is not None:
        assert list(named.values()) == names


def test_a_name_never_comes_to_mean_another_agent():
    alone = agent_names([("*", Agent(B, "Review"))])
    together = agent_names([("*", Agent(A, "Review")), ("*", Agent(B, "Review"))])
    assert alone == {("*", B): "review"}
    assert "review" not in together.values()


def test_agents_of_several_entries_share_no_name():
    catalog = AgentCatalog([wildcard([A]), wildcard(["Ours"]), wildcard([C, A], "stackspot-*")])
    found = of_default(shared=[Agent(A, "Ours"), Agent(C, "ours")])
    assert {name: agent.id for name, agent in catalog.models(found).items()} == {
        "stackspot/ours-aaaaaa": A,
        "stackspot/ours-cccccc": C,
        "stackspot-ours-aaaaaa": A,
        "stackspot-ours-cccccc": C,
    }
    assert [entry["model_info"]["agent_id"] for entry in catalog.entries(found).values()] == [A, A, C, A, C]


def test_a_name_is_not_the_id_of_another_agent_nor_one_of_a_longer_wildcard():
    wildcards = AgentCatalog([wildcard("shared", "*")], taken=("claude-*", "Mine", "*"))
    agents = [Agent("deploy", "Other"), Agent(A, "Deploy"), Agent(B, "claude-opus"), Agent(C, "mine")]
    found = of_default(shared=agents)
    assert {name: agent.id for name, agent in wildcards.models(found).items()} == {
        "other": "deploy",
        "deploy-aaaaaa": A,
        B: B,
        "mine-cccccc": C,
    }
    assert wildcards.aliases(found) == {"deploy": "other", A: "deploy-aaaaaa", C: "mine-cccccc"}


FOUND = {
    "personal": [Agent(A, "Mine")],
    "account": [Agent(B, "Code  Review", "code-review")],
    "shared": [Agent(C, "Ours")],
}


@pytest.mark.parametrize(
    ("agents", "allowed"),
    [
        ("shared", [C]),
        ("personal", [A]),
        (["mine", "CODE-REVIEW"], [A, B]),
        ([C.lower(), "unknown"], [C]),
        ([A, "01" + "D" * 24], [A, "01" + "D" * 24]),
    ],
)
def test_the_allow_list_chooses_by_visibility_id_name_or_slug(agents, allowed):
    assert [agent.id for agent in AllowList.of(wildcard(agents)).select(of_default(**FOUND))] == allowed


@pytest.mark.parametrize("agent", [Agent(B, name=A), Agent(B, name=A.lower()), Agent(B, slug=A)])
def test_an_agent_with_the_id_of_another_as_its_name_is_not_allowed(agent):
    chosen = AllowList.of(wildcard([A])).select(of_default(shared=[agent]))
    assert [one.id for one in chosen] == [A]


@pytest.mark.parametrize("agents", [None, [], "all", "*", [""], [7], {"a": 1}, True])
def test_an_invalid_allow_list_is_a_configuration_error_and_lists_nothing(agents):
    with pytest.raises(ConfigurationError, match=r"model_info.agents of 'stackspot/\*'"):
        AllowList.of(wildcard(agents))
    assert AgentCatalog([wildcard(agents)]).models(of_default(**FOUND)) == {}


def test_an_option_of_each_agent_is_theirs_and_one_of_a_single_agent_is_an_error():
    [entry] = AgentCatalog([wildcard([A], selected_model="gpt-5")]).entries({}).values()
    assert entry["model_info"]["selected_model"] == "gpt-5"
    with pytest.raises(ConfigurationError, match=r"model_info.agent_version of 'stackspot/\*' .* is for one agent"):
        AllowList.of(wildcard([A], agent_version=3))


def test_each_entry_lists_the_agents_of_its_account():
    catalog = AgentCatalog([wildcard("shared"), wildcard("shared", account="b"), wildcard([C], account="b")])
    assert catalog.lists[:2] == (("default", "shared"), ("b", "shared"))
    assert set(catalog.lists[2:]) == {("b", "personal"), ("b", "account")}
    found = {
        Listing("default", "shared"): [Agent(A, "Ours")],
        Listing("b", "shared"): [Agent(A, "Ours"), Agent(B, "B")],
    }
    entries = [(entry["model_name"], entry["model_info"]) for entry in catalog.entries(found).values()]
    assert [(name, info["agent_id"], info.get("account")) for name, info in entries] == [
        ("stackspot/ours", A, None),
        ("stackspot/ours", A, "b"),  # the router shares the requests between the accounts
        ("stackspot/b", B, "b"),
        (f"stackspot/{C}", C, "b"),
    ]


@pytest.mark.parametrize(
    ("name", "model"), [("agents", "stackspot/*"), ("*/*", "stackspot/*"), ("a/*", "stackspot/01*")]
)
def test_a_wildcard_has_one_star_in_its_name(name, model):
    with pytest.raises(ConfigurationError, match=r"must have one \* in model_name"):
        AllowList.of(wildcard("shared", name, model))


@pytest.fixture
def router(monkeypatch):
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "stackspot", "custom_handler": CustomLLM()}])
    return litellm.Router(model_list=[{"model_name": "chat", "litellm_params": {"model": "stackspot/chat"}}])


async def test_the_router_follows_the_lists_and_a_failing_one_changes_nothing(router, caplog):
    lists = {name: list(agents) for name, agents in FOUND.items()}
    failing: set[str] = set()
    measured = []

    async def list_agents(visibility, account):
        assert account == "default"
        if visibility in failing:
            raise AgentFailed("HTTP 500")
        return lists[visibility]

    catalog = AgentCatalog([wildcard([A, "Ours", "New"])])
    refresh = AgentRefresh(catalog, list_agents, lambda: router, 300, measured.append)
    await refresh.refresh()
    assert router.model_names == {"chat", "stackspot/mine", "stackspot/ours"}
    assert router.get_model_from_alias(f"stackspot/{A}") == "stackspot/mine"

    failing |= {"personal", "shared"}
    lists |= {"account": [Agent(B, "New")], "shared": []}
    with caplog.at_level(logging.WARNING):
        await refresh.refresh()
        await refresh.refresh()
    assert router.model_names == {"chat", "stackspot/mine", "stackspot/ours", "stackspot/new"}
    assert len([record for record in caplog.records if "the last list stays" in record.message]) == 2

    failing.clear()
    router.delete_deployment(id=router.get_model_list("stackspot/new")[0]["model_info"]["id"])  # as LiteLLM's own sync
    await refresh.refresh()
    assert router.model_names == {"chat", "stackspot/mine", "stackspot/new"}
    assert f"stackspot/{C}" not in router.model_group_alias

    failing |= {"personal", "account", "shared"}
    await refresh.refresh()
    assert measured == [
        AgentsRefreshed(2, True),
        AgentsRefreshed(3, True),
        AgentsRefreshed(3, True),
        AgentsRefreshed(2, True),
        AgentsRefreshed(2, False),
    ]


async def test_agents_that_are_gone_are_removed_also_after_the_router_failed(router, monkeypatch):
    found = [Agent(A, "One"), Agent(B, "Two")]

    async def list_agents(*_):
        return found

    refresh = AgentRefresh(AgentCatalog([wildcard("shared")]), list_agents, lambda: router, 300, lambda _: None)
    add = router.add_deployment

    def fails_at_the_second(deployment):
        if deployment.model_name == "stackspot/two":
            raise ValueError
        add(deployment)

    with monkeypatch.context() as patched:
        patched.setattr(router, "add_deployment", fails_at_the_second)
        await refresh.refresh()
    assert router.model_names == {"chat", "stackspot/one"}
    found[:] = [Agent(B, "Two")]
    await refresh.refresh()
    assert router.model_names == {"chat", "stackspot/two"}
    assert router.get_model_from_alias(f"stackspot/{B}") == "stackspot/two"


async def test_the_refresh_of_an_account_fails_if_none_of_its_lists_can_be_read(router, caplog):
    measured = []

    async def list_agents(visibility, account):
        if account == "b" or visibility == "personal":
            raise AgentFailed("HTTP 500")
        return [Agent(A, "Ours")]

    catalog = AgentCatalog([wildcard(["Ours"]), wildcard("shared", account="b")])
    with caplog.at_level(logging.WARNING):
        await AgentRefresh(catalog, list_agents, lambda: router, 300, measured.append).refresh()
    assert measured == [AgentsRefreshed(1, True), AgentsRefreshed(0, False, account="b")]
    assert "The agents of the account b (visibility shared) cannot be listed" in caplog.text


def test_the_example_has_no_fault_and_names_the_agents():
    example = read_config(Path(__file__).resolve().parents[2] / "examples" / "agents.yaml")
    settings = Settings(
        account=AccountSettings(client_id="me", client_secret="secret", realm="acme", agent_id="an-agent")
    )
    checked = check_models(example, settings, lambda seconds, account: None)
    assert faults(asyncio.run(checked)) == []
    found = of_default(shared=[Agent(B, "Revisão de código"), Agent(C, "Another")])
    assert [*ModelList(example["model_list"]).agents().models(found)] == [
        "stackspot/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "stackspot/revisao-de-codigo",
    ]
