"""Tells a caller which key the operator has not set, before a provider of config.yaml is asked without one.

Left to themselves these answer 401, which reads as the caller's own key being wrong, or try for half a minute with no key.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Mapping
from typing import Any

import litellm

# By provider, the names under which LiteLLM looks for its key; the first is the one to recommend.
_KEYS = {
    "groq": ("GROQ_API_KEY",),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
}


def key_names(provider: str) -> tuple[str, ...]:
    """Name the variables that may hold a provider's key; none for a provider that is not known here."""
    return _KEYS.get(provider, ())


def missing_key(provider: str, params: Mapping[str, Any]) -> str | None:
    """Name what to set so that a deployment has its key; None where it has one, or where that is not known here.

    `params` are the deployment's `litellm_params`. To look for credentials of AWS takes time, the first time.
    """
    names = key_names(provider)
    if names and not params.get("api_key") and not any(os.environ.get(name) for name in names):
        return names[0]
    given = any(name.startswith("aws_") and name != "aws_region_name" for name in params)
    if provider == "bedrock" and not given and not _has_aws_credentials():
        return "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    return None


async def require_key(provider: str, kwargs: Mapping[str, Any]) -> None:
    """Raise LiteLLM's ServiceUnavailableError (503) where the called deployment has no key."""
    if provider == "bedrock":
        missing = await asyncio.to_thread(missing_key, provider, kwargs)
    else:
        missing = missing_key(provider, kwargs)
    if missing:
        raise _unconfigured(missing, provider, kwargs)


def _unconfigured(names: str, provider: str, kwargs: Mapping[str, Any]) -> Exception:
    model = str(kwargs.get("model"))
    message = f"This proxy has no key for {model}: its operator can set {names} in .env and start it again."
    error: Exception = litellm.ServiceUnavailableError(message=message, model=model, llm_provider=provider)
    return error


@functools.cache
def _has_aws_credentials() -> bool:
    """Look where the AWS SDK looks: the environment, its files, the machine's role."""
    import boto3  # noqa: PLC0415  5 MiB, for those who have Bedrock

    return boto3.Session().get_credentials() is not None
