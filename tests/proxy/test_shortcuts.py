"""LiteLLM's functions and the shortcuts that replace them: the same results, with less work."""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from collections.abc import Collection
from types import ModuleType
from typing import Any

import pytest
from litellm.proxy._types import LiteLLMRoutes
from litellm.proxy.auth.route_checks import RouteChecks
from litellm.proxy.config_resolvers.settings_store import SettingsStore
from litellm.router import Router
from litellm.types.router import Deployment

from custom_handler.proxy import shortcuts
from custom_handler.proxy.shortcuts import (
    MAX_ROUTE_LENGTH,
    MAX_SETTINGS,
    NO_LIMIT_SECONDS,
    kept_deployments,
    kept_route_checks,
    kept_settings,
    uncounted_without_limits,
)
from tests.support.clock import Clock

ROUTES = (
    "/v1/chat/completions",
    "/key/generate",
    "/key/abc/regenerate",
    "/key/regenerate/abc",
    "/team/x/members",
    "/v1/threads/thread_1/messages",
    "/scim/v2/Users/1",
    "",
    "/",
)
# A test of the plugin in this process may have installed the shortcuts.
COUNT = inspect.unwrap(Router._increment_deployment_usage)
GET_SETTING = inspect.unwrap(SettingsStore.__getitem__)
CHECK, LOOKUP = inspect.unwrap(RouteChecks.check_route_access), inspect.unwrap(Router.get_deployment)
LISTS = tuple(routes.value for routes in LiteLLMRoutes)


class Counted:
    """A `check_route_access` that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, route: str, allowed_routes: Collection[str]) -> bool:
        self.calls += 1
        return CHECK(route=route, allowed_routes=allowed_routes)


def counted_checks() -> tuple[Counted, shortcuts._RouteCheck]:
    counted = Counted()
    counted.__name__ = "check_route_access"  # type: ignore[attr-defined]
    return counted, kept_route_checks(counted)


@pytest.mark.parametrize("route", ROUTES)
def test_a_kept_decision_is_the_original_one(route: str) -> None:
    check = kept_route_checks(CHECK)
    for allowed in LISTS:
        for _ in range(2):
            assert check(route=route, allowed_routes=allowed) == CHECK(route, allowed)


def test_the_same_question_is_answered_once() -> None:
    counted, check = counted_checks()
    answers = [check(route="/key/a/regenerate", allowed_routes=["/key/{id}/regenerate"]) for _ in range(5)]
    assert answers == [True] * 5
    assert counted.calls == 1


def test_a_changed_list_of_routes_is_another_question() -> None:
    _, check = counted_checks()
    allowed = ["/models"]
    assert not check(route="/v1/models", allowed_routes=allowed)
    allowed.append("/v1/*")
    assert check(route="/v1/models", allowed_routes=allowed)
    allowed.clear()
    assert not check(route="/v1/models", allowed_routes=allowed)


def test_a_text_of_routes_keeps_its_meaning() -> None:
    _, check = counted_checks()
    assert check(route="/v1", allowed_routes="/v1/models") == CHECK("/v1", "/v1/models")


def test_a_long_route_is_not_kept() -> None:
    counted, check = counted_checks()
    for _ in range(2):
        assert not check(route="/" + "x" * MAX_ROUTE_LENGTH, allowed_routes=["/models"])
    assert counted.calls == 2


def a_router() -> Router:
    params = {"model": "openai/a", "api_key": "sk-a", "api_base": "http://127.0.0.1:1", "rpm": 7}
    info = {"id": "one", "input_cost_per_token": 0.5, "own": {"any": [1]}}
    return Router(model_list=[{"model_name": "a", "litellm_params": params, "model_info": info}])


def test_a_kept_deployment_is_equal_and_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    router, lookup = a_router(), kept_deployments(LOOKUP)
    original = LOOKUP(router, "one")
    validated: list[str] = []
    init = Deployment.__init__

    def counting(self: Deployment, **given: object) -> None:
        validated.append(str(given["model_name"]))
        init(self, **given)

    monkeypatch.setattr(Deployment, "__init__", counting)
    found = [lookup(router, model_id="one") for _ in range(3)]
    assert found == [original] * 3
    assert validated == ["a"]
    assert lookup(router, "unknown") is None


def test_each_caller_may_change_its_deployment() -> None:
    router, lookup = a_router(), kept_deployments(LOOKUP)
    for _ in range(2):
        found = lookup(router, "one")
        assert found is not None
        assert (found.litellm_params.rpm, found.model_info["own"]) == (7, {"any": [1]})
        found.litellm_params.rpm = found.model_info["own"] = found.model_name = None


def test_a_changed_deployment_is_validated_again() -> None:
    router, lookup = a_router(), kept_deployments(LOOKUP)
    lookup(router, "one")
    router.model_list[0]["litellm_params"]["rpm"] = 9
    found = lookup(router, "one")
    assert found is not None
    assert found.litellm_params.rpm == 9
    router.delete_deployment("one")
    assert lookup(router, "one") is None


class CountedUsage:
    """An `_increment_deployment_usage` that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, router: Router, **details: Any) -> str | None:
        self.calls += 1
        key: str | None = await COUNT(router, **details)
        return key


@pytest.fixture
def usage() -> CountedUsage:
    return CountedUsage()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


async def count(counter: Any, router: Router, model: str = "one", tokens: float = 5, requests: int = 1) -> str | None:
    details = {"deployment_name": "openai/a", "model_group": "a", "parent_otel_span": None}
    key: str | None = await counter(router, deployment_id=model, total_tokens=tokens, rpm_increment=requests, **details)
    return key


def without_limits() -> Router:
    router = a_router()
    del router.model_list[0]["litellm_params"]["rpm"]
    return router


async def test_nothing_is_counted_where_nothing_is_limited(usage: CountedUsage, now: Clock) -> None:
    router, counter = without_limits(), uncounted_without_limits(usage)
    assert [await count(counter, router) for _ in range(4)] == [await count(COUNT, router)] * 4 == [None] * 4
    assert usage.calls == 1
    now.now += NO_LIMIT_SECONDS
    assert await count(counter, router) is None
    assert usage.calls == 2


async def test_a_limit_is_counted_each_time(usage: CountedUsage) -> None:
    router, counter = a_router(), uncounted_without_limits(usage)
    keys = [await count(counter, router) for _ in range(3)]
    assert all(key and "tpm" in key for key in keys)
    assert usage.calls == 3


async def test_a_new_limit_is_counted_at_once(usage: CountedUsage) -> None:
    router, counter = without_limits(), uncounted_without_limits(usage)
    assert await count(counter, router) is None
    router.model_list[0]["litellm_params"]["rpm"] = 7
    assert await count(counter, router)
    router.delete_deployment("one")
    assert await count(counter, router) is None
    assert await count(counter, router) is None
    assert usage.calls == 4  # nothing is remembered of an unknown deployment


async def test_an_answer_without_tokens_says_nothing_about_limits(usage: CountedUsage) -> None:
    router, counter = a_router(), uncounted_without_limits(usage)
    assert await count(counter, router, tokens=0, requests=0) is None
    assert await count(counter, router)
    assert usage.calls == 2


class CountedSettings:
    """A `SettingsStore.__getitem__` that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, store: SettingsStore, key: str) -> Any:
        self.calls += 1
        return GET_SETTING(store, key)


def a_store() -> SettingsStore:
    store = SettingsStore("general_settings")
    store.load_yaml({"a": 1, "b": None, "c": {"d": [1]}, "e": True})
    return store


def test_kept_settings_are_the_original_ones() -> None:
    counted, store = CountedSettings(), a_store()
    get = kept_settings(counted)
    for _ in range(3):
        assert [get(store, key) for key in "abce"] == [GET_SETTING(store, key) for key in "abce"]
        with pytest.raises(KeyError, match="missing"):
            get(store, "missing")
    assert counted.calls == 4 + 1 + 2  # what can be changed is read each time


def test_a_changed_setting_is_seen_at_once() -> None:
    store = a_store()
    get = kept_settings(GET_SETTING)
    with pytest.raises(KeyError):
        get(store, "new")
    store["new"] = 2
    assert get(store, "new") == 2
    store["new"] = 3
    assert get(store, "new") == 3
    del store["new"]
    with pytest.raises(KeyError):
        get(store, "new")
    store.apply_db_row("general_settings", {"new": 4})
    assert get(store, "new") == GET_SETTING(store, "new")
    store.load_yaml({"a": 5})
    assert get(store, "a") == 5
    store.apply_runtime_values({"z": 6})
    assert get(store, "z") == 6


def test_unknown_names_do_not_pile_up() -> None:
    store = a_store()
    get = kept_settings(GET_SETTING)
    for number in range(3 * MAX_SETTINGS):
        with pytest.raises(KeyError):
            get(store, f"name-{number}")
    assert len(store.__dict__["_kept_settings"][1]) <= MAX_SETTINGS + 1


def test_all_are_installed_and_twice_replaces_once() -> None:
    code = """
import importlib
from litellm.proxy.auth.route_checks import RouteChecks
from custom_handler.proxy.shortcuts import SHORTCUTS, keep_results
def current():
    modules = [(importlib.import_module(one.module), one) for one in SHORTCUTS]
    return [getattr(getattr(module, one.owner) if one.owner else module, one.name) for module, one in modules]
before = current()
keep_results()
first = current()
keep_results()
assert current() == first
assert [function.__wrapped__ for function in first] == before
assert RouteChecks.is_management_route("/key/generate") and not RouteChecks().is_management_route("/v1/models")
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


class OtherStore:
    """A settings store of another version of LiteLLM: the attributes have other names."""

    def __init__(self) -> None:
        self._yaml = {"a": 1}

    def __getitem__(self, key: str) -> Any:
        return self._yaml[key]


class OtherRouter:
    """A router of another version: other parameters, and functions that are no longer async."""

    def __init__(self) -> None:
        self.model_list: list[Any] = []
        self.model_id_to_deployment_index_map: dict[str, int] = {}

    def get_deployment(self, model_id: str, team: str) -> None:
        """Return a deployment of a team."""

    def _increment_deployment_usage(
        self,
        *,
        deployment_id: str,
        deployment_name: str,
        model_group: str,
        total_tokens: float,
        rpm_increment: int,
        parent_otel_span: object,
    ) -> None:
        """Count."""  # fmt: skip


class OtherRouteChecks:
    """Without `check_route_access`."""


class OtherLimiter:
    """Without `_key_owns_model_tpm_limit_from_request_metadata`."""


class OtherLogging:
    """A call's record of another version: without the methods that the shortcut needs."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}

    def response_cost_calculator(
        self,
        result: object,
        cache_hit: object = None,
        litellm_model_name: object = None,
        router_model_id: object = None,
    ) -> float:
        return 0.5


class OtherStream:
    """The stream of another version: it has no step for chunks of custom providers."""

    def chunk_creator(self, chunk: object) -> object:
        return chunk


class OtherMiddleware:
    """The middleware of another version: it has no features of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def other_function(called: object) -> bool:
    """Return something, as a function of another version with another parameter."""
    return True


@pytest.mark.parametrize("present", [True, False])
def test_another_litellm_is_left_alone(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    others = {
        "SettingsStore": OtherStore,
        "Router": OtherRouter,
        "RouteChecks": OtherRouteChecks,
        "Logging": OtherLogging,
        "LazyFeatureMiddleware": OtherMiddleware,
        "CustomStreamWrapper": OtherStream,
        "_PROXY_MaxParallelRequestsHandler_v3": OtherLimiter,
    }
    before = {owner: dict(vars(owner)) for owner in others.values()}
    modules = {shortcut.module: ModuleType(shortcut.module) for shortcut in shortcuts.SHORTCUTS}
    for shortcut in shortcuts.SHORTCUTS:
        module = modules[shortcut.module]
        if present and not shortcut.owner:
            setattr(module, shortcut.name, other_function)
        elif present:
            setattr(module, shortcut.owner, others[shortcut.owner])
            monkeypatch.setattr(module, "Router", OtherRouter, raising=False)
        monkeypatch.setitem(sys.modules, shortcut.module, module)
    shortcuts.keep_results()
    assert {owner: dict(vars(owner)) for owner in others.values()} == before
    functions = [getattr(sys.modules[one.module], one.name, None) for one in shortcuts.SHORTCUTS if not one.owner]
    assert functions == [other_function if present else None] * len(functions)
    assert OtherStore()["a"] == 1


def test_a_missing_module_of_litellm_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for shortcut in shortcuts.SHORTCUTS:
        monkeypatch.setitem(sys.modules, shortcut.module, None)
    shortcuts.keep_results()


def test_the_package_is_imported_without_the_modules_of_the_shortcuts() -> None:
    code = """
import sys
sys.modules["litellm.proxy.config_resolvers.settings_store"] = None
from custom_handler.proxy.shortcuts import keep_results
keep_results()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def test_a_function_without_python_code_is_unknown() -> None:
    assert shortcuts._assigned(object) == set()
    assert not shortcuts.takes(type, "x")
