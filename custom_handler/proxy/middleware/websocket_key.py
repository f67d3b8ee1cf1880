"""Move the API key of a WebSocket from its query to a header.

Browsers cannot set headers on a WebSocket. The server's access log reads the query from the same
scope later, and must not record the key.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

NAME = "api_key"
HEADER = "x-litellm-api-key"


def move_key(scope: Scope) -> None:
    """Move `?api_key=` to the header that the proxy reads; a key in a header has precedence."""
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    keys = [value for name, value in query if name == NAME and value and value.isascii() and value.isprintable()]
    scope["query_string"] = urlencode([pair for pair in query if pair[0] != NAME]).encode()
    scope["headers"] = list(scope["headers"])
    headers = MutableHeaders(scope=scope)
    if keys and not any(name in headers for name in ("authorization", "x-api-key", "api-key", HEADER)):
        headers[HEADER] = keys[0]
