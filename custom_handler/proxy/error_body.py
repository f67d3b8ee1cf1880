"""Build the error object of OpenAI's API."""

from __future__ import annotations

from typing import Any


def error_object(
    message: str, status: int | str, kind: str | None = "invalid_request_error", **more: Any
) -> dict[str, Any]:
    """Return the content of `error`.

    >>> error_object("Too large.", 413)
    {'message': 'Too large.', 'type': 'invalid_request_error', 'code': '413'}
    """
    return {"message": message, "type": kind, **more, "code": str(status)}


def error_body(
    message: str, status: int | str, kind: str | None = "invalid_request_error", **more: Any
) -> dict[str, Any]:
    """Return the body of an error response."""
    return {"error": error_object(message, status, kind, **more)}
