"""The headers of a page, whose scripts and styles are within it or files of the proxy."""

from __future__ import annotations

import base64
import hashlib
import re


def page_headers(page: str) -> dict[str, str]:
    """Return the headers of a page, which may run nothing but its own script and style."""
    return {"content-security-policy": policy(page), "cache-control": "no-cache", "referrer-policy": "no-referrer"}


def policy(page: str) -> str:
    """Return a Content-Security-Policy: inline script and style by hash, and the proxy's own files.

    The proxy's files are allowed only for a page that names some.
    """
    rules = {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'"}
    linked = {"script": '<script type="module" src=', "style": '<link rel="stylesheet" href='}
    for tag, start in linked.items():
        allowed = [*_hashes(page, tag), *(["'self'"] if start in page else [])]
        rules[f"{tag}-src"] = " ".join(allowed or ["'none'"])
    rules |= {"form-action": "'none'", "frame-ancestors": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hashes(page: str, tag: str) -> list[str]:
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline]
