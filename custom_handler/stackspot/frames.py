"""Decodes the agent's stream and its error responses (contract, sections 3 to 5)."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..errors import (
    AgentFailed,
    AgentForbidden,
    AgentNotFound,
    AgentRejected,
    AgentTimeout,
    CreditExhausted,
    PromptTooLong,
    RateLimited,
    StackspotError,
    TokenRefused,
    UploadUnknown,
)
from ..events import AgentEnd, AgentEvent, Text, Usage
from .sse import SseDecoder

DEFAULT_RETRY_AFTER = 10.0

_BY_STATUS: Mapping[int, tuple[type[StackspotError], str]] = {
    401: (TokenRefused, "The agent refuses a fresh token{suffix}: check that CLIENT_ID may use this agent."),
    403: (
        AgentForbidden,
        "The agent is not shared with this account{suffix}: check its id, and share it in the portal.",
    ),
    404: (AgentNotFound, "There is no such agent{suffix}: check GENAI_AGENT_ID or the model's agent id."),
    408: (AgentTimeout, "The platform's gateway gave the agent up{suffix}: try again, or ask for less at once."),
    413: (PromptTooLong, "The conversation is too long for the agent{suffix}. Shorten it."),
}
_UPLOAD = re.compile(r"\bupload", re.IGNORECASE)
_TOKEN_LIMIT = re.compile(r"limit of (\d+) tokens.*?resulted in (\d+) tokens", re.DOTALL)

logger = logging.getLogger(__name__)


class StreamDecoder:
    r"""Decode the bytes of one response into events.

    The body is a stream of SSE frames; an agent behind a gateway may send one JSON object instead,
    which is read like a frame.

    >>> decoder = StreamDecoder()
    >>> decoder.feed(b'data: {"message": "Hel"}\n\ndata: {"message": "lo"}\n\ndata: {"mess')
    [Text(text='Hello')]
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger] = logger) -> None:
        self._log = log
        self._sse = SseDecoder()
        self._body: list[bytes] | None = None
        self._started = False
        self._frames = 0
        self._high_surrogate = ""
        self._failure: StackspotError | None = None
        self._warned = False

    def feed(self, chunk: bytes) -> list[AgentEvent]:
        """Return the events that these bytes complete, their texts joined.

        Raises StackspotError for an error that the agent reports. Text before it in the same bytes
        is returned first; then `check` and the next call raise the error.
        """
        if not self._started and (head := chunk.lstrip(b"\xef\xbb\xbf \t\r\n")):
            self._started = True
            self._body = [] if head.startswith(b"{") else None
        if self._body is not None:
            self._body.append(chunk)
            return []
        return self._read(self._sse.feed(chunk))

    def flush(self) -> list[AgentEvent]:
        """Return the rest at the end of the stream; raises AgentFailed where no frame arrived."""
        if self._body is not None:
            events = self._read([b"".join(self._body).decode("utf-8-sig", errors="replace")])
        else:
            events = self._read(self._sse.flush())
        if not self._frames:
            raise AgentFailed("The agent's answer holds no frame that can be read: check STACKSPOT_INFERENCE_URL.")
        return [*events, Text("\ufffd")] if self._high_surrogate else events

    def check(self) -> None:
        """Raise the error that followed the events of the last call, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _read(self, frames: list[str]) -> list[AgentEvent]:
        self.check()
        events: list[AgentEvent] = []
        try:
            for data in frames:
                if data != "[DONE]":
                    events += self._frame(data)
        except StackspotError as failure:
            self._failure = failure
        if not events:
            self.check()
        return self._join_texts(events)

    def _frame(self, data: str) -> list[AgentEvent]:
        frame = _decoded(data)
        if not isinstance(frame, dict):
            self._skip(len(data))
            return []
        self._frames += 1
        if (failure := frame_error(frame)) is not None:
            raise failure
        return read_frame(frame)

    def _join_texts(self, events: list[AgentEvent]) -> list[AgentEvent]:
        text = "".join([event.text for event in events if isinstance(event, Text)])
        ends: list[AgentEvent] = [event for event in events if isinstance(event, AgentEnd)]
        return [self._as_text(text), *ends] if text else ends

    def _as_text(self, text: str) -> Text:
        """Join a surrogate pair that two frames share, and replace lone surrogates by U+FFFD."""
        text = self._high_surrogate + text
        self._high_surrogate = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return Text(
            text.removesuffix(self._high_surrogate).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )

    def _skip(self, size: int) -> None:
        if not self._warned:
            self._log.warning("Skipped a frame of %d characters that is not a JSON object", size)
        self._warned = True


def _decoded(data: str) -> object:
    """Decode a frame, None for invalid JSON; orjson is faster, but rejects lone surrogates."""
    try:
        return orjson.loads(data)
    except ValueError:
        with contextlib.suppress(ValueError):
            return json.loads(data)
    return None


def read_frame(frame: Mapping[str, Any]) -> list[AgentEvent]:
    """Return a frame's text, and AgentEnd where it has a stop reason, token counts or an id."""
    text = _delta(frame)
    events: list[AgentEvent] = [Text(text)] if text else []
    if events and len(frame) == 1:  # the usual case
        return events
    end = AgentEnd(
        stop_reason=_string(frame.get("stop_reason")),
        usage=_usage(frame.get("tokens")),
        message_id=_string(frame.get("message_id")),
        conversation_id=_string(frame.get("conversation_id")),
    )
    return [*events, end] if end != AgentEnd() else events


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


def frame_error(frame: Mapping[str, Any]) -> StackspotError | None:
    """Return the error that a frame of a 200 reports, else None."""
    if error := frame.get("error"):
        details = error if isinstance(error, Mapping) else {"details": error}
        return error_from_response(502, {**details, "details": details.get("details") or details.get("message")}, {})
    if "message" not in frame and "choices" not in frame and (frame.get("code") or frame.get("details")):
        return error_from_response(502, frame, {})
    return None


def error_from_response(
    status: int, body: object, headers: Mapping[str, str], *, with_files: bool = False
) -> StackspotError:
    """Return the error for a response; `body` is JSON or text, `headers` have lower-case names.

    `with_files`: the request had uploads; the error for an unknown one is not documented.
    """
    code, details = _code_and_details(body)
    suffix = f" ({code})" if code else ""
    if "CREDIT LIMIT" in details.upper():
        return CreditExhausted("The StackSpot account has no credit left: its holder can add some in the portal.")
    if status == 429 or "RATE_LIMIT" in code:
        return rate_limited(retry_after(headers), suffix)
    if (found := _TOKEN_LIMIT.search(details)) is not None:
        limit, actual = int(found[1]), int(found[2])
        return PromptTooLong(
            f"The conversation is too long for the agent's model: {actual} tokens, the limit is {limit}. Shorten it.",
            limit=limit,
            actual=actual,
        )
    if with_files and status in {400, 404, 410, 422} and _UPLOAD.search(details):
        return UploadUnknown(
            f"The agent does not know a file that was uploaded for it{suffix}: send the request again."
        )
    return _by_status(status, suffix, retry_after(headers))


def rate_limited(wait: float | None, suffix: str = "") -> RateLimited:
    """Return the error of a 429 with `Retry-After: wait` (None: without it)."""
    wait = wait or DEFAULT_RETRY_AFTER
    return RateLimited(
        f"The StackSpot account's requests are used up{suffix}: try again in {math.ceil(wait)} s.", retry_after=wait
    )


def _by_status(status: int, suffix: str, wait: float | None) -> StackspotError:
    if status in _BY_STATUS:
        kind, message = _BY_STATUS[status]
        return kind(message.format(suffix=suffix))
    if status < 500:
        return AgentRejected(f"The agent refuses the request with HTTP {status}{suffix}.")
    forwarded = status if status in {500, 502, 503, 504} else 502
    return AgentFailed(
        f"The agent's side failed with HTTP {status}{suffix}: try again.", status_code=forwarded, retry_after=wait
    )


def _code_and_details(body: object) -> tuple[str, str]:
    if not isinstance(body, Mapping):
        return "", str(body or "")
    code = body.get("code") or body.get("type") or ""
    # Clients see the code, so any other text is dropped.
    code = code if isinstance(code, str) and re.fullmatch(r"[A-Z0-9_]{3,80}", code) else ""
    return code, str(body.get("details") or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of the header Retry-After; None where it is missing or a date."""
    try:
        return min(max(1.0, float(headers.get("retry-after", ""))), 3600.0)
    except ValueError:
        return None
