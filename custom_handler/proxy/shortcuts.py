"""Replace functions of LiteLLM that repeat work in each request by ones that keep its result.

They return what the originals return, for every model of the proxy. What another version of LiteLLM
lacks is left as it is. `STACKSPOT_SHORTCUTS=false` keeps all originals. LiteLLM 1.108.7 matches the
path of each request with some 160 patterns, and validates the same deployment five times.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from litellm.proxy.auth.route_checks import RouteChecks
from litellm.router import Router
from litellm.types.router import Deployment

MAX_ROUTES = 512
MAX_ROUTE_LENGTH = 200  # characters; clients choose routes, and 512 long ones would be kept
MAX_DEPLOYMENTS = 4096  # of a router

_RouteCheck = Callable[..., bool]
_Lookup = Callable[..., Deployment | None]


def keep_results() -> None:
    """Install the shortcuts, once a process."""
    with suppress(AttributeError):
        _replace(RouteChecks, "check_route_access", lambda original: staticmethod(kept_route_checks(original)))
    with suppress(AttributeError):
        _replace(Router, "get_deployment", kept_deployments)


def _replace(owner: type, name: str, replacement: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    if not hasattr(original, "__wrapped__"):
        setattr(owner, name, replacement(original))


def kept_route_checks(original: _RouteCheck) -> _RouteCheck:
    """Return a `check_route_access` that keeps its decisions: they depend on its arguments only."""

    @functools.lru_cache(MAX_ROUTES)
    def decision(route: str, allowed_routes: tuple[str, ...]) -> bool:
        return original(route=route, allowed_routes=allowed_routes)

    @functools.wraps(original)
    def check_route_access(route: str, allowed_routes: Collection[str]) -> bool:
        if type(route) is not str or len(route) > MAX_ROUTE_LENGTH or type(allowed_routes) not in {list, tuple}:
            return original(route=route, allowed_routes=allowed_routes)
        return decision(route, tuple(allowed_routes))

    return check_route_access


def kept_deployments(original: _Lookup) -> _Lookup:
    """Return a `Router.get_deployment` that validates a deployment again only if it has changed.

    Each caller receives a copy of its own, as from the original.
    """
    routers: WeakKeyDictionary[Router, dict[str, tuple[dict[str, Any], Deployment]]] = WeakKeyDictionary()

    @functools.wraps(original)
    def get_deployment(self: Router, model_id: str) -> Deployment | None:
        index = self.model_id_to_deployment_index_map.get(model_id)
        model = None if index is None else self.model_list[index]
        if type(model) is not dict:
            return original(self, model_id)
        kept = routers.setdefault(self, {})
        entry = kept.get(model_id)
        if entry is None or entry[0] != model:
            deployment = original(self, model_id)
            if deployment is None or len(kept) >= MAX_DEPLOYMENTS:
                kept.clear()
                return deployment
            entry = kept[model_id] = copy.deepcopy(model), deployment
        return _copied(entry[1])

    return get_deployment


def _copied(deployment: Deployment) -> Deployment:
    parts = {name: getattr(deployment, name).model_copy() for name in ("litellm_params", "model_info")}
    return deployment.model_copy(update=parts)
