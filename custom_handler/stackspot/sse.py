"""A parser for server-sent events: `feed` takes bytes, cut anywhere, and returns event data."""

from __future__ import annotations

import codecs
import itertools
import sys
from typing import TypeAlias

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

FIELD_NAME_BYTES = 16  # of an unfinished line, beyond its data
_DEFAULT_NAME = "message"
_DATA = "data: "


Event: TypeAlias = tuple[str, str]
"""The name of an event, empty where it has none, and its data."""


class SseDecoder:
    r"""Decode UTF-8, then lines (ended by LF, CR or CRLF only), then events.

    Comments and other fields are ignored, and so is an event without data unless it has a name.
    `too_large` becomes true, and stays so, where the data of an event, or a line, has more than
    `max_bytes`: nothing that follows is read or kept.

    >>> decoder = SseDecoder()
    >>> decoder.feed(b'data: {"message": "Ol'), decoder.feed(b'\xc3\xa1"}\n\n')
    ([], [('', '{"message": "Olá"}')])
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self.too_large = False
        self._max_bytes = sys.maxsize if max_bytes is None else max_bytes
        self._most_held = 0  # no more bytes are held of an unfinished event
        # An invalid byte becomes one U+FFFD; the standard removes a leading BOM.
        self._characters = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        text = self._characters.decode(chunk)
        if not text or self.too_large:
            return []
        found = self._read(self._lines.decode(text))
        self._most_held += len(chunk)
        return found if self._most_held <= self._max_bytes else self._limited(found)

    def flush(self) -> list[Event]:
        """Return the rest at the end of the stream: the last event may lack its blank line."""
        rest = self._characters.decode(b"", final=True)
        lines = self._lines.decode(rest) if rest else []
        return self._limited(self._read([*lines, *self._lines.flush(), ""]))

    def _read(self, lines: list[str]) -> list[Event]:
        found: list[Event] = []
        rest, events = iter(lines), self._events
        for line in rest:
            if line.startswith(_DATA) and not (events._data or events._event):
                following = next(rest, None)
                if following == "":  # the usual event, of one line
                    if data := line[len(_DATA) :]:
                        found.append(("", data))
                    continue
                events.decode(line)
                if following is None:
                    break
                line = following  # noqa: PLW2901  the next one
            event = events.decode(line)
            if event is None:
                continue
            name, data = event.event, event.data
            if name == _DEFAULT_NAME:
                name = ""
            if name or data:
                found.append((name, data))
        return found

    def _limited(self, found: list[Event]) -> list[Event]:
        """Return the data of events up to the first that is too large, and count what is held.

        That costs time only once for `max_bytes` that have arrived.
        """
        allowed = list(itertools.takewhile(lambda event: _size(event[1]) <= self._max_bytes, found))
        data, line = sum(map(_size, self._events._data)), sum(map(_size, self._lines.buffer))
        self._most_held = data + line
        if len(allowed) < len(found) or self._most_held > self._max_bytes + FIELD_NAME_BYTES:
            self.too_large = True
            self._lines, self._events = SSELineDecoder(), SSEDecoder()
        return allowed


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
