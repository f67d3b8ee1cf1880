"""The headers of a page whose script and style are within it."""

from __future__ import annotations

import base64
import hashlib
import re


def page_headers(page: str) -> dict[str, str]:
    """Return the headers of a page, which may run nothing but what is in it."""
    return {"content-security-policy": policy(page), "cache-control": "no-cache", "referrer-policy": "no-referrer"}


def policy(page: str) -> str:
    """Return a Content-Security-Policy that allows a page's inline script and style by hash."""
    rules = {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'"}
    rules |= {f"{tag}-src": _hash(page, tag) for tag in ("script", "style")}
    rules |= {"form-action": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(page: str, tag: str) -> str:
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline)
