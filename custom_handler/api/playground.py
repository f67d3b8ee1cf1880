"""`GET /playground`: a static page that calls the proxy's models over the WebSocket.

The page contains no secret and needs no key; its calls do. Its Content-Security-Policy allows only
the page's own script and style, and connections to the proxy.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def routes() -> APIRouter:
    """Return the route of the page."""
    router = APIRouter(tags=["chat service"])
    page = Path(__file__).with_name("playground.html").read_text(encoding="utf-8")
    headers = {"content-security-policy": policy(page), "cache-control": "no-cache", "referrer-policy": "no-referrer"}

    @router.get("/playground", response_class=HTMLResponse)
    async def playground() -> HTMLResponse:
        """Return the page."""
        return HTMLResponse(page, headers=headers)

    return router


def policy(page: str) -> str:
    """Return a Content-Security-Policy that allows a page's inline script and style by hash."""
    rules = {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'"}
    rules |= {f"{tag}-src": _hash(page, tag) for tag in ("script", "style")}
    rules |= {"form-action": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(page: str, tag: str) -> str:
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline)
