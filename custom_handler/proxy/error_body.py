"""Build OpenAI's error object, and LiteLLM's exception for an invalid request."""

from __future__ import annotations

from typing import Any

from litellm.proxy._types import ProxyException


def error_body(
    message: str, status: int | str, kind: str | None = "invalid_request_error", **more: Any
) -> dict[str, Any]:
    """Return the body of an error response.

    >>> error_body("Too large.", 413)
    {'error': {'message': 'Too large.', 'type': 'invalid_request_error', 'code': '413'}}
    """
    return {"error": {"message": message, "type": kind, **more, "code": str(status)}}


def error_kind(status: int) -> str:
    """Return OpenAI's `type` of an error.

    >>> error_kind(502)
    'internal_server_error'
    """
    if status >= 500:
        return "internal_server_error"
    return "permission_error" if status == 403 else "invalid_request_error"


def invalid_request(message: str, param: str | None = None) -> ProxyException:
    """Return the proxy's exception for a 400; `param` is the path of the invalid field."""
    return ProxyException(message=message, type="invalid_request_error", param=param, code=400)
