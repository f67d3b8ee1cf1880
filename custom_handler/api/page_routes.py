"""Serve a page without data: its HTML, and the files that it links to.

A page contains no secret and needs no key; its calls do. Its Content-Security-Policy allows only
its own script and style, and connections to the proxy. The path of its files has a digest of them
all, so browsers keep them, and never mix those of two releases.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from .page_policy import page_headers

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# not by `mimetypes`: Windows' registry may name another type, and browsers refuse a module of that
_KEPT = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}


def add_page(router: APIRouter, path: str, page: str, folder: Path | None = None) -> None:
    """Add the route of a page, and `{path}/assets/{digest}/{name}` of the files in `folder`.

    The page names them `{assets}/…`, relative to its own address.
    """
    files = {} if folder is None else read_assets(folder)
    digest = assets_digest(files)
    page = page.replace("{assets}", f"{path.rpartition('/')[2]}/assets/{digest}")
    headers = page_headers(page)

    @router.get(path, response_class=HTMLResponse, name=path.strip("/"))
    async def show() -> HTMLResponse:
        """Return the page."""
        return HTMLResponse(page, headers=headers)

    if not files:
        return

    @router.get(f"{path}/assets/{{asked}}/{{name:path}}", include_in_schema=False)
    async def asset(asked: str, name: str) -> Response:
        if asked != digest or name not in files:
            return PlainTextResponse("The proxy serves no such file now: reload the page.", 404)
        return Response(files[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_KEPT)


def read_assets(folder: Path) -> dict[str, bytes]:
    """Return the scripts, styles and pictures of a folder and its folders, by their path in it."""
    found = sorted(file for file in folder.rglob("*") if file.suffix[1:] in _TYPES)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def assets_digest(files: dict[str, bytes]) -> str:
    """Return what names a set of files: it changes with each of their names and bytes."""
    summed = hashlib.sha256()
    for name, content in files.items():
        summed.update(f"{name}\0{len(content)}\0".encode() + content)
    return summed.hexdigest()[:16]
