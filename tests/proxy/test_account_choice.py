"""Which deployments LiteLLM's load balancing may choose, by what their accounts admit at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from custom_handler.proxy.account_choice import admitting_deployments
from custom_handler.stackspot.accounts import Accounts
from custom_handler.stackspot.quotas import AGENTS, QUICK_COMMANDS
from custom_handler.stackspot.state.ledger import Wait


def accounts(quota: str = AGENTS, **waits: Wait) -> Accounts:
    """Return accounts by name, and what a request would wait for at each, by one of its quotas."""
    limiters = {name: {quota: SimpleNamespace(expected_wait=lambda _, wait=wait: wait)} for name, wait in waits.items()}
    return cast(
        "Accounts",
        [SimpleNamespace(name=name, client=SimpleNamespace(limiters=own)) for name, own in limiters.items()],
    )


def deployment(account: Any, model: str = "stackspot/chat") -> dict[str, Any]:
    return {"litellm_params": {"model": model}, "model_info": {"account": account}}


OWN, B = deployment(None), deployment("b")


@pytest.mark.parametrize(
    ("default", "b", "expected"),
    [
        (Wait.NOTHING, Wait.NOTHING, [OWN, B]),
        (Wait.NOTHING, Wait.SLOT, [OWN]),
        (Wait.SLOT, Wait.NOTHING, [B]),
        (Wait.SLOT, Wait.SLOT, [OWN, B]),
        (Wait.LIMIT, Wait.SLOT, [B]),
        (Wait.LIMIT, Wait.LIMIT, [OWN, B]),
    ],
)
def test_an_account_that_would_wait_longer_is_left_out(default: Wait, b: Wait, expected: list[Any]) -> None:
    assert admitting_deployments(accounts(default=default, b=b), [OWN, B], {}) == expected


@pytest.mark.parametrize("other", [deployment(""), deployment(7), deployment("c"), deployment(None, "openai/gpt")])
def test_what_names_no_account_stays_in_the_choice(other: dict[str, Any]) -> None:
    """Such a StackSpot deployment answers with its own error, as everywhere."""
    assert admitting_deployments(accounts(default=Wait.LIMIT, b=Wait.SLOT), [OWN, B, other], {}) == [B, other]
    assert admitting_deployments(accounts(default=Wait.LIMIT, b=Wait.SLOT), [OWN, other], {}) == [OWN, other]


def test_quick_commands_are_chosen_by_their_own_quota() -> None:
    own, b = (deployment(account, "stackspot/quick-command/explain") for account in (None, "b"))
    limits = accounts(QUICK_COMMANDS, default=Wait.LIMIT, b=Wait.NOTHING)
    assert admitting_deployments(limits, [own, b], {}) == [b]
