"""Return the provider of a deployment, and the one that served a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..proxy_module import running_proxy


def deployment_provider(params: Mapping[str, Any]) -> str:
    """Return the provider that `litellm_params` name.

    >>> deployment_provider({"model": "groq/llama-3"})
    'groq'
    """
    return str(params.get("custom_llm_provider") or str(params.get("model") or "").partition("/")[0])


def response_provider(headers: Mapping[str, str]) -> str | None:
    """Return the provider that served a response of the proxy, possibly a fallback; else None."""
    router, model_id = getattr(running_proxy(), "llm_router", None), headers.get("x-litellm-model-id")
    deployment = router.get_deployment(model_id=model_id) if router is not None and model_id else None
    return (
        deployment_provider(deployment.litellm_params.model_dump(exclude_none=True)) if deployment is not None else None
    )
