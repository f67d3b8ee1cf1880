"""Replace functions of LiteLLM that repeat work in each request by ones that keep its result.

They return what the originals return, for every model of the proxy. A function that LiteLLM
lacks is left out. `STACKSPOT_SHORTCUTS=false` keeps all originals. LiteLLM 1.108.7 matches the
path of each request with some 160 patterns, validates the same deployment five times, and copies
what it knows of a model twice to see that the model has no limit.
"""

from __future__ import annotations

import copy
import functools
import operator
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from litellm.proxy.auth.route_checks import RouteChecks
from litellm.proxy.config_resolvers.settings_store import SettingsStore
from litellm.router import Router
from litellm.types.router import Deployment

MAX_ROUTES = 512
MAX_ROUTE_LENGTH = 200  # characters; clients choose routes, and 512 long ones would be kept
MAX_DEPLOYMENTS = 4096  # of a router
MAX_SETTINGS = 1024
NO_LIMIT_SECONDS = 60.0  # after which a limit in LiteLLM's price list, which may be loaded anew, is seen

_RouteCheck: TypeAlias = Callable[..., bool]
_Lookup: TypeAlias = Callable[..., Deployment | None]
_Count: TypeAlias = Callable[..., Awaitable[str | None]]
_UNKNOWN, _ABSENT = object(), object()


def keep_results() -> None:
    """Install the shortcuts, once a process."""
    with suppress(AttributeError):
        _replace(RouteChecks, "check_route_access", lambda original: staticmethod(kept_route_checks(original)))
    with suppress(AttributeError):
        _replace(Router, "get_deployment", kept_deployments)
    with suppress(AttributeError):
        _replace(Router, "_increment_deployment_usage", uncounted_without_limits)
    with suppress(AttributeError):
        _replace(SettingsStore, "__getitem__", kept_settings)


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
        model = _deployment_of(self, model_id)
        if model is None:
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


def uncounted_without_limits(original: _Count) -> _Count:
    """Return an `_increment_deployment_usage` that remembers which deployments have no limit.

    The original counts tokens and requests for limits only; where there is none, it returns None.
    """
    routers: WeakKeyDictionary[Router, dict[tuple[str, str], tuple[dict[str, Any], float]]] = WeakKeyDictionary()

    @functools.wraps(original)
    async def _increment_deployment_usage(
        self: Router, *, deployment_id: str, model_group: str, total_tokens: float, rpm_increment: int, **details: Any
    ) -> str | None:
        model = _deployment_of(self, deployment_id)
        without_limits = routers.setdefault(self, {})
        deployment, until = without_limits.get((deployment_id, model_group), (None, 0.0))
        now = time.monotonic()
        if deployment is not None and deployment == model and now < until:
            return None
        counts = {"total_tokens": total_tokens, "rpm_increment": rpm_increment}
        key = await original(self, deployment_id=deployment_id, model_group=model_group, **counts, **details)
        if key is None and model is not None and (total_tokens > 0 or rpm_increment > 0):
            if len(without_limits) >= MAX_DEPLOYMENTS:
                without_limits.clear()
            without_limits[deployment_id, model_group] = copy.deepcopy(model), now + NO_LIMIT_SECONDS
        return key

    return _increment_deployment_usage


def _deployment_of(router: Router, model_id: str) -> dict[str, Any] | None:
    """Return a deployment as the router has it now, None for an unknown one."""
    index = router.model_id_to_deployment_index_map.get(model_id)
    model = None if index is None else router.model_list[index]
    return model if type(model) is dict else None


def kept_settings(original: Callable[[SettingsStore, str], Any]) -> Callable[[SettingsStore, str], Any]:
    """Return a `SettingsStore.__getitem__` that keeps plain values until a setting changes.

    The store replaces its mappings with each change. Lists and mappings are not kept, because who
    receives one may change it.
    """

    @functools.wraps(original)
    def get_setting(self: SettingsStore, key: str) -> Any:
        sources = self._yaml_values, self._database_rows, self._runtime_values, self._deleted_runtime_keys
        kept_sources, kept = self.__dict__.get("_kept_settings", ((), {}))
        if not kept_sources or not all(map(operator.is_, kept_sources, sources)) or len(kept) > MAX_SETTINGS:
            kept = {}
            self.__dict__["_kept_settings"] = sources, kept
        value = kept.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            try:
                value = original(self, key)
            except KeyError:
                value = _ABSENT
            if value is None or value is _ABSENT or isinstance(value, str | int | float):
                kept[key] = value
        if value is _ABSENT:
            raise KeyError(key)
        return value

    return get_setting


def _copied(deployment: Deployment) -> Deployment:
    parts = {name: getattr(deployment, name).model_copy() for name in ("litellm_params", "model_info")}
    return deployment.model_copy(update=parts)
