"""Which models of config.yaml are disabled, because a variable that they need is not set."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

from .config import Deployment, variables

# By provider, the names under which LiteLLM looks for its key; the first is the one to recommend.
_KEYS = {
    "groq": ("GROQ_API_KEY",),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
}
STACKSPOT = "stackspot"


def key_names(provider: str) -> tuple[str, ...]:
    """Name the variables that may hold a provider's key; none for a provider that is not known here."""
    return _KEYS.get(provider, ())


def missing_variable(entry: Mapping[str, Any]) -> str | None:
    """Name the variable for want of which an entry of `model_list` is disabled; None if the model is available.

    `entry` is as config.yaml has it, with `os.environ/` references. StackSpot's own four settings are not optional, so a
    model of StackSpot is never disabled. Credentials of AWS are looked up without the network: see `_has_aws_credentials`.
    """
    deployment = Deployment.of(entry)
    if deployment.provider == STACKSPOT:
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
    """Return the names of the models without any available deployment, each with the variable to set."""
    found = [(str(entry.get("model_name") or ""), missing_variable(entry)) for entry in entries]
    available = {name for name, missing in found if missing is None}
    disabled: dict[str, str] = {}
    for name, missing in found:
        if missing is not None and name not in available:
            disabled.setdefault(name, missing)
    return disabled


def _missing_for_bedrock(params: Mapping[str, Any]) -> str | None:
    region = any(os.environ.get(name) for name in ("AWS_REGION", "AWS_REGION_NAME", "AWS_DEFAULT_REGION"))
    if not params.get("aws_region_name") and not region:
        return "AWS_REGION"
    given = any(name.startswith("aws_") and name != "aws_region_name" for name in params)
    bearer = params.get("api_key") or os.environ.get("AWS_BEARER_TOKEN_BEDROCK")
    return None if given or bearer or _has_aws_credentials() else "AWS_PROFILE or AWS_ACCESS_KEY_ID"


@functools.cache
def _has_aws_credentials() -> bool:
    """Look where the AWS SDK looks, but ask the metadata service only where AWS_EC2_METADATA_DISABLED is `false`.

    On a machine outside AWS that service does not answer, which would delay each start by seconds.
    """
    import botocore.exceptions  # noqa: PLC0415  5 MiB, for those who have Bedrock
    import botocore.session  # noqa: PLC0415

    session = botocore.session.Session()
    try:
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "false":
            session.get_component("credential_provider").remove("iam-role")
        return session.get_credentials() is not None
    except botocore.exceptions.BotoCoreError:  # such as an AWS_PROFILE that does not exist
        return False
