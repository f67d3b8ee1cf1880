"""Keep LiteLLM's load balancing away from accounts that are busy while another one is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..provider import PROVIDER
from ..provider.litellm_call import call_caller
from ..provider.quick_command_options import PREFIX
from ..settings import DEFAULT_ACCOUNT
from ..stackspot.accounts import Accounts
from ..stackspot.quotas import AGENTS, QUICK_COMMANDS
from ..stackspot.reservation import reserve
from .deployments import deployment_provider


def admitting_deployments(
    accounts: Accounts, deployments: Sequence[dict[str, Any]], request: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the deployments of a model without those whose account makes the caller wait longer.

    To wait for a slot is shorter than to wait for a request of the minute or the day. LiteLLM
    chooses among the rest, by its own strategy.
    """
    names = [_account(deployment) for deployment in deployments]
    known = {account.name: account for account in accounts}
    candidates = {name for name in names if name in known}
    if len(candidates) < 2:  # nothing to choose
        return list(deployments)
    caller = call_caller(request)
    waits = [
        None if name not in candidates else known[name].client.limiters[_quota(deployment)].expected_wait(caller)
        for deployment, name in zip(deployments, names, strict=True)
    ]
    shortest = min(wait for wait in waits if wait is not None)
    return [deployment for deployment, wait in zip(deployments, waits, strict=True) if wait in {None, shortest}]


def reserve_account(accounts: Accounts, arguments: Mapping[str, Any]) -> None:
    """Count a call at the account that LiteLLM has chosen, until it joins the account's queue.

    `arguments` are those of the call; None of them names a deployment where it is another's.
    """
    try:
        account = accounts.of(arguments.get("model_info") or {})
    except ConfigurationError:
        return
    reserve(account.client.limiters[_quota({"litellm_params": arguments})].reservations)


def _quota(deployment: Mapping[str, Any]) -> str:
    model = str((deployment.get("litellm_params") or {}).get("model")).removeprefix(f"{PROVIDER}/")
    return QUICK_COMMANDS if model.startswith(PREFIX) else AGENTS


def _account(deployment: Mapping[str, Any]) -> str | None:
    """Return the account of a StackSpot deployment, None for another provider's."""
    if deployment_provider(deployment.get("litellm_params") or {}) != PROVIDER:
        return None
    chosen = (deployment.get("model_info") or {}).get("account")
    if chosen is None:
        return DEFAULT_ACCOUNT
    return chosen if isinstance(chosen, str) else None
