"""A parser for server-sent events: `feed` takes bytes, cut anywhere, and returns event data."""

from __future__ import annotations

import codecs
import itertools
import sys

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

FIELD_NAME_BYTES = 16  # of an unfinished line, beyond its data


class SseDecoder:
    r"""Decode UTF-8, then lines (ended by LF, CR or CRLF only), then the `data` of events.

    Comments and other fields are ignored. `too_large` becomes true, and stays so, where the data of
    an event, or a line, has more than `max_bytes`: nothing that follows is read or kept.

    >>> decoder = SseDecoder()
    >>> decoder.feed(b'data: {"message": "Ol'), decoder.feed(b'\xc3\xa1"}\n\n')
    ([], ['{"message": "Olá"}'])
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self.too_large = False
        self._max_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._most_held = 0  # no more bytes are held of an unfinished event
        # An invalid byte becomes one U+FFFD; the standard removes a leading BOM.
        self._characters = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that these bytes complete."""
        text = self._characters.decode(chunk)
        if not text or self.too_large:
            return []
        found = self._data(self._lines.decode(text))
        self._most_held += len(chunk)
        return found if self._most_held <= self._max_bytes else self._limited(found)

    def flush(self) -> list[str]:
        """Return the rest at the end of the stream: the last event may lack its blank line."""
        rest = self._characters.decode(b"", final=True)
        lines = self._lines.decode(rest) if rest else []
        return self._limited(self._data([*lines, *self._lines.flush(), ""]))

    def _data(self, lines: list[str]) -> list[str]:
        found: list[str] = []
        for line in lines:
            event = self._events.decode(line)
            if event is not None and (data := event.data):
                found.append(data)
        return found

    def _limited(self, found: list[str]) -> list[str]:
        """Return the data of events up to the first that is too large, and count what is held.

        That costs time only once for `max_bytes` that have arrived.
        """
        sizes = map(_size, found)
        allowed = list(itertools.takewhile(lambda pair: pair[1] <= self._max_bytes, zip(found, sizes, strict=True)))
        data, line = sum(map(_size, self._events._data)), sum(map(_size, self._lines.buffer))
        self._most_held = data + line
        if len(allowed) < len(found) or self._most_held > self._max_bytes + FIELD_NAME_BYTES:
            self.too_large = True
            self._lines, self._events = SSELineDecoder(), SSEDecoder()
        return [data for data, _ in allowed]


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
