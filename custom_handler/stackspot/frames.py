"""Decodes the agent's stream and its error responses (contract, sections 3 to 5)."""

from __future__ import annotations

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
from ..events import AgentEnd, Usage
from .json_body import NestedTooDeepError, decode_json
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
    r"""Decode the bytes of one response into text; `end` has what the agent reported beside it.

    The body is a stream of SSE frames; an agent behind a gateway may send one JSON object instead,
    which is read like a frame. A frame of more than `max_frame_bytes` is an error.

    >>> decoder = StreamDecoder()
    >>> decoder.feed(b'data: {"message": "Hel"}\n\ndata: {"message": "lo"}\n\ndata: {"mess')
    'Hello'
    """

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger] = logger,
        max_frame_bytes: int | None = None,
    ) -> None:
        self.end = AgentEnd()
        self._log = log
        self._max_frame_bytes = max_frame_bytes
        self._sse = SseDecoder(max_frame_bytes)
        self._body: bytearray | None = None
        self._started = False
        self._frames = 0
        self._high_surrogate = ""
        self._failure: StackspotError | None = None
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
                self._failure = self._frame_too_large()
                self.check()
            return ""
        return self._read(self._sse.feed(chunk))

    def flush(self) -> str:
        """Return the rest at the end of the stream; raises AgentFailed where no frame arrived."""
        body = self._body
        text = self._read(self._sse.flush() if body is None else [body.decode("utf-8-sig", errors="replace")])
        if not self._frames:
            raise AgentFailed("The agent's answer holds no frame that can be read: check STACKSPOT_INFERENCE_URL.")
        return text + "\ufffd" if self._high_surrogate else text

    def check(self) -> None:
        """Raise the error that followed the text of the last call, if there was one."""
        if self._failure is not None:
            raise self._failure

    def _read(self, frames: list[str]) -> str:
        self.check()
        text, end = "", self.end
        try:
            for data in frames:
                if data != "[DONE]":
                    text += self._frame(data)
            if self._sse.too_large:
                raise self._frame_too_large()
        except StackspotError as failure:
            self._failure = failure
        if not text and self.end is end:
            self.check()
        return self._replace_surrogates(text) if text else ""

    def _frame(self, data: str) -> str:
        """Return a frame's text, and update `end`; raises the error that the frame reports."""
        frame = _decoded(data)
        if not isinstance(frame, dict):
            self._skip(len(data))
            return ""
        self._frames += 1
        text = _delta(frame)
        if text and len(frame) == 1:  # the usual case
            return text
        if (failure := frame_error(frame)) is not None:
            raise failure
        self._update_end(frame)
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
        return AgentFailed(
            f"The agent sent a frame of more than {self._max_frame_bytes} bytes: ask for shorter pieces, "
            "or raise STACKSPOT_MAX_FRAME_BYTES."
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
        try:
            return decode_json(data)
        except NestedTooDeepError:
            raise AgentFailed(
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
