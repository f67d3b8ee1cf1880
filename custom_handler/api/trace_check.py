"""`GET /trace-check`: the tracing back ends, whether they are on, and what they lack; no values."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Depends

from ..data_class import data_class
from ..proxy.auth import require_key
from ..proxy.config import callbacks


@data_class
class Tracer:
    """A tracing back end of LiteLLM: the callbacks that switch it on, and its requirements.

    One variable of each group of `settings` must be set. LiteLLM imports `package`.
    """

    callbacks: tuple[str, ...]
    settings: tuple[tuple[str, ...], ...]
    package: str | None = None


OTLP_PACKAGE = "opentelemetry.exporter.otlp.proto.http"
TRACERS = {
    "langsmith": Tracer(("langsmith",), (("LANGSMITH_API_KEY",),)),
    "langfuse": Tracer(
        ("langfuse_otel", "langfuse"), (("LANGFUSE_PUBLIC_KEY",), ("LANGFUSE_SECRET_KEY",)), OTLP_PACKAGE
    ),
    "otlp": Tracer(
        ("otel",),
        (("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_ENDPOINT"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER")),
        OTLP_PACKAGE,
    ),
}


def trace_check(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the response body, for the names of the configured callbacks."""
    tracers = {name: _state(tracer, set(names), environ) for name, tracer in TRACERS.items()}
    return {"enabled": any(state["enabled"] for state in tracers.values()), "tracers": tracers}


def _state(tracer: Tracer, names: set[str], environ: Mapping[str, str]) -> dict[str, Any]:
    chosen = next((callback for callback in tracer.callbacks if callback in names), None)
    missing = [" or ".join(group) for group in tracer.settings if not any(environ.get(name) for name in group)]
    lacks_package = tracer.package is not None and not _installed(tracer.package)
    to_do = [
        *([] if chosen else [f"add {tracer.callbacks[0]} to litellm_settings.callbacks in config.yaml"]),
        *(f"set {variables} in .env" for variables in missing),
        *([f"install the package of {tracer.package}"] if lacks_package else []),
    ]
    return {"enabled": not to_do, "callback": chosen, "missing": missing, "to_do": to_do}


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def routes(proxy: Any) -> APIRouter:
    """Return the route, for the configuration of a running proxy (its module)."""
    router = APIRouter(tags=["observability"], dependencies=[Depends(require_key)])

    @router.get("/trace-check")
    async def check() -> dict[str, Any]:
        """Return which tracing is switched on."""
        return trace_check(callbacks(proxy.proxy_config.get_config_state()), os.environ)

    return router
