"""The chat service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ..settings import Settings
from .router import Router


def routes(router: Router, settings: Settings) -> APIRouter:  # noqa: ARG001
    """`GET /healthz`."""
    part = APIRouter(tags=["chat service"])

    @part.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Say that the service runs; nothing is asked of a model."""
        return {"status": "ok", "model": settings.default_model}

    return part
