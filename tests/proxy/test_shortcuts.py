"""LiteLLM's functions and the shortcuts that replace them: the same results, with less work."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Collection

import pytest
from litellm.proxy._types import LiteLLMRoutes
from litellm.proxy.auth.route_checks import RouteChecks
from litellm.router import Router
from litellm.types.router import Deployment

from custom_handler.proxy import shortcuts
from custom_handler.proxy.shortcuts import MAX_ROUTE_LENGTH, kept_deployments, kept_route_checks

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


def test_installing_twice_replaces_once() -> None:
    code = """
from litellm.proxy.auth.route_checks import RouteChecks
from litellm.router import Router
from custom_handler.proxy.shortcuts import keep_results
before = RouteChecks.check_route_access, Router.get_deployment
keep_results()
first = RouteChecks.check_route_access, Router.get_deployment
keep_results()
assert (RouteChecks.check_route_access, Router.get_deployment) == first
assert tuple(function.__wrapped__ for function in first) == before
assert RouteChecks.is_management_route("/key/generate") and not RouteChecks().is_management_route("/v1/models")
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
