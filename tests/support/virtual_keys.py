"""Ask priced models through LiteLLM's router until its own check of a virtual key's budget refuses.

A program of its own, because it imports the whole proxy; the settings lead to the simulator. Prints, for each model,
the cost of a call, the admitted calls, and the spend at which the next one was refused.
"""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import litellm
from litellm import Router
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.auth_checks import virtual_key_max_budget_check
from litellm.proxy.proxy_server import increment_spend_counters

from custom_handler import StackspotLLM
from custom_handler.proxy.model_defaults import model_defaults
from custom_handler.proxy.model_list import ModelList
from custom_handler.settings import Settings


def prepared_router(prices: dict[str, dict[str, Any]], settings: Settings) -> Router:
    """Return LiteLLM's router with these models, as the plugin prepares them."""
    models = [
        {"model_name": name, "litellm_params": {"model": "stackspot/chat"}, "model_info": info}
        for name, info in prices.items()
    ]
    ModelList([dict(model) for model in models], defaults=model_defaults(settings)).prepare(models)
    return Router(model_list=models)


async def no_alert(**_: object) -> None:
    """Alert nobody."""


async def spend_budget(router: Router, model: str, budget: float) -> dict[str, float]:
    """Call the model with a key of this budget until LiteLLM refuses."""
    key = UserAPIKeyAuth(api_key=f"sk-a-virtual-key-for-{model}", max_budget=budget, spend=0.0)
    logging: Any = SimpleNamespace(budget_alerts=no_alert)
    cost, admitted = 0.0, 0
    while admitted < 10:
        try:
            await virtual_key_max_budget_check(key, logging)
        except litellm.BudgetExceededError as error:
            return {"cost": cost, "admitted": admitted, "refused_at": error.current_cost}
        response = await router.acompletion(model=model, messages=[{"role": "user", "content": "Oi"}])
        cost = response._hidden_params["response_cost"]
        await increment_spend_counters(token=key.token, team_id=None, user_id=None, response_cost=cost)
        admitted += 1
    return {"cost": cost, "admitted": admitted, "refused_at": -1}


async def main(prices: dict[str, dict[str, Any]], budget: float) -> None:
    """Print the results as JSON."""
    settings = Settings.load()
    litellm.custom_provider_map = [{"provider": "stackspot", "custom_handler": StackspotLLM(settings)}]
    litellm.utils.custom_llm_setup()
    router = prepared_router(prices, settings)
    print(json.dumps({model: await spend_budget(router, model, budget) for model in prices}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), float(sys.argv[2])))
