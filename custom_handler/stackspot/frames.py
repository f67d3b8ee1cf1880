"""Decodes the agent's stream (contract, sections 3 and 4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from ..errors import AgentFailed, StackspotError
from ..events import AgentEnd, Usage
from .agent_errors import frame_error
from .json_body import NestedTooDeepError, decode_json
from .private import Private
from .sources import SourceCollector
from .sse import Event, SseDecoder

# Each frame of an answer has at least one of these.
_ANSWER_FIELDS = frozenset({"message", "choices", "stop_reason", "tokens", "conversation_id", "message_id"})

_END_EVENTS = frozenset({"done", "end_event"})

logger = logging.getLogger(__name__)


class StreamDecoder:
    r"""Decode the bytes of one response into text; `end` and `sources` have what comes beside it.

    `ended` is True after `[DONE]` or an event that ends the stream.

    The body is a stream of SSE frames; an agent behind a gateway may send one JSON object instead,
    which is read like a frame. A frame of more than `max_frame_bytes` is an error. `private` is
    what an error must not repeat.

    >>> decoder = StreamDecoder()
    >>> decoder.feed(b'data: {"message": "Hel"}\n\ndata: {"message": "lo"}\n\ndata: {"mess')
    'Hello'
    """

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger] = logger,
        max_frame_bytes: int | None = None,
        private: Private | None = None,
    ) -> None:
        self.end = AgentEnd()
        self.sources = SourceCollector()
        self.null_message = False  # the last message was null
        self.ended = False
        self.failure: StackspotError | None = None  # followed the text of the last call
        self._log = log
        self._private = private
        self._max_frame_bytes = max_frame_bytes
        self._sse = SseDecoder(max_frame_bytes)
        self._body: bytearray | None = None
        self._started = False
        self._frames = 0
        self._high_surrogate = ""
        self._warned = False

    def feed(self, chunk: bytes) -> str:
        """Return the text of the frames that these bytes complete.

        Raises StackspotError for an error that the agent reports. Text or an end before it in the
        same bytes comes first; then `check` and the next call raise the error.
        """
        if not self._started and (head := chunk.lstrip(b"\xef\xbb\xbf \t\r\n")):
            self._started = True
            self._body = bytearray() if head.startswith(b"{") else None
        if self._body is not None:
            self.check()
            self._body += chunk
            if self._max_frame_bytes is not None and len(self._body) > self._max_frame_bytes:
                self._body.clear()
                self.failure = self._frame_too_large()
                self.check()
            return ""
        return self._read(self._sse.feed(chunk))

    def flush(self) -> str:
        """Return the rest at the end of the stream; raises AgentFailed where no frame arrived."""
        body = self._body
        text = self._read(self._sse.flush() if body is None else [("", body.decode("utf-8-sig", errors="replace"))])
        if not self._frames:
            raise _unreadable("The agent's answer holds no frame that can be read: check STACKSPOT_INFERENCE_URL.")
        return text + "\ufffd" if self._high_surrogate else text

    def check(self) -> None:
        """Raise the error that followed the text of the last call, if there was one."""
        if self.failure is not None:
            raise self.failure

    def _read(self, events: list[Event]) -> str:
        if self.failure is not None:
            raise self.failure
        text, end = "", self.end
        try:
            for name, data in events:
                self.ended = self.ended or data == "[DONE]" or name in _END_EVENTS
                if data != "[DONE]":
                    text += self._frame(name, data)
            if self._sse.too_large:
                raise self._frame_too_large()
        except StackspotError as failure:
            self.failure = failure
        if not text and self.end is end:
            self.check()
        return self._replace_surrogates(text) if text else ""

    def _frame(self, name: str, data: str) -> str:
        """Return a frame's text, and update `end`; raises the error that the frame reports."""
        frame = _decoded(data)
        text = _delta(frame) if isinstance(frame, dict) else ""
        if text and isinstance(frame, dict) and len(frame) == 1 and not name:  # the usual case
            self._frames += 1
            self.null_message = False
            return text
        if (failure := frame_error(data if frame is None else frame, name, self._private)) is not None:
            raise failure
        if not isinstance(frame, dict):
            if data:
                self._skip(len(data))
            return ""
        self._frames += not _ANSWER_FIELDS.isdisjoint(frame)
        if "message" in frame:
            self.null_message = frame["message"] is None
        self._update_end(frame)
        self.sources.add(frame)
        return text

    def _update_end(self, frame: Mapping[str, Any]) -> None:
        """Keep the last value of each field; a new `end` only where a frame has one."""
        reason, conversation = _string(frame.get("stop_reason")), _string(frame.get("conversation_id"))
        usage = _usage(frame.get("tokens"))
        if reason or usage or conversation:
            last = self.end
            self.end = AgentEnd(reason or last.stop_reason, usage or last.usage, conversation or last.conversation_id)

    def _replace_surrogates(self, text: str) -> str:
        """Join a surrogate pair that two frames share, and replace lone surrogates by U+FFFD."""
        text = self._high_surrogate + text
        self._high_surrogate = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return text.removesuffix(self._high_surrogate).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _frame_too_large(self) -> AgentFailed:
        return _unreadable(
            f"The agent sent a frame of more than {self._max_frame_bytes} bytes: ask for shorter pieces, "
            "or raise STACKSPOT_MAX_FRAME_BYTES."
        )

    def _skip(self, size: int) -> None:
        if not self._warned:
            self._log.warning("Skipped a frame of %d characters that is not a JSON object", size)
        self._warned = True


def _unreadable(message: str) -> AgentFailed:
    """Return an error that the same request would meet again."""
    error = AgentFailed(message)
    error.retryable = False
    return error


def _decoded(data: str) -> object:
    """Decode a frame, None for invalid JSON; orjson is faster, but rejects lone surrogates."""
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return decode_json(data)
        except NestedTooDeepError:
            raise _unreadable(
                "The agent sent a frame of JSON that is nested too deep to be read: try again, and check the agent."
            ) from None
        except ValueError:
            return None


def _delta(frame: Mapping[str, Any]) -> str:
    message = frame.get("message")
    if message is None and isinstance(choices := frame.get("choices"), list) and choices:
        try:
            message = choices[0]["delta"]["content"]
        except (KeyError, IndexError, TypeError):
            return ""
    return message if isinstance(message, str) else ""


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _usage(tokens: object) -> Usage | None:
    """Return the counts of `input` and `output`, or of `user`, `enrichment` and `output`.

    Nulls and numeric strings occur.
    """
    if not isinstance(tokens, Mapping):
        return None
    prompt = _count(tokens.get("input")) or _count(tokens.get("user")) + _count(tokens.get("enrichment"))
    completion = _count(tokens.get("output"))
    return Usage(prompt, completion) if prompt or completion else None


def _count(value: object) -> int:
    try:
        return max(int(value), 0)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError, OverflowError):
        return 0
