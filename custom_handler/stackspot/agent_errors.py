"""Errors of the agent: from an HTTP response, or from a frame within a 200 (contract, section 5).

A message has what failed, the platform's code, what to do, and what the platform says about it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..data_class import data_class
from ..errors import (
    AgentFailed,
    AgentForbidden,
    AgentNotFound,
    AgentRejected,
    AgentTimeout,
    ContentFiltered,
    CreditExhausted,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    StackspotError,
    TokenRefused,
    UploadUnknown,
)
from .json_body import decode_json
from .private import Private
from .refusals import is_content_filter, is_credit_exhausted, is_request_limit, overflow, request_window

DEFAULT_RETRY_AFTER = 10.0
MINUTES_TO_WAIT = 60  # a call does not wait for the end of a longer window

_BY_STATUS: Mapping[int, tuple[type[StackspotError], str]] = {
    401: (TokenRefused, "The agent refuses a fresh token{code}: check that CLIENT_ID may use this agent."),
    403: (
        AgentForbidden,
        "The agent is not shared with this account{code}: check its id, and share it in the portal.",
    ),
    404: (AgentNotFound, "There is no such agent{code}: check GENAI_AGENT_ID or the model's agent id."),
    408: (AgentTimeout, "The platform's gateway gave the agent up{code}: try again, or ask for less at once."),
}
# With another status the vendors' words for a long prompt or a content filter mean something else.
_NOT_THE_PROMPT = frozenset({401, 402, 404, 408, 429})
_UPLOAD = re.compile(r"\bupload", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,79}")
_PLATFORM_CODE = re.compile(r"[A-Z][A-Z0-9]*_\d{3,5}(?:_[A-Z0-9_]+)?")
_RATE_LIMIT = re.compile(r"RATE_?LIMIT|TOO_?MANY_?REQUESTS")
_ERROR_WORDS = frozenset({"error", "exception", "failure", "failed"})
# Where responses have the text of an error, the most precise first.
_TEXT_FIELDS = (
    "details", "detail", "message", "msg", "error_description", "error_message", "errorMessage", "reason", "title",
    "error", "errors", "innererror",
)  # fmt: skip
_STATUS_FIELDS = ("status", "statusCode", "status_code", "http_status", "code")
_REQUEST_FIELDS = frozenset({"input", "user_prompt", "prompt", "messages", "content", "request", "body"})  # may echo it
_MAX_DEPTH, _MAX_LEAVES = 6, 60


@data_class
class Refusal:
    """What a response or a frame says: its `code`, the `details`, and `text`, all of its words."""

    code: str
    details: str
    text: str

    @classmethod
    def read(cls, body: object) -> Refusal:
        """Read JSON, JSON within a text, or a text; `code` is empty unless it looks like one."""
        body = _decoded(body)
        details = "" if isinstance(body, list) and not any(isinstance(one, Mapping) for one in body) else _details(body)
        return cls(_code(body), details, "\n".join((details, *itertools.islice(_leaves(body), _MAX_LEAVES))))


def error_from_response(
    status: int | None,
    body: object,
    headers: Mapping[str, str],
    *,
    with_files: bool = False,
    private: Private | None = None,
    options: Sequence[str] = (),
) -> StackspotError:
    """Return the error for a response; `body` is JSON or text, `headers` have lower-case names.

    `status` is None for an error within a 200 that names no status. `with_files`: the request had
    uploads; the error for an unknown one is not documented. `private` is what the message must not
    repeat. `options` of `model_info` added fields to the request; the error may be about them.
    """
    from .quote import quote  # noqa: PLC0415  its patterns, of which most calls need none

    refusal = Refusal.read(body)
    error = _error(status, refusal, headers, f" ({code})" if (code := quote(refusal.code, private)) else "")
    if with_files and isinstance(error, AgentRejected | AgentNotFound) and _UPLOAD.search(refusal.text):
        error = UploadUnknown(
            f"The agent does not know a file that was uploaded for it ({status}): send the request again."
        )
    if options and type(error) in {AgentRejected, AgentNotFound}:
        error.message += f" It may not know what model_info.{', model_info.'.join(options)} asks for: try without."
        error.args = (error.message,)
    return with_quote(error, refusal.details, private)


def with_quote(error: StackspotError, said: str, private: Private | None) -> StackspotError:
    """Add to the error's message what the platform says, without what is private."""
    from .quote import quote  # noqa: PLC0415  as above

    if quoted := quote(said, private):
        error.message = f'{error.message} The platform says: "{quoted}"'
        error.args = (error.message,)
    return error


def _error(status: int | None, refusal: Refusal, headers: Mapping[str, str], code: str) -> StackspotError:
    if status == 402 or is_credit_exhausted(refusal.text):
        return CreditExhausted(
            f"The StackSpot account has no credit left{code}: its holder can add some in the portal."
        )
    if status == 429 or _RATE_LIMIT.search(refusal.code.upper()) or is_request_limit(refusal.text):
        return _limit_error(refusal, headers, code)
    if status not in _NOT_THE_PROMPT and (error := _prompt_error(status, refusal.text, code)) is not None:
        return error
    return _by_status(status, code, retry_after(headers))


def _prompt_error(status: int | None, text: str, code: str) -> StackspotError | None:
    """Return the error for a prompt that is too long or was filtered, else None."""
    if (found := overflow(text)) is not None or status == 413:
        limit, actual = (None, None) if found is None else (found.limit, found.prompt)
        counts = f": {actual} tokens, the limit is {limit}" if limit and actual else ""
        return PromptTooLong(
            f"The conversation is too long for the agent's model{code}{counts}. Shorten it.", limit=limit, actual=actual
        )
    return content_filtered(code) if is_content_filter(text) else None


def content_filtered(code: str = "") -> ContentFiltered:
    """Return the error of an answer that a content filter blocked before its first text."""
    return ContentFiltered(f"The content filter of the agent's model blocked this request{code}: rephrase it.")


def _limit_error(refusal: Refusal, headers: Mapping[str, str], code: str) -> RateLimited:
    window = request_window(refusal.text)
    if window is None or window.minutes <= MINUTES_TO_WAIT:
        seconds = 60.0 * window.minutes if window is not None and window.minutes > 1 else None
        return rate_limited(retry_after(headers) or seconds, code)
    # The window slides: all of its requests are free after it, at the latest.
    return QuotaExhausted(
        f"The StackSpot account's limit of {window.requests} requests in {window.minutes} minutes is reached{code}: "
        "use another model, or have the limit raised.",
        retry_after=retry_after(headers, most=math.inf) or 60.0 * window.minutes,
    )


def rate_limited(wait: float | None, code: str = "") -> RateLimited:
    """Return the error of a 429 with `Retry-After: wait` (None: without it)."""
    wait = wait or DEFAULT_RETRY_AFTER
    return RateLimited(
        f"The StackSpot account's requests are used up{code}: try again in {math.ceil(wait)} s.", retry_after=wait
    )


def _by_status(status: int | None, code: str, wait: float | None) -> StackspotError:
    if status is None:
        return AgentFailed(f"The agent reports an error in its answer{code}: try again.")
    if status in _BY_STATUS:
        kind, message = _BY_STATUS[status]
        return kind(message.format(code=code))
    if status < 500:
        return AgentRejected(f"The agent refuses the request with HTTP {status}{code}.")
    forwarded = status if status in {500, 502, 503, 504} else 502
    return AgentFailed(
        f"The agent's side failed with HTTP {status}{code}: try again.", status_code=forwarded, retry_after=wait
    )


def retry_after(headers: Mapping[str, str], most: float = 3600.0) -> float | None:
    """Return the seconds of the header Retry-After, None where it is missing or a date."""
    try:
        return min(max(1.0, float(headers.get("retry-after", ""))), most)
    except ValueError:
        return None


def frame_error(frame: object, event: str = "", private: Private | None = None) -> StackspotError | None:
    """Return the error that a frame of a 200 reports, else None.

    `frame` is JSON or a text, `event` is the event's name. The `message` of an error is its text.
    """
    if event.lower().removesuffix("_event") not in _ERROR_WORDS and not (
        isinstance(frame, Mapping) and _is_error(frame)
    ):
        return None
    return error_from_response(_status(frame), frame, {}, private=private)


def _is_error(frame: Mapping[str, Any]) -> bool:
    """Return whether a frame reports an error; none was captured (platform contract, section 6)."""
    if frame.get("error") or frame.get("errors") or _status(frame) is not None:
        return True
    if any(str(frame.get(name)).lower() in _ERROR_WORDS for name in ("type", "object", "event", "status")):
        return True
    code, details = _string(frame.get("code")), frame.get("details") or frame.get("detail")
    if code and (details or (not frame.get("message") and _PLATFORM_CODE.fullmatch(code))):
        return True
    return "message" not in frame and "choices" not in frame and bool(code or details or frame.get("errorMessage"))


def _status(frame: object) -> int | None:
    """Return the HTTP status of an error that a frame names, else None."""
    if not isinstance(frame, Mapping):
        return None
    error = frame.get("error")
    found = [frame.get(name) for name in _STATUS_FIELDS] + [
        error.get(name) for name in _STATUS_FIELDS if isinstance(error, Mapping)
    ]
    return next((one for one in found if type(one) is int and 400 <= one <= 599), None)


def _decoded(value: object) -> object:
    """Return the JSON of a text that holds an object or a list, and any other value unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        with contextlib.suppress(ValueError):
            return decode_json(value)
    return value


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _code(body: object) -> str:
    """Return the first code of a body: its own, or that of an error within it."""
    if not isinstance(body, Mapping):
        return ""
    error = body.get("error")
    within = [error.get("code"), error.get("type")] if isinstance(error, Mapping) else []
    codes = (_string(one) for one in (body.get("code"), *within, body.get("type")))
    return next((one for one in codes if _CODE.fullmatch(one) and one.lower() not in _ERROR_WORDS), "")


def _details(value: object, depth: int = 0) -> str:
    """Return the text of an error: of the first field that has one."""
    value = _decoded(value)
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, Mapping):
        texts = (_details(value.get(name), depth + 1) for name in _TEXT_FIELDS)
        text = next((one for one in texts if one.strip()), "")
        place = value.get("loc")  # FastAPI's
        return f"{'.'.join(map(str, place))}: {text}" if text and isinstance(place, list) else text
    if isinstance(value, list):
        return "; ".join(filter(None, (_details(one, depth + 1) for one in value[:5])))
    return ""


def _leaves(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the texts in a body, but for fields that may repeat the request."""
    value = _decoded(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _MAX_DEPTH:
        for name, item in value.items():
            if name not in _REQUEST_FIELDS:
                yield from _leaves(item, depth + 1)
    elif isinstance(value, list) and depth < _MAX_DEPTH:
        for item in value:
            yield from _leaves(item, depth + 1)
