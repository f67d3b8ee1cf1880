"""The messages of one HTTP request to the proxy, and its response as the client gets it."""

from __future__ import annotations

import gzip
import logging
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Send

from ...request.context import RequestContext
from ...request.response_turn import ResponseTurn
from ..error_links import ErrorLinks
from .body_limit import LimitedBody
from .citations import citations_for
from .error_bodies import MESSAGE, OWN_ERROR_EVENTS, is_health_report, protocol_error, protocol_events, rewrite
from .mcp_items import mcp_calls_for
from .message_start import message_start_for
from .private_fields import (
    has_private_fields,
    is_operator,
    remove_private_fields,
    remove_private_headers,
    with_requested_model,
)
from .published_form import published_form_for
from .rate_limit_headers import set_rate_limit_headers
from .request_id import set_request_id
from .searches import searches_for
from .stored_response import Keep, keep_stream, keep_whole

CLIENT_DISCONNECTED = 499
_PING_EVENT = b'event: ping\ndata: {"type": "ping"}\n\n'
# LiteLLM's keepalives, and what follows the comment on an answer that takes long in their place.
_PINGS = {b": ping\n\n": b"\n", _PING_EVENT: _PING_EVENT}

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """The end of a request: its status (499: no response was sent), and its duration.

    `disconnected`: the client left before it had the whole response (`responded`).
    """

    status: int = CLIENT_DISCONNECTED
    responded: bool = False
    disconnected: bool = False
    seconds: float = 0.0


class Exchange:
    """The messages of one HTTP request; an error response is held until its body is complete."""

    def __init__(
        self,
        request: RequestContext,
        receive: Receive,
        send: Send,
        *,
        cors: CORSMiddleware | None,
        keep: Keep | None,
        links: ErrorLinks | None,
    ) -> None:
        self._links = links
        self._request = request
        self._keep = keep
        self._send = send
        self._cors = cors
        self._path = request.scope.get("path", "")
        self._held: Message | None = None
        self._held_body = b""
        self._has_responses = self._path.rstrip("/").endswith("/responses")
        self._has_own_error_events = self._path.endswith(OWN_ERROR_EVENTS)
        self._citations = citations_for(self._path)
        self._searches = searches_for(self._path)
        self._mcp_calls = mcp_calls_for(self._path)
        self._message_start = message_start_for(self._path)
        self._form = published_form_for(request)
        self.outcome = Outcome()
        self.body = LimitedBody(Headers(scope=request.scope), _watched(receive, self.outcome))

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and (self._is_rewritten(message["status"]) or self._is_whole(message)):
            self._held = message
        elif self._held is None or kind != "http.response.body":
            await self._forward(message)
        else:
            self._held_body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_held(self._held)

    def _is_rewritten(self, status: int) -> bool:
        return (
            status >= 400
            or self._request.denied is not None
            or is_health_report(self._path)
            or has_private_fields(self._path)
        )

    def _is_whole(self, start: Message) -> bool:
        """Return whether this is a whole response of a protocol that is rewritten."""
        kind = Headers(raw=start["headers"]).get("content-type", "")
        return self._form is not None and kind.startswith("application/json")

    @property
    def _turn(self) -> ResponseTurn | None:
        """The turn of a request of /v1/responses, where responses are kept."""
        return self._request.response_turn if self._has_responses and self._keep is not None else None

    async def send_error(self, status: int, message: str, *, close: bool = True) -> None:
        """Send an error of the wrapper itself, and close the connection."""
        body = self._with_link(protocol_error(status, message, self._path))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"connection", b"close")] if close else []
        await self._send_start({"type": "http.response.start", "status": status, "headers": headers})
        self.outcome.responded = True
        await self._send({"type": "http.response.body", "body": body})

    def _with_link(self, body: bytes) -> bytes:
        return body if self._links is None else self._links.add(body)

    async def end_failed(self, error: Exception) -> bool:
        """End the exchange of a request for which the proxy raised an exception.

        Return whether the client has a whole response: the server would close its connection
        after an exception, even if LiteLLM has responded with a 500.
        """
        is_partial = self.outcome.status != CLIENT_DISCONNECTED and not self.outcome.responded
        if not is_partial:
            method = self._request.scope.get("method")
            logger.error("Internal error in the proxy: %s %s", method, self._path, exc_info=error)
            if not self.outcome.responded:
                await self.send_error(500, MESSAGE, close=False)
        self.outcome.status = 500
        return not is_partial

    async def _send_held(self, start: Message) -> None:
        if self._request.denied is not None and self.body.rejection is None:
            await self.send_error(403, self._request.denied, close=False)
            return
        headers, body = MutableHeaders(scope=start), self._held_body
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        start["status"], rewritten = rewrite(start["status"], plain, self._path)
        if start["status"] >= 400:
            rewritten = self._with_link(rewritten)
        if start["status"] < 400 and has_private_fields(self._path) and not is_operator(self._request.scope):
            rewritten = remove_private_fields(rewritten)
        if start["status"] < 400 and self._citations is not None and self._request.sources:
            rewritten = self._citations.whole(rewritten, self._request.sources)
        if start["status"] < 400 and self._searches is not None and (searches := self._request.web_searches):
            rewritten = self._searches.whole(rewritten, searches)
        if start["status"] < 400 and self._mcp_calls is not None and (mcp := self._request.mcp) is not None:
            rewritten = self._mcp_calls.whole(rewritten, mcp)
        if start["status"] < 400 and self._form is not None:
            rewritten = self._form.whole(rewritten)
        if start["status"] < 400 and self._keep is not None and (turn := self._turn) is not None:
            rewritten = await keep_whole(rewritten, turn, self._keep)
        if rewritten != plain:
            body = rewritten
            del headers["content-encoding"]
            headers["content-length"] = str(len(rewritten))
        await self._forward(start)
        await self._forward({"type": "http.response.body", "body": body})

    async def _forward(self, message: Message) -> None:
        """Send a message of the proxy, or the error for a request body that exceeded a limit."""
        if message["type"] == "http.response.start":
            if self.body.rejection is not None:
                await self.send_error(*self.body.rejection)
            else:
                await self._send_start(message)
        elif self.body.rejection is None:
            if message["type"] == "http.response.body":
                self.outcome.responded = not message.get("more_body", False)
                message = {**message, "body": self._rewritten(message.get("body", b""))}
                if self._held is None and self._keep is not None and (turn := self._turn) is not None:
                    await keep_stream(message["body"], turn, self._keep)
            await self._send(message)

    def _rewritten(self, body: bytes) -> bytes:
        """Return a part of a response as the client gets it."""
        request, streamed = self._request, self._held is None
        if (progress := request.progress) and (ping := _PINGS.get(body)):
            body = f": {progress}\n".encode() + ping
        if streamed and self._citations is not None and (sources := request.sources):
            body = self._citations.stream(body, sources)
        if streamed and self._searches is not None and (searches := request.web_searches) is not None:
            body = self._searches.stream(body, searches)
        if streamed and self._mcp_calls is not None and (mcp := request.mcp) is not None:
            body = self._mcp_calls.stream(body, mcp)
        if self._has_own_error_events:
            body = protocol_events(body, self._path)
        if self._message_start is not None and (tokens := request.prompt_tokens) is not None:
            body = self._message_start.stream(body, tokens)
        if self._has_responses and (model := request.model) is not None:
            body = self._with_model(body, model)
        if streamed and self._form is not None:
            body = self._form.stream(body)
        return body

    def _with_model(self, events: bytes, model: str) -> bytes:
        turn = self._turn
        return with_requested_model(events, model, None if turn is None else turn.previous)

    async def _send_start(self, message: Message) -> None:
        present = MutableHeaders(scope=message)
        if not is_operator(self._request.scope):
            remove_private_headers(present)
        if added := self._request.response_headers:
            for name, value in added.items():
                present.setdefault(name, value)
        if (allowance := self._request.allowance) is not None:
            headers = MutableHeaders(scope=message)
            set_rate_limit_headers(headers, message["status"], allowance, self._path)
        set_request_id(message, self._request.request_id)
        self.outcome.status = message["status"]
        if self._cors is None or "access-control-allow-origin" in Headers(raw=message["headers"]):
            await self._send(message)
        else:
            await self._cors.send(message, self._send, Headers(scope=self._request.scope))


def _watched(receive: Receive, outcome: Outcome) -> Receive:
    """Note a disconnect; a method would make the exchange refer to itself, by its body."""

    async def watched() -> Message:
        message = await receive()
        if message["type"] == "http.disconnect" and not outcome.responded:
            outcome.disconnected = True
        return message

    return watched
