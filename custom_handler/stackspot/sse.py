"""Server-sent events out of bytes: `feed` takes what the network gives, however it is cut, and returns the events' data."""

from __future__ import annotations

import codecs

from httpx_sse._decoders import SSEDecoder, SSELineDecoder


class SseDecoder:
    """Decodes UTF-8, lines (LF, CR, CRLF and nothing else) and events; comments and fields other than data are skipped."""

    def __init__(self) -> None:
        # A stray byte costs one U+FFFD, not the answer; the standard wants a leading BOM removed.
        self._characters = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that are complete by now."""
        text = self._characters.decode(chunk)
        return self._data(self._lines.decode(text)) if text else []

    def flush(self) -> list[str]:
        """Return what is left at the end of the stream: the agent's last event may lack its blank line."""
        rest = self._characters.decode(b"", final=True)
        lines = self._lines.decode(rest) if rest else []
        return self._data([*lines, *self._lines.flush(), ""])

    def _data(self, lines: list[str]) -> list[str]:
        events = (self._events.decode(line) for line in lines)
        return [event.data for event in events if event is not None and event.data]
