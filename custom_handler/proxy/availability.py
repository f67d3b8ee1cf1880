"""Find the models of config.yaml that are disabled because a variable they need is not set."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..provider import PROVIDER
from .config import Deployment, variables

# By provider, the variables in which LiteLLM looks for its key; the first one is recommended.
_KEYS = {
    "groq": ("GROQ_API_KEY",),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
}


def key_names(provider: str) -> tuple[str, ...]:
    """Return the variables that may hold a provider's key; none for an unknown provider."""
    return _KEYS.get(provider, ())


def missing_variable(entry: Mapping[str, Any]) -> str | None:
    """Return the unset variable that disables an entry of `model_list`, None for an available one.

    `entry` is as config.yaml has it, with `os.environ/` references. The four settings of StackSpot
    are required at startup, so its models are never disabled.
    """
    deployment = Deployment.of(entry)
    if deployment.provider == PROVIDER:
        return None
    params = entry.get("litellm_params") or {}
    names = key_names(deployment.provider)
    has_key = bool(str(deployment.params.get("api_key") or "").strip()) or any(
        (os.environ.get(name) or "").strip() for name in names
    )
    needed = {name: value for name, value in params.items() if name != "api_key" or not (names and has_key)}
    unset = next((name for name in variables(needed) if not (os.environ.get(name) or "").strip()), None)
    if unset is not None:
        return unset
    if names and not has_key:
        return names[0]
    if deployment.provider == "bedrock":
        return _missing_for_bedrock(deployment.params)
    return None


def disabled_models(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Map the models without any available deployment to the variable to set."""
    pairs = [(str(entry.get("model_name") or ""), missing_variable(entry)) for entry in entries]
    available = {name for name, missing in pairs if missing is None}
    disabled: dict[str, str] = {}
    for name, missing in pairs:
        if missing is not None and name not in available:
            disabled.setdefault(name, missing)
    return disabled


def _missing_for_bedrock(params: Mapping[str, Any]) -> str | None:
    region = any(os.environ.get(name) for name in ("AWS_REGION", "AWS_REGION_NAME", "AWS_DEFAULT_REGION"))
    if not params.get("aws_region_name") and not region:
        return "AWS_REGION"
    configured = any(name.startswith("aws_") and name != "aws_region_name" for name in params)
    bearer = params.get("api_key") or os.environ.get("AWS_BEARER_TOKEN_BEDROCK")
    return None if configured or bearer or _has_aws_credentials() else "AWS_PROFILE or AWS_ACCESS_KEY_ID"


@functools.cache
def _has_aws_credentials() -> bool:
    """Search where the AWS SDK does; use the network only if AWS_EC2_METADATA_DISABLED is `false`.

    Outside AWS the metadata service does not respond, which would delay each start by seconds.
    """
    import botocore.exceptions  # noqa: PLC0415  5 MiB, for Bedrock only
    import botocore.session  # noqa: PLC0415

    session = botocore.session.Session()
    try:
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "false":
            session.get_component("credential_provider").remove("iam-role")
        return session.get_credentials() is not None
    except botocore.exceptions.BotoCoreError:  # such as an AWS_PROFILE that does not exist
        return False
