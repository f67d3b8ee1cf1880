"""Remove tracebacks and file paths from error bodies, and convert some to the protocol's form.

LiteLLM includes them in the messages of unexpected errors, and in the report of `/health`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from litellm.anthropic_interface.exceptions.exception_mapping_utils import AnthropicExceptionMapping

from ..error_body import error_body, error_kind
from ..validation.reserved_fields import MESSAGE as RESERVED_FIELD

NO_DATABASE = "This route needs a database, which this proxy does not have: set DATABASE_URL."
MESSAGE = "Internal error of the proxy: its log has the details."

_TRACEBACK = re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL)
_ADDRESS_FIELDS = {"api_base", "raw_request_typed_dict"}
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b[\w-]+(?:\.[\w-]+)*:\d{2,5}\b"
)
_PATH = re.compile(r"(?<![\w/])/(?:[\w.@-]+/)+[\w.@-]+")
_MAX_REPORT_LENGTH = 500
_ANTHROPIC = ("/v1/messages", "/v1/messages/count_tokens")
# LiteLLM has the status in the field `code` of these.
_OPENAI_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
}
_CLASS = re.compile(rf"(?:litellm\.\w+: )*?litellm\.({'|'.join(_OPENAI_CODES)})\b")
GOOGLE_STREAM = ":streamGenerateContent"
OWN_ERROR_EVENTS = (GOOGLE_STREAM, "/v1/messages")
_GEMINI = (":generateContent", GOOGLE_STREAM, ":countTokens")
_OPENAI_CALLS = ("/chat/completions", "/completions", "/embeddings", "/responses")
_MODEL_CALLS = (*_ANTHROPIC, *_GEMINI, *_OPENAI_CALLS)
_OPENAI_OBJECTS = re.compile(r"(?:/openai)?(?:/v1)?/(?:models|responses)(?:/.*)?")
# google.rpc.Code by HTTP status, https://ai.google.dev/gemini-api/docs/troubleshooting
_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ERROR_EVENT = b'data: {"error"'
_HEALTH = ("/health/", "/health")
# LiteLLM refuses some fields of a body while it checks the key, with a 401.
_REFUSED_FIELD = re.compile(r"Rejected Request: (\S+) (?:is not allowed|is a server-owned|holds a secret)")
# LiteLLM's 500 for a route that it cannot serve without a database.
_NO_DATABASE = re.compile(rb"(?:DB|Database) not connected", re.IGNORECASE)
_INTERNAL = re.compile(r"File \\?\"|site-packages|/[\w.-]+\.py\b|validation errors? for \w+|input_value=")


def is_health_report(path: str) -> bool:
    """Return whether a path is `/health`, whose report contains errors with status 200 too."""
    return path in _HEALTH


def rewrite(status: int, body: bytes, path: str) -> tuple[int, bytes]:
    """Return status and body for the client, of an error or of a report (below 400)."""
    if status < 400:
        return status, clean_report(body) if is_health_report(path) else body
    # In the error of a model call, these are the words of its provider.
    if status == 500 and not path.endswith(_MODEL_CALLS) and _NO_DATABASE.search(body):
        return 404, protocol_error(404, NO_DATABASE, path)
    if name := refused_field(status, body):
        status, body = 400, json.dumps(error_body(RESERVED_FIELD.format(name), 400, param=name)).encode()
    return status, remove_internals(as_error_object(status, body, path))


def refused_field(status: int, body: bytes) -> str | None:
    """Return the field for which LiteLLM refuses a request as if its key were wrong, else None.

    >>> refused_field(401, b'{"error": {"message": "Rejected Request: rpm is not allowed here"}}')
    'rpm'
    """
    found = _REFUSED_FIELD.search(body.decode("utf-8", errors="replace")) if status == 401 else None
    return found and found[1]


def protocol_error(status: int, message: str, path: str) -> bytes:
    """Return the body of an error in the form of the protocol that a path belongs to."""
    if path.endswith(_ANTHROPIC):
        return json.dumps(AnthropicExceptionMapping.create_error_response(status, message)).encode()
    if path.endswith(_GEMINI):
        return json.dumps(_google_error(status, message)).encode()
    return json.dumps(error_body(message, status, error_kind(status), param=None)).encode()


def _google_error(status: int, message: str, code: object = None) -> dict[str, Any]:
    """Return Google's error object; a `code` of the proxy, as `model_disabled`, is its reason."""
    error: dict[str, Any] = {"code": status, "message": message, "status": _GOOGLE_STATUS.get(status, "UNKNOWN")}
    if found := _CLASS.match(message):
        code = _OPENAI_CODES[found[1]]
    if isinstance(code, str) and not code.isdecimal():
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "litellm"}
        error["details"] = [info]
    return {"error": error}


def protocol_events(events: bytes, path: str) -> bytes:
    """Return events of a stream with OpenAI's errors in the form of Google's or Anthropic's path.

    Google's SDK compares `code` with numbers, so LiteLLM's text is a TypeError there. Anthropic's
    skips events without a name: a failure after a keepalive would be an empty answer.

    >>> protocol_events(b'data: {"error": {"message": "x", "code": "502"}}', GOOGLE_STREAM)
    b'data: {"error": {"code": 502, "message": "x", "status": "UNAVAILABLE"}}'
    """
    if _ERROR_EVENT not in events:
        return events
    return b"\n".join(_error_event(line, path) for line in events.split(b"\n"))


def _error_event(line: bytes, path: str) -> bytes:
    if not line.startswith(_ERROR_EVENT):
        return line
    try:
        match json.loads(line.partition(b":")[2]):
            case {"error": {"message": str(message), "code": str(code)}}:
                status = int(code) if code.isdecimal() else 400  # a code in words stands for a 400
                if path.endswith(_ANTHROPIC):
                    return b"event: error\ndata: " + protocol_error(status, message, path)
                return b"data: " + json.dumps(_google_error(status, message, code)).encode()
    except ValueError:
        pass
    return line


def remove_internals(body: bytes) -> bytes:
    """Return an error body without tracebacks and file paths, which belong in the log only.

    >>> remove_internals(b'{"error": {"message": "no key, see /app/auth.py"}}')
    b'{"error": {"message": "Internal error of the proxy: its log has the details."}}'
    """
    if not (_TRACEBACK.search(text := body.decode("utf-8", errors="replace")) or _INTERNAL.search(text)):
        return body
    try:
        return json.dumps(_without_internals(json.loads(text)), ensure_ascii=False).encode()
    except ValueError:
        return MESSAGE.encode()


def as_error_object(status: int, body: bytes, path: str = "") -> bytes:
    """Return the protocol's error object for bodies that LiteLLM sends in another form.

    These are an invalid key on `/metrics` (a bare string), an unknown model on
    `GET /v1/models/{id}` (`detail`), errors of `/v1/messages` before its own code runs, such as
    an invalid key (OpenAI's form), all of Gemini's routes (OpenAI's form), and `detail` where a
    model is called. A prompt that is too long or was filtered gets OpenAI's code, an error of
    `/v1/completions` its type. Other bodies are returned unchanged.
    """
    try:
        content = json.loads(body)
    except ValueError:
        return body
    match status, content:
        case 401, str(message):
            error = error_body(message, 401, "auth_error", param=None)
        case 404, {"detail": str(message)} if message.startswith(("The model `", "Model '")):
            error = error_body(message, "model_not_found", param="model")
        case _, {"error": {"message": str(message)}, **rest} if not rest and path.endswith(_ANTHROPIC):
            return json.dumps(AnthropicExceptionMapping.create_error_response(status, message)).encode()
        case _, {"type": "error", "error": {"provider_specific_fields": _, **kept}} if path.endswith(_ANTHROPIC):
            error = {**content, "error": kept}  # the message once more
        case _, {"error": {"message": str(message), "type": _, "code": code}} if path.endswith(_GEMINI):
            error = _google_error(status, message, code)
        case _, {"detail": str(message) | {"error": str(message)}} if _has_error_object(path):
            return protocol_error(status, message, path)
        case 422, {"detail": list(details)} if _has_error_object(path):
            return protocol_error(status, "; ".join(map(_validation_message, details)), path)
        case _, {"error": {"message": str(message), "code": code, "type": kind}} if path.endswith(_OPENAI_CALLS):
            found = _CLASS.match(message) if status == 400 else None
            code = _OPENAI_CODES[found[1]] if found and code == "400" else code
            error = {"error": {**content["error"], "type": kind or error_kind(status), "code": code}}
        case _:
            return body
    return json.dumps(error, ensure_ascii=False).encode()


def _has_error_object(path: str) -> bool:
    return path.endswith(_MODEL_CALLS) or _OPENAI_OBJECTS.fullmatch(path) is not None


def _validation_message(detail: Any) -> str:
    """Return what is wrong with a parameter, without its value.

    >>> _validation_message({"loc": ["query", "n"], "msg": "Field required", "input": "x"})
    'query.n: Field required'
    """
    match detail:
        case {"loc": list(names), "msg": str(message)}:
            return f"{'.'.join(map(str, names))}: {message}"
        case _:
            return "The request is invalid."


def _without_internals(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_internals(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_internals(item) for item in value]
    if not isinstance(value, str):
        return value
    text = _TRACEBACK.sub("", value)
    return MESSAGE if _INTERNAL.search(text) else text


def clean_report(body: bytes) -> bytes:
    """Return a report of `/health` without tracebacks, file paths and addresses."""
    try:
        return json.dumps(_without_addresses(json.loads(body)), ensure_ascii=False).encode()
    except ValueError:
        return body


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_addresses(item) for name, item in value.items() if name not in _ADDRESS_FIELDS}
    if isinstance(value, list):
        return [_without_addresses(item) for item in value]
    if not isinstance(value, str):
        return value
    text = _ADDRESS.sub("(address left out)", _TRACEBACK.sub("", value.split("\nstack trace:")[0]))
    return _PATH.sub("(path left out)", text).strip()[:_MAX_REPORT_LENGTH]
