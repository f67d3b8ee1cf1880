"""Limit the size of request bodies, and their JSON to objects.

The proxy reads a body of any length to its end before it checks the key.
"""

from __future__ import annotations

import codecs
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from .body_structure import TOO_MANY, TOO_MANY_FIELDS, FieldCounter, ValueCounter

MAX_BODY_BYTES = 32 * 1024 * 1024  # as Anthropic's own API

TOO_LARGE = f"The request is larger than {MAX_BODY_BYTES // 1024**2} MiB: shorten it."
NO_OBJECT = "The request's body must be a JSON object."
NO_UTF8 = "The request's body is not valid UTF-8: encode it as UTF-8."
# First characters of JSON other than an object; the proxy itself rejects invalid JSON.
_OTHER_JSON = tuple(character.encode() for character in '["-0123456789tfn')
_UPLOAD = "multipart/form-data"  # at most 1,000 fields and files, which Starlette checks
_FORM = "application/x-www-form-urlencoded"
_DECODER = codecs.getincrementaldecoder("utf-8")


class LimitedBody:
    """A request body of any content type that is read up to the limit.

    Each piece is checked as it arrives, because other requests are served between two pieces.
    """

    def __init__(self, headers: Headers, receive: Receive) -> None:
        content_type = headers.get("content-type", "application/json")
        length = headers.get("content-length", "")
        self._receive = receive
        self._first: Message | None = None
        media_type = content_type.split(";")[0].strip().lower()
        self._fields = FieldCounter() if media_type == _FORM else None
        self._values = None if media_type in (_UPLOAD, _FORM) else ValueCounter()
        # The decoder of JSON: LiteLLM would take other bytes for an empty body.
        self._utf8 = _DECODER() if content_type.startswith("application/json") else None
        self._left = MAX_BODY_BYTES
        self._is_too_long = length.isdecimal() and int(length) > MAX_BODY_BYTES
        # The error for a body that exceeded a limit while it was read.
        self.rejection: tuple[int, str] | None = None

    async def reject(self) -> tuple[int, str] | None:
        """Return status and message of the error for a body that must not be read, else None."""
        if self._is_too_long:
            return 413, TOO_LARGE
        self._first = await self._receive()
        if self._utf8 is not None and self._first.get("body", b"").lstrip().startswith(_OTHER_JSON):
            return 400, NO_OBJECT
        return None

    async def receive(self) -> Message:
        """Return the next ASGI message; raises HTTPException above a limit, and from then on.

        LiteLLM reads on after an error, and would wait for a message that does not come.
        """
        if self.rejection is not None:
            raise HTTPException(*self.rejection)
        message, self._first = self._first or await self._receive(), None
        if message["type"] == "http.request":
            self._check(message.get("body", b""), more=message.get("more_body", False))
        return message

    def _check(self, piece: bytes, *, more: bool) -> None:
        self._left -= len(piece)
        if self._left < 0:
            self._exceed(413, TOO_LARGE)
        if self._values is not None and self._values.exceeds(piece):
            self._exceed(400, TOO_MANY)
        if self._fields is not None and self._fields.exceeds(piece):
            self._exceed(400, TOO_MANY_FIELDS)
        if self._utf8 is not None:
            try:
                self._utf8.decode(piece, final=not more)
            except UnicodeDecodeError:
                self._exceed(400, NO_UTF8)

    def _exceed(self, status: int, message: str) -> NoReturn:
        self.rejection = status, message
        raise HTTPException(status, message)
