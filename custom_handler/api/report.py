"""`GET /report`: a static page, which fetches the calls of a run with the key of its tab.

The page contains no data and needs no key. `GET /report/data` is for the master key: a run has the
calls of all teams.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException

from ..errors import ConfigurationError
from ..proxy.auth import Caller as AuthenticatedKey
from ..proxy.auth import sees_all
from ..report import page, read_run, report_data, run_names
from .page_routes import add_page
from .responses import api_router

MAX_BYTES = 16_000_000
"""How much of a run is read: its newest lines, some 30,000 calls."""


def routes(runs: Path) -> APIRouter:
    """Return the routes; `runs` is the folder of the runs."""
    router: APIRouter = api_router(tags=["chat service"])
    add_page(router, "/report", page())
    reading = asyncio.Lock()  # one at a time: a large run costs a second of CPU

    @router.get("/report/data")
    async def data(key: AuthenticatedKey, run: str | None = None) -> dict[str, Any]:
        """Return the calls of a run, by default the newest one of a proxy."""
        if not sees_all(key):
            raise HTTPException(403, "A report has the calls of all keys: use the master key.")
        async with reading:
            return await asyncio.to_thread(_data, runs, run)

    return router


def _data(runs: Path, name: str | None) -> dict[str, Any]:
    names = run_names(runs)
    if name is not None and name not in names:  # a path would lead out of the folder
        raise HTTPException(404, f"There is no run {name[:80]!r}: choose one of the list.")
    try:
        return report_data(read_run(runs, name, MAX_BYTES), names[::-1])
    except ConfigurationError as error:
        raise HTTPException(404, error.message) from None
