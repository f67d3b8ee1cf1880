"""Replace functions of LiteLLM that repeat work in each request by ones that keep its result.

They return what the originals return, for every model of the proxy. A function that another
version of LiteLLM lacks, or whose parameters or class differ, is left alone.
`STACKSPOT_SHORTCUTS=false` keeps all originals. LiteLLM 1.108.7 matches the path of each request
with some 160 patterns, validates the same deployment five times, copies what it knows of a model
twice to see that the model has no limit, compares each path with the beginnings of all features
that it has not loaded, inspects one function of anyio three times for each stream, joins the chunks
of a stream twice for a client that asks for its usage, looks four times for the prices of a model
that has none, validates a call to find the base URL of an agent and a key to see that it has no
limit for a model. FastAPI builds the keys of a route's dependencies anew in each request.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from .model_paths import without_features

if TYPE_CHECKING:  # another version of LiteLLM may lack a module
    from litellm.proxy.config_resolvers.settings_store import SettingsStore
    from litellm.router import Router
    from litellm.types.router import Deployment

MAX_ROUTES = 512
MAX_ROUTE_LENGTH = 200  # characters; clients choose routes, and 512 long ones would be kept
MAX_DEPLOYMENTS = 4096  # of a router
MAX_SETTINGS = 1024
MAX_FUNCTIONS = 64
NO_LIMIT_SECONDS = 60.0  # after which a limit in LiteLLM's price list, which may be loaded anew, is seen

_RouteCheck: TypeAlias = Callable[..., bool]
_Lookup: TypeAlias = "Callable[..., Deployment | None]"
_Count: TypeAlias = Callable[..., Awaitable[str | None]]
_UNKNOWN, _ABSENT = object(), object()
_NOTHING_KEPT: tuple[Any, ...] = (_UNKNOWN, None, None, None, {})


def keep_results() -> None:
    """Install the shortcuts, once a process."""
    for shortcut in SHORTCUTS:
        _install(shortcut)


def _install(shortcut: Shortcut) -> None:
    try:
        module = importlib.import_module(shortcut.module)
        owner: Any = getattr(module, shortcut.owner) if shortcut.owner else module
        original = getattr(owner, shortcut.name)
    except (ImportError, AttributeError):
        return
    if hasattr(original, "__wrapped__") or not takes(original, *shortcut.parameters):
        return
    if shortcut.attributes and not set(shortcut.attributes) <= {*_assigned(owner), *dir(owner)}:
        return
    try:
        replacement = shortcut.replacement(original)
    except ImportError:
        return
    if inspect.iscoroutinefunction(replacement) == inspect.iscoroutinefunction(original):
        setattr(owner, shortcut.name, staticmethod(replacement) if shortcut.static else replacement)


def takes(function: Callable[..., Any], *parameters: str) -> bool:
    """Return whether a function of LiteLLM has these parameters, and no other ones."""
    try:
        return tuple(inspect.signature(function).parameters) == parameters
    except (TypeError, ValueError):
        return False


def _assigned(owner: type) -> set[str]:
    """Return the names that a class's `__init__` uses, such as those of the attributes it sets."""
    code = getattr(inspect.unwrap(owner.__init__), "__code__", None)  # type: ignore[misc]
    return set() if code is None else set(code.co_names)


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
        yaml_values, rows, runtime, deleted, kept = self.__dict__.get("_kept_settings", _NOTHING_KEPT)
        if (
            yaml_values is not self._yaml_values
            or rows is not self._database_rows
            or runtime is not self._runtime_values
            or deleted is not self._deleted_runtime_keys
            or len(kept) > MAX_SETTINGS
        ):
            kept = {}
            sources = self._yaml_values, self._database_rows, self._runtime_values, self._deleted_runtime_keys
            self.__dict__["_kept_settings"] = *sources, kept
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


def _of(module: str, name: str) -> Callable[[Any], Any]:
    """Return a replacement of a module here, which imports parts of LiteLLM that may be missing."""

    def replacement(original: Any) -> Any:
        return getattr(importlib.import_module(f".{module}", __package__), name)(original)

    return replacement


class Shortcut(NamedTuple):
    """A function of LiteLLM, what has to be known of it, and what replaces it.

    Without an `owner`, which is a class, it is one of the module.
    """

    module: str
    owner: str
    name: str
    replacement: Callable[[Any], Any]
    parameters: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    """Attributes and methods of the owner's objects that the replacement uses."""
    static: bool = False


_USAGE = ("deployment_id", "deployment_name", "model_group", "total_tokens", "rpm_increment", "parent_otel_span")
_DEPLOYMENTS = ("model_list", "model_id_to_deployment_index_map")
_SOURCES = ("_yaml_values", "_database_rows", "_runtime_values", "_deleted_runtime_keys")
_CALL = (
    *("model", "call_type", "model_call_details", "litellm_params", "standard_built_in_tools_params"),
    *("cost_breakdown", "billed_token_rates", "_provider_reported_cost", "custom_pricing_for", "get_router_model_id"),
)
_LOGGING, _OF_DEPLOYMENT = "litellm.litellm_core_utils.litellm_logging", ("litellm_model_name", "router_model_id")
_STREAMS = "litellm.litellm_core_utils.streaming_handler"
_ROUTE_CHECKS, _STORE = "litellm.proxy.auth.route_checks", "litellm.proxy.config_resolvers.settings_store"
SHORTCUTS = (
    Shortcut(
        _ROUTE_CHECKS, "RouteChecks", "check_route_access", kept_route_checks, ("route", "allowed_routes"), static=True
    ),
    Shortcut("litellm.router", "Router", "get_deployment", kept_deployments, ("self", "model_id"), _DEPLOYMENTS),
    Shortcut(
        "litellm.router",
        "Router",
        "_increment_deployment_usage",
        uncounted_without_limits,
        ("self", *_USAGE),
        _DEPLOYMENTS,
    ),
    Shortcut(_STORE, "SettingsStore", "__getitem__", kept_settings, ("self", "key"), _SOURCES),
    Shortcut(
        _LOGGING,
        "Logging",
        "response_cost_calculator",
        _of("free_models", "without_cost"),
        ("self", "result", "cache_hit", *_OF_DEPLOYMENT),
        _CALL,
    ),
    Shortcut(
        _LOGGING,
        "Logging",
        "_record_zero_cost_diagnostic",
        _of("free_models", "without_diagnosis"),
        ("self", "result", "response_cost", "calculation_failed", *_OF_DEPLOYMENT),
        _CALL,
    ),
    Shortcut(
        "litellm.proxy._lazy_features",
        "LazyFeatureMiddleware",
        "__call__",
        without_features,
        ("self", "scope", "receive", "send"),
        ("app", "_features", "_root_path"),
    ),
    Shortcut(
        "litellm.litellm_core_utils.asyncify",
        "",
        "function_has_argument",
        functools.lru_cache(MAX_FUNCTIONS),
        ("function", "arg_name"),
    ),
    Shortcut(
        _STREAMS,
        "CustomStreamWrapper",
        "chunk_creator",
        _of("stream_chunks", "complete_chunks"),
        ("self", "chunk"),
        ("custom_llm_provider", "response_id", "created", "_dispatch_provider_chunk"),
    ),
    Shortcut(
        _STREAMS,
        "",
        "asyncify",
        _of("stream_chunks", "joined_once"),
        ("function", "cancellable", "limiter"),
    ),
    Shortcut("litellm.proxy.utils", "", "offload_token_count", _of("stream_chunks", "read_on_the_loop"), ("function",)),
    *(
        Shortcut(module, "", "get_api_base", _of("call_shortcuts", "without_api_base"), ("model", "optional_params"))
        for module in (_STREAMS, "litellm.litellm_core_utils.llm_response_utils.response_metadata")
    ),
    Shortcut(
        "litellm.proxy.hooks.parallel_request_limiter_v3",
        "_PROXY_MaxParallelRequestsHandler_v3",
        "_key_owns_model_tpm_limit_from_request_metadata",
        _of("call_shortcuts", "without_limit_lookup"),
        ("self", "request_metadata", "model"),
    ),
    Shortcut(
        "fastapi.dependencies.utils",
        "",
        "_get_cache_key",
        _of("call_shortcuts", "kept_cache_keys"),
        ("dependant", "uses_scopes_cache"),
    ),
)
