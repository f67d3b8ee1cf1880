"""Budgets of virtual keys: LiteLLM's own checks, with the cost that LiteLLM calculates for calls of agents.

Virtual keys need Postgres and Prisma's engine, so `tests/e2e/test_virtual_keys.py` runs in CI only; here LiteLLM's
functions are called as its proxy calls them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import litellm
import pytest
from litellm import Router
from litellm.proxy.auth.auth_checks import is_model_cost_zero

from custom_handler.proxy.model_defaults import model_defaults
from custom_handler.proxy.model_list import ModelList
from custom_handler.settings import Settings
from tests.support.processes import ROOT

PLAY = {"text": "um dois", "tokens": {"input": 7, "output": 3}}
ZERO = {"input_cost_per_token": 0, "output_cost_per_token": 0}
PRICES: dict[str, dict[str, Any]] = {
    "tokens": {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1},
    "credits": {"input_cost_per_query": 0.37},
    "zeros": {"input_cost_per_query": 0.37, **ZERO},
}


@pytest.mark.slow
def test_a_virtual_key_is_refused_once_priced_calls_have_cost_its_budget(settings: Any, simulator: Any) -> None:
    simulator.script(*[PLAY] * 2 * len(PRICES))
    account = settings.account
    environ = {
        "CLIENT_ID": account.client_id,
        "CLIENT_SECRET": account.client_secret,
        "REALM": account.realm,
        "GENAI_AGENT_ID": account.agent_id,
        "STACKSPOT_IDM_URL": account.idm_url,
        "STACKSPOT_INFERENCE_URL": account.inference_url,
    }
    command = [sys.executable, "-m", "tests.support.virtual_keys", json.dumps(PRICES), "0.7"]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=True)
    results = json.loads(ended.stdout.splitlines()[-1])
    expected = {"cost": pytest.approx(0.37), "admitted": 2, "refused_at": pytest.approx(0.74)}
    assert results == dict.fromkeys(PRICES, expected)


def test_litellm_skips_the_budgets_of_models_only_that_are_explicitly_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "provider_list", [*litellm.provider_list, "stackspot"])
    models = [
        {"model_name": name, "litellm_params": {"model": "stackspot/chat"}, "model_info": info}
        for name, info in {**PRICES, "unpriced": {}, "gratis": ZERO}.items()
    ]
    ModelList([dict(model) for model in models], defaults=model_defaults(Settings())).prepare(models)
    router = Router(model_list=models)
    free = {str(model["model_name"]) for model in models if is_model_cost_zero(str(model["model_name"]), router)}
    assert free == {"gratis"}
