"""Keep LiteLLM's load balancing away from accounts that are busy while another one is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..provider.litellm_call import call_caller
from ..provider.model_response import PROVIDER
from ..settings import DEFAULT_ACCOUNT
from ..stackspot.accounts import Accounts
from .deployments import deployment_provider


def admitting_deployments(
    accounts: Accounts, deployments: Sequence[dict[str, Any]], request: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the deployments of a model without those whose account would make the caller wait.

    All of them where no account or each would. LiteLLM chooses among the rest, by its own strategy.
    """
    names = [_account(deployment) for deployment in deployments]
    known = {account.name: account for account in accounts}
    candidates = {name for name in names if name in known}
    if len(candidates) < 2:  # nothing to choose
        return list(deployments)
    caller = call_caller(request)
    full = {name for name in candidates if not known[name].client.admits_at_once(caller)}
    if full == candidates:
        return list(deployments)
    return [deployment for deployment, name in zip(deployments, names, strict=True) if name not in full]


def _account(deployment: Mapping[str, Any]) -> str | None:
    """Return the account of a StackSpot deployment, None for another provider's."""
    if deployment_provider(deployment.get("litellm_params") or {}) != PROVIDER:
        return None
    chosen = (deployment.get("model_info") or {}).get("account")
    if chosen is None:
        return DEFAULT_ACCOUNT
    return chosen if isinstance(chosen, str) else None
