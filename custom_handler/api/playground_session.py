"""`POST /playground/session`: give the page the key for the one-time code that `run` prints."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from ..proxy.own_browser import is_own_browser
from ..proxy.playground_code import PlaygroundCode
from .responses import api_router

_ELSEWHERE = (
    "A code opens the playground only in a browser on the proxy's own machine, with no other proxy in between. "
    "Enter an API key of this proxy instead."
)
_NOT_VALID = (
    "The code of this address was used, is older than five minutes, or is not the one that this proxy printed. "
    "Enter an API key of this proxy, or start the proxy again for a new address."
)


class Session(BaseModel):
    """What the page sends."""

    code: str = Field(max_length=100)


class SessionKey(BaseModel):
    """What the page gets: the API key for its tab."""

    key: str


def routes(issued: PlaygroundCode, read_key: Callable[[], str | None]) -> APIRouter:
    """Return the route; `read_key` returns the key that the code is exchanged for."""
    router: APIRouter = api_router(tags=["chat service"])

    @router.post("/playground/session", include_in_schema=False)
    def session(body: Session, request: Request, response: Response) -> SessionKey:
        if not is_own_browser(request):
            raise HTTPException(403, _ELSEWHERE)
        key = read_key()
        if not key or not issued.redeem(body.code):
            raise HTTPException(410, _NOT_VALID)
        response.headers["cache-control"] = "no-store"
        return SessionKey(key=key)

    return router
