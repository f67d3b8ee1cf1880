"""LiteLLM's Langfuse routes get every key in the form that they read."""

from __future__ import annotations

import base64

import pytest
from starlette.datastructures import Headers
from starlette.types import Scope

from custom_handler.proxy.middleware.langfuse_key import encode_key


def encoded(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "value", "sent"),
    [
        ("authorization", "Bearer sk-a", encoded("litellm:sk-a")),
        ("authorization", "sk-a", encoded("litellm:sk-a")),
        ("authorization", "Bearer ação", encoded("litellm:ação")),
        ("x-litellm-api-key", "sk-a", encoded("litellm:sk-a")),
        ("x-api-key", "sk-a", encoded("litellm:sk-a")),
        ("authorization", encoded("pk:sk-a"), encoded("pk:sk-a")),
        ("authorization", encoded("sk-a"), encoded(f"litellm:{encoded('sk-a')}")),
        ("authorization", "Basic x", encoded("litellm:Basic x")),
        ("authorization", "Basic //79", encoded("litellm:Basic //79")),
        ("host", "a", encoded("litellm:")),
    ],
)
@pytest.mark.parametrize(("path", "root"), [("/langfuse/api/public/ingestion", ""), ("/root/langfuse/x", "/root")])
def test_a_credential_becomes_basic_authentication(header, value, sent, path, root):
    scope: Scope = {"path": path, "root_path": root, "headers": [(header.encode(), value.encode("latin-1"))]}
    encode_key(scope)
    assert Headers(scope=scope)["authorization"] == sent


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/langfuse", "/a/langfuse/x"])
def test_other_routes_are_left_alone(path):
    headers = [(b"authorization", b"Bearer sk-a")]
    encode_key(scope := {"path": path, "headers": headers})
    assert scope["headers"] is headers
