"""Puts middleware around an application that already runs, which its `add_middleware` refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp


def wrap(app: Any, middleware: Callable[[ASGIApp], ASGIApp]) -> None:
    """Put a middleware around all of a running FastAPI application; the last one wrapped is the outermost."""
    if (inner := getattr(app, "middleware_stack", None)) is not None:
        app.middleware_stack = middleware(inner)
