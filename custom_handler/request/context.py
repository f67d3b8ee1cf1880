"""The HTTP request that a task serves; tasks that are started meanwhile share it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..events import Source, WebSearch
from .caller import Allowance
from .mcp_turn import McpTurn
from .response_turn import ResponseTurn

_current: ContextVar[RequestContext | None] = ContextVar("stackspot_request", default=None)


class Abandonable(Protocol):
    """What is opened for a request, and must not outlive it."""

    def abandon(self) -> None:
        """Start to close it."""


@dataclass(slots=True, eq=False)
class RequestContext:
    """One request: its ASGI scope, and what the plugin adds to it while it is served.

    `service_route` is the template of the service's route, such as `/chat`, that asks the proxy;
    `response_headers` are added to the response; so is what the caller may still send, by the limit
    that the `allowances` are named after. `unfinished` is abandoned at the end. `denied` is the
    message of the 403 that the client receives instead of the response; `model` is the model
    that the client asks for. `progress` is what is known of an answer that takes long. `sources`
    are those of the answer and `stop_sequence` the one that ended it, which the bridges of LiteLLM
    lose; `web_searches` those made for it, None where the agent cannot search.
    `prompt_tokens` is the estimated size of the prompt; `counts_only`: the request asks for that
    only, so no agent is asked. `response_turn` is that of a request of /v1/responses.
    `mcp` has the MCP servers whose tools LiteLLM runs for the agent. `validated` is a body that is
    known to be valid, and the shape that it has.
    """

    scope: MutableMapping[str, Any]
    request_id: str = ""
    service_route: str | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    allowances: dict[str, Allowance] = field(default_factory=dict)
    unfinished: set[Abandonable] = field(default_factory=set)
    denied: str | None = None
    model: str | None = None
    progress: str = ""
    sources: Sequence[Source] = ()
    web_searches: list[WebSearch] | None = None
    stop_sequence: str | None = None
    prompt_tokens: int | None = None
    counts_only: bool = False
    response_turn: ResponseTurn | None = None
    mcp: McpTurn | None = None
    validated: tuple[Mapping[str, Any], object] | None = None

    @property
    def allowance(self) -> Allowance | None:
        """The allowance that leaves the caller the fewest requests; None without limits."""
        return min(self.allowances.values(), key=lambda one: (one.remaining, -one.reset), default=None)

    def abandon_unfinished(self) -> None:
        """Close, at the end, what was opened for the request and is still open.

        A client can disconnect while the proxy does not await its stream; on /v1/responses the
        proxy then drops the stream without closing it.
        """
        for one in list(self.unfinished):
            one.abandon()

    @contextlib.contextmanager
    def served(self) -> Iterator[RequestContext]:
        """Make this the current request.

        >>> with RequestContext({}, "r-1").served():
        ...     request_id()
        'r-1'
        """
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


def current_request() -> RequestContext | None:
    """Return the request that is being served, None outside of one."""
    return _current.get()


def counts_only() -> bool:
    """Return whether the current request asks for the size of a prompt only."""
    request = _current.get()
    return request is not None and request.counts_only


def request_id() -> str:
    """Return the id of the request that is being served, an empty text outside of one."""
    request = _current.get()
    return "" if request is None else request.request_id


def add_response_header(name: str, value: str) -> None:
    """Add a header to the response of the current request, unless the response has it already."""
    if (request := _current.get()) is not None:
        request.response_headers[name] = value


def report_progress(progress: str) -> None:
    """Set what is known of the current request's answer: one line, without content."""
    if (request := _current.get()) is not None:
        request.progress = progress


def report_allowance(allowance: Allowance | None, limit: str = "account") -> None:
    """Set what a limit leaves to the caller of the current request, for the response's headers."""
    if (request := _current.get()) is not None:
        if allowance is not None:
            request.allowances[limit] = allowance
        else:
            request.allowances.pop(limit, None)
