"""`GET /playground`: a static page that calls the proxy's models over the WebSocket.

The page contains no secret and needs no key; its calls do. Its Content-Security-Policy allows only
the page's own script and style, and connections to the proxy.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from .page_policy import page_headers


def routes() -> APIRouter:
    """Return the route of the page."""
    router = APIRouter(tags=["chat service"])
    page = Path(__file__).with_name("playground.html").read_text(encoding="utf-8")
    headers = page_headers(page)

    @router.get("/playground", response_class=HTMLResponse)
    async def playground() -> HTMLResponse:
        """Return the page."""
        return HTMLResponse(page, headers=headers)

    return router
