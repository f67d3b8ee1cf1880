"""Validate the body of a request as soon as its key is known.

LiteLLM reads some fields before its callbacks may validate them, and calls none of them on the
routes that count tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...request.context import current_request
from .content_limits import limit_content
from .field_types import body_of_route, validate_field_types
from .reserved_fields import reject_reserved_fields
from .shapes import Shape


def validate_received() -> None:
    """Raise the proxy's error (400) for an invalid body, if the request is of a protocol."""
    request = current_request()
    if request is None or (shape := body_of_route(request.scope.get("path", ""))) is None:
        return
    parsed = request.scope.get("parsed_body")
    if not isinstance(parsed, tuple):  # no body, or one that LiteLLM could not parse
        return
    names, body = parsed
    sent = {name: body.get(name) for name in names}
    limit_content(sent)
    reject_reserved_fields({"model": "", **sent})  # Gemini's routes have the model in the path
    validate_field_types(sent, shape)
    request.validated = sent, shape


def is_validated(sent: Mapping[str, Any], shape: Shape | None) -> bool:
    """Return whether the body of the current request has been found valid, as one of this shape."""
    request = current_request()
    return request is not None and request.validated == (sent, shape)
