"""What LiteLLM and FastAPI compute in each request, and the shortcuts: the same results."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import litellm
import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.dependencies.models import Dependant, _get_cache_key
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from litellm.litellm_core_utils.llm_response_utils import get_api_base as of_api_base
from litellm.proxy.hooks.parallel_request_limiter_v3 import RateLimitedModel, _PROXY_MaxParallelRequestsHandler_v3
from litellm.types.router import LiteLLM_Params
from pydantic import ValidationError

from custom_handler.proxy import call_shortcuts
from custom_handler.proxy.call_shortcuts import kept_cache_keys, without_api_base, without_limit_lookup

# A test of the plugin in this process may have installed the shortcuts.
API_BASE = inspect.unwrap(of_api_base.get_api_base)
CACHE_KEY = inspect.unwrap(_get_cache_key)
OWNS_LIMIT = inspect.unwrap(_PROXY_MaxParallelRequestsHandler_v3._key_owns_model_tpm_limit_from_request_metadata)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Any) -> None:
        self.calls = 0
        self._function = function
        self.__name__ = function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._function(*args, **kwargs)


AGENT = "stackspot/a"
CALLS: Mapping[str, tuple[str, Any, int]] = {  # the model, the parameters, and the calls of the original
    "an agent": (AGENT, {"model": AGENT, "messages": [], "metadata": {"a": 1}}, 0),
    "an agent by its provider": ("a", {"custom_llm_provider": "stackspot", "api_base": None}, 0),
    "an agent with a base": (AGENT, {"model": AGENT, "api_base": "http://127.0.0.1:1"}, 1),
    "an agent with an empty base": (AGENT, {"model": AGENT, "api_base": ""}, 1),
    "an agent with a base_url": (AGENT, {"model": AGENT, "base_url": "http://127.0.0.1:1"}, 1),
    "an agent in a region": (AGENT, {"model": AGENT, "vertex_location": "x", "vertex_project": "y"}, 1),
    "another model": ("openai/a", {"model": "openai/a"}, 1),
    "another provider": (AGENT, {"model": AGENT, "custom_llm_provider": "openai"}, 1),
    "a name": ("a", {"model": "a"}, 1),
    "azure's": ("azure/c4ai-aya-expanse-32b", {"custom_llm_provider": "stackspot"}, 1),
    "no name": (None, {"model": "openai/a"}, 1),
    "an object": (AGENT, LiteLLM_Params(model=AGENT), 1),
}


@pytest.fixture
def _agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "_custom_providers", [*litellm._custom_providers, "stackspot"])
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list, "stackspot"])


@pytest.mark.usefixtures("_agents")
@pytest.mark.parametrize("name", CALLS)
def test_the_base_url_is_the_original_one(name: str) -> None:
    model, params, calls = CALLS[name]
    original = Counted(API_BASE)
    found = without_api_base(original)(model=model, optional_params=params)
    assert found == API_BASE(model=model, optional_params=params)
    assert original.calls == calls


@pytest.mark.usefixtures("_agents")
@pytest.mark.parametrize("change", ["model_alias_map", "use_litellm_proxy", "USE_LITELLM_PROXY"])
def test_a_call_that_goes_elsewhere_has_the_base_url_of_there(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_PROXY_API_BASE", "http://127.0.0.1:2")
    if change == "model_alias_map":
        monkeypatch.setattr(litellm, change, {AGENT: "openai/a"})
    elif change == "use_litellm_proxy":
        monkeypatch.setattr(litellm, change, True)
    else:
        monkeypatch.setenv(change, "True")
    call: Any = {"model": AGENT, "optional_params": {"model": AGENT}}
    assert API_BASE(**call)
    assert without_api_base(API_BASE)(**call) == API_BASE(**call)


METADATA: Mapping[str, tuple[dict[str, Any], int]] = {  # and the calls of the original
    "nothing": ({}, 0),
    "empty": ({"user_api_key_metadata": {}, "user_api_key_model_max_budget": {}}, 0),
    "another setting": ({"user_api_key_metadata": {"model_rpm_limit": {"a": 1}}}, 0),
    "a limit": ({"user_api_key_metadata": {"model_tpm_limit": {"a": 1}}}, 1),
    "a limit of the group": ({"user_api_key_metadata": {"model_tpm_limit": {"group": 1}}}, 1),
    "a limit of another model": ({"user_api_key_metadata": {"model_tpm_limit": {"b": 1}}}, 1),
    "a budget": ({"user_api_key_model_max_budget": {"a": {"tpm_limit": 1}}}, 1),
    "a budget without a limit": ({"user_api_key_model_max_budget": {"a": {"rpm_limit": 1}}}, 1),
}


@pytest.mark.parametrize("name", METADATA)
def test_a_key_owns_the_limits_that_it_owned(name: str) -> None:
    metadata, calls = METADATA[name]
    hook = _PROXY_MaxParallelRequestsHandler_v3.__new__(_PROXY_MaxParallelRequestsHandler_v3)
    original = Counted(OWNS_LIMIT)
    for model in (RateLimitedModel("a", "group"), None):
        assert without_limit_lookup(original)(hook, metadata, model) == OWNS_LIMIT(hook, metadata, model)
    assert original.calls == 2 * calls


def test_metadata_of_another_form_are_refused_as_before() -> None:
    hook = _PROXY_MaxParallelRequestsHandler_v3.__new__(_PROXY_MaxParallelRequestsHandler_v3)
    for owns_limit in (OWNS_LIMIT, without_limit_lookup(OWNS_LIMIT)):
        with pytest.raises(ValidationError):
            owns_limit(hook, {"user_api_key_metadata": ["a"]}, RateLimitedModel("a", "group"))


def a_dependency(user: str = Security(APIKeyHeader(name="x"))) -> str:
    return user


def dependants() -> list[Dependant]:
    app = FastAPI()

    @app.get("/", dependencies=[Security(a_dependency, scopes=["b", "a"])])
    def _page(user: str = Depends(a_dependency)) -> str:
        return user

    route = next(route for route in app.routes if isinstance(route, APIRoute))
    return list(below(route.dependant))


def below(dependant: Dependant) -> Iterator[Dependant]:
    for dependency in dependant.dependencies:
        yield dependency
        yield from below(dependency)


def test_a_dependency_has_its_original_key_computed_once() -> None:
    original, found = Counted(CACHE_KEY), dependants()
    key = kept_cache_keys(original)
    for _ in range(3):
        cache: dict[Any, Any] = {}
        assert [key(dependant=one, uses_scopes_cache=cache) for one in found] == [
            CACHE_KEY(dependant=one, uses_scopes_cache={}) for one in found
        ]
    assert original.calls == len(found) == 4
    assert len({key(dependant=one) for one in found}) == 4  # with and without scopes


def test_a_dependency_that_calls_another_function_has_another_key() -> None:
    key, one = kept_cache_keys(CACHE_KEY), dependants()[0]
    first = key(dependant=one)
    one.call = print
    assert key(dependant=one) == CACHE_KEY(dependant=one) != first


def test_the_keys_of_dropped_routes_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_shortcuts, "MAX_DEPENDANTS", 8)
    key = kept_cache_keys(CACHE_KEY)
    for _ in range(4):
        for one in dependants():
            assert key(dependant=one) == CACHE_KEY(dependant=one)
            assert len(inspect.getclosurevars(key).nonlocals["kept"]) <= 8
