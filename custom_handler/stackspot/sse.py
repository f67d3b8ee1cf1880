"""A parser for server-sent events: `feed` takes bytes, cut anywhere, and returns event data."""

from __future__ import annotations

import codecs

from httpx_sse._decoders import SSEDecoder, SSELineDecoder


class SseDecoder:
    r"""Decode UTF-8, then lines (ended by LF, CR or CRLF only), then the `data` of events.

    Comments and other fields are ignored.

    >>> decoder = SseDecoder()
    >>> decoder.feed(b'data: {"message": "Ol'), decoder.feed(b'\xc3\xa1"}\n\n')
    ([], ['{"message": "Olá"}'])
    """

    def __init__(self) -> None:
        # An invalid byte becomes one U+FFFD; the standard removes a leading BOM.
        self._characters = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that these bytes complete."""
        text = self._characters.decode(chunk)
        return self._data(self._lines.decode(text)) if text else []

    def flush(self) -> list[str]:
        """Return the rest at the end of the stream: the last event may lack its blank line."""
        rest = self._characters.decode(b"", final=True)
        lines = self._lines.decode(rest) if rest else []
        return self._data([*lines, *self._lines.flush(), ""])

    def _data(self, lines: list[str]) -> list[str]:
        found: list[str] = []
        for line in lines:
            event = self._events.decode(line)
            if event is not None and (data := event.data):
                found.append(data)
        return found
