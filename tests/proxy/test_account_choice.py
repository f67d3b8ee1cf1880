"""Which deployments LiteLLM's load balancing may choose, by what their accounts admit at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from custom_handler.proxy.account_choice import admitting_deployments
from custom_handler.stackspot.accounts import Accounts


def accounts(**admits: bool) -> Accounts:
    """Return accounts by name, and whether each admits a request at once."""
    clients = {name: SimpleNamespace(admits_at_once=lambda _, free=free: free) for name, free in admits.items()}
    return cast("Accounts", [SimpleNamespace(name=name, client=client) for name, client in clients.items()])


def deployment(account: Any, model: str = "stackspot/chat") -> dict[str, Any]:
    return {"litellm_params": {"model": model}, "model_info": {"account": account}}


OWN, B = deployment(None), deployment("b")


@pytest.mark.parametrize(
    ("default", "b", "expected"),
    [(True, True, [OWN, B]), (True, False, [OWN]), (False, True, [B]), (False, False, [OWN, B])],
)
def test_an_account_that_would_wait_is_left_out(default: bool, b: bool, expected: list[Any]) -> None:
    assert admitting_deployments(accounts(default=default, b=b), [OWN, B], {}) == expected


@pytest.mark.parametrize("other", [deployment(""), deployment(7), deployment("c"), deployment(None, "openai/gpt")])
def test_what_names_no_account_stays_in_the_choice(other: dict[str, Any]) -> None:
    """Such a StackSpot deployment answers with its own error, as everywhere."""
    assert admitting_deployments(accounts(default=False, b=True), [OWN, B, other], {}) == [B, other]
    assert admitting_deployments(accounts(default=False, b=True), [OWN, other], {}) == [OWN, other]
