"""Which provider a deployment of config.yaml belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..proxy_module import running_proxy


def deployment_provider(params: Mapping[str, Any]) -> str:
    """Read a deployment's provider off its `litellm_params`."""
    return str(params.get("custom_llm_provider") or str(params.get("model") or "").partition("/")[0])


def response_provider(headers: Mapping[str, str]) -> str | None:
    """Name the provider that an answer of the proxy's came from, a fallback's where that was taken."""
    router, model_id = getattr(running_proxy(), "llm_router", None), headers.get("x-litellm-model-id")
    deployment = router.get_deployment(model_id=model_id) if router is not None and model_id else None
    return (
        deployment_provider(deployment.litellm_params.model_dump(exclude_none=True)) if deployment is not None else None
    )
