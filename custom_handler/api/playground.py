"""`GET /playground`: a page that asks the proxy's models with the key of its tab."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from .page_routes import add_page

ASSETS = Path(__file__).with_name("assets") / "playground"
"""The page, its scripts and its style."""


def routes() -> APIRouter:
    """Return the routes of the page."""
    router = APIRouter(tags=["chat service"])
    add_page(router, "/playground", (ASSETS / "playground.html").read_text(encoding="utf-8"), ASSETS)
    return router
