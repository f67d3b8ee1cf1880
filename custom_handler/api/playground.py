"""`GET /playground`: one static page to try the proxy's models with, over the WebSocket.

It holds nothing secret, and so it wants no key; what it asks does. Its policy lets the browser run the page's own script
and nothing else, and talk to the proxy and to nobody else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def routes() -> APIRouter:
    """The page."""
    part = APIRouter(tags=["chat service"])
    page = Path(__file__).with_name("playground.html").read_text(encoding="utf-8")
    headers = {"content-security-policy": policy(page), "cache-control": "no-cache", "referrer-policy": "no-referrer"}

    @part.get("/playground", response_class=HTMLResponse)
    async def playground() -> HTMLResponse:
        """Show the page."""
        return HTMLResponse(page, headers=headers)

    return part


def policy(page: str) -> str:
    """Return the Content-Security-Policy of a page: its own inline script and style, by their hashes."""
    rules = {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'"}
    rules |= {f"{tag}-src": _hash(page, tag) for tag in ("script", "style")}
    rules |= {"form-action": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(page: str, tag: str) -> str:
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline)
