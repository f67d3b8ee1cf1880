"""`GET /trace-check`: which tracing the operator has switched on, and what it still lacks; never a value."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends

from ..proxy.auth import require_key
from ..proxy.config import callbacks


@dataclass(frozen=True, slots=True)
class Tracer:
    """A tracing back end of LiteLLM's: the callbacks that switch it on, and what each needs.

    `settings` are groups of variables; one of each group must be set. `package` is what LiteLLM imports for it.
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


def trace_check(named: Iterable[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """Tell of each tracer whether it is switched on, whether what it needs is there, and how to get it."""
    tracers = {name: _state(tracer, set(named), environ) for name, tracer in TRACERS.items()}
    return {"enabled": any(state["enabled"] for state in tracers.values()), "tracers": tracers}


def _state(tracer: Tracer, named: set[str], environ: Mapping[str, str]) -> dict[str, Any]:
    chosen = next((callback for callback in tracer.callbacks if callback in named), None)
    missing = [" or ".join(group) for group in tracer.settings if not any(environ.get(name) for name in group)]
    lacks_package = tracer.package is not None and not _installed(tracer.package)
    to_do = [
        *([] if chosen else [f"add {tracer.callbacks[0]} to litellm_settings.callbacks in config.yaml"]),
        *(f"set {names} in .env" for names in missing),
        *([f"install the package of {tracer.package}"] if lacks_package else []),
    ]
    return {"enabled": not to_do, "callback": chosen, "missing": missing, "to_do": to_do}


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def routes(proxy: Any) -> APIRouter:
    """`GET /trace-check`, for the configuration of a running proxy (its module)."""
    part = APIRouter(tags=["observability"], dependencies=[Depends(require_key)])

    @part.get("/trace-check")
    async def check() -> dict[str, Any]:
        """Say which tracing is switched on."""
        return trace_check(callbacks(proxy.proxy_config.get_config_state()), os.environ)

    return part
