"""Removes tracebacks, and paths of this machine, from the bodies of errors.

LiteLLM puts some into the message of an unexpected error, and into the report of `/health`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from litellm.anthropic_interface.exceptions.exception_mapping_utils import AnthropicExceptionMapping

from ..error_body import error_body

MESSAGE = "The gateway failed in a way it should not: its log has the details."

_TRACEBACK = re.compile(r"\s*Traceback \(most recent call last\).*", re.DOTALL)
_PLACES = {"api_base", "raw_request_typed_dict"}
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b[\w-]+(?:\.[\w-]+)*:\d{2,5}\b"
)
_PATH = re.compile(r"(?<![\w/])/(?:[\w.@-]+/)+[\w.@-]+")
_LONGEST_REPORT = 500
_ANTHROPIC = ("/v1/messages", "/v1/messages/count_tokens")
_HEALTH = ("/health/", "/health")
_INTERNAL = re.compile(r"File \\?\"|site-packages|/[\w.-]+\.py\b|validation errors? for \w+|input_value=")


def is_report(path: str) -> bool:
    """Return whether a path is that of the health report, which names errors in a 200 too."""
    return path in _HEALTH


def rewritten(status: int, body: bytes, path: str) -> bytes:
    """Return a complete error body, or health report, as clients may see it."""
    return reported(body) if status < 400 else remove_internals(as_error_object(status, body, path))


def remove_internals(body: bytes) -> bytes:
    """Return an error's JSON body without what only the log should have; any other body as it is."""
    if not (_TRACEBACK.search(text := body.decode("utf-8", errors="replace")) or _INTERNAL.search(text)):
        return body
    try:
        return json.dumps(_without_internals(json.loads(text)), ensure_ascii=False).encode()
    except ValueError:
        return MESSAGE.encode()


def as_error_object(status: int, body: bytes, path: str = "") -> bytes:
    """Return the protocol's error object for the errors of LiteLLM's that have another shape; any other body as it is.

    They are a refused key on `/metrics`, which is a bare string, a model that `GET /v1/models/{id}` does not find, and what
    `/v1/messages` refuses before its own code runs, such as a key, which has OpenAI's shape.
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
        case _:
            return body
    return json.dumps(error).encode()


def _without_internals(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_internals(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_internals(item) for item in value]
    if not isinstance(value, str):
        return value
    shown = _TRACEBACK.sub("", value)
    return MESSAGE if _INTERNAL.search(shown) else shown


def reported(body: bytes) -> bytes:
    """Return a report of `/health` with the class and the message of each error, without tracebacks, paths and addresses."""
    try:
        return json.dumps(_without_places(json.loads(body)), ensure_ascii=False).encode()
    except ValueError:
        return body


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_places(item) for name, item in value.items() if name not in _PLACES}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if not isinstance(value, str):
        return value
    shown = _ADDRESS.sub("(address left out)", _TRACEBACK.sub("", value.split("\nstack trace:")[0]))
    return _PATH.sub("(path left out)", shown).strip()[:_LONGEST_REPORT]
