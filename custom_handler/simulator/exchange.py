"""One HTTP request and its response, which can be paced, cut and broken off."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from aiohttp import web

from .wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .request_log import Record

# A stream without pauses yields to other streams after so many writes.
WRITES_IN_A_ROW = 32
NO_LINGER = struct.pack("ii", 1, 0)
JSON = "application/json"


class Exchange:
    """Read a request and write its response; `record` receives the progress.

    `burst` writes are joined into one, after the sum of their pauses; `cut` is the number of bytes
    per write.
    """

    def __init__(self, request: web.Request, record: Record) -> None:
        self.request = request
        self.record = record
        self.burst = 1
        self.cut: int | None = None
        self._response = web.StreamResponse()
        self._data = bytearray()
        self._frames = 0
        self._seconds = 0.0
        self._writes = 0

    @property
    def authorization(self) -> str:
        """The Authorization header, or an empty string."""
        return self.request.headers.get("Authorization", "")

    async def read_object(self) -> dict[str, Any]:
        """Return the JSON object in the body; raises ValueError for any other body."""
        if self.request.content_type != JSON:
            raise ValueError("the content type must be application/json")
        try:
            value = json.loads(await self.request.read())
        except ValueError:
            raise ValueError("the body is not JSON") from None
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")  # noqa: TRY004
        return value

    async def send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response: a string as HTML or plain text, any other value as JSON."""
        data = body.encode(errors="replace") if isinstance(body, str) else encode_json(body)
        kind = JSON
        if isinstance(body, str):
            kind = f"text/{'html' if body.lstrip().startswith('<') else 'plain'}; charset=utf-8"
        await self.open(status, kind, {"Content-Length": str(len(data)), **(headers or {})})
        await self.write(data)

    async def open(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers; without a length, the body is sent in chunks."""
        self._response.set_status(status)
        self._response.headers["Content-Type"] = content_type
        self._response.headers.update(headers)
        self.record.status = status
        await self._response.prepare(self.request)

    async def write(self, data: bytes, frames: int = 0) -> None:
        """Send bytes that complete so many frames."""
        self._writes += 1
        if self.burst == 1 and self.cut is None:
            await self._send(data, frames)
            return
        self._data += data
        self._frames += frames
        if self._writes % self.burst == 0:
            await self._flush()

    async def pause(self, seconds: float) -> None:
        """Wait; within a burst, add to the wait before it."""
        if self.burst > 1:
            self._seconds += seconds
        elif seconds:
            await asyncio.sleep(seconds)

    async def finish(self) -> web.StreamResponse:
        """Send the rest and the end of the response."""
        await self._flush(everything=True)
        await self._response.write_eof()
        return self._response

    async def break_off(self, how: Literal["reset", "close", "hang"], delay: float = 0) -> NoReturn:
        """Reset or close the connection, or stop sending, until the server cancels the task."""
        await self._flush(everything=True)
        await asyncio.sleep(delay)
        transport = self.request.transport
        if transport is not None and how != "hang":
            self.record.broken = how
            if how == "reset":
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                transport.abort()
            else:
                transport.close()
        await asyncio.Event().wait()
        raise asyncio.CancelledError

    async def _flush(self, *, everything: bool = False) -> None:
        if self._seconds:
            await asyncio.sleep(self._seconds)
            self._seconds = 0
        size = self.cut or len(self._data) or 1
        end = len(self._data) if everything else len(self._data) - len(self._data) % size
        for start in range(0, end, size):
            last = start + size >= end
            await self._send(bytes(self._data[start : start + size]), self._frames if last else 0)
        del self._data[:end]
        if end:
            self._frames = 0

    async def _send(self, data: bytes, frames: int) -> None:
        await self._response.write(data)
        self.record.frames_sent += frames
        if self._writes % WRITES_IN_A_ROW == 0:
            await asyncio.sleep(0)
