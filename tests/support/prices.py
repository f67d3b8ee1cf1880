"""A config.yaml whose models have prices, and a KEYS_FILE whose keys have budgets."""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import ROOT

MODELS = """model_list:
- {model_name: free, litellm_params: {model: stackspot/chat}}
- model_name: tokens
  litellm_params: {model: chat, custom_llm_provider: stackspot}
  model_info: {input_cost_per_token: 1e-3, output_cost_per_token: 0.01}
- model_name: credits
  litellm_params: {model: stackspot/chat}
  model_info: {input_cost_per_query: 0.25}
- model_name: resuming
  litellm_params: {model: stackspot/chat}
  model_info: {input_cost_per_query: 0.25, resume_streams: true}
- {model_name: compact, litellm_params: {model: stackspot/chat}, model_info: {compact_tools: true, input_cost_per_query: 0.25}}
- {model_name: fast, litellm_params: {model: stackspot/chat}, model_info: {selected_model: gpt-5, input_cost_per_query: 0.25}}
- model_name: deep
  litellm_params: {model: stackspot/chat}
  model_info: {selected_model: claude-sonnet-4.5, agent_version: 2, input_cost_per_query: 0.25}
- {model_name: either, litellm_params: {model: stackspot/chat}, model_info: {agent_version: 1, input_cost_per_query: 0.25}}
- {model_name: either, litellm_params: {model: stackspot/chat}, model_info: {agent_version: 2, input_cost_per_query: 0.25}}
- {model_name: mixed, litellm_params: {model: stackspot/chat, input_cost_per_query: 0.5, output_cost_per_token: 0.01}}
- model_name: command
  litellm_params: {model: stackspot/quick-command/explain}
  model_info: {input_cost_per_query: 0.4}
- model_name: gratis
  litellm_params: {model: stackspot/chat}
  model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
- model_name: backed
  litellm_params: {model: stackspot/chat}
  model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
- {model_name: priced-*, litellm_params: {model: stackspot/chat}, model_info: {input_cost_per_query: 0.25}}
- model_name: free-*
  litellm_params: {model: stackspot/chat}
  model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
"""
ROUTER = """router_settings:
  fallbacks: [{backed: [credits]}]
"""
ALIASES = """model_group_alias:
    of-credits: credits
    of-gratis: {model: gratis, hidden: true}
"""
KEYS = """keys:
- {name: rich, key: sk-the-key-of-rich-1, budget: 1000}
- {name: poor, key: sk-the-key-of-poor-1, budget: 0.6, budget_duration: 30d}
- {name: many, key: sk-the-key-of-many-1, budget: 1}
- {name: away, key: sk-the-key-of-away-1, budget: 0.1}
- {name: chat, key: sk-the-key-of-chat-1, budget: 0.1}
- {name: none, key: sk-the-key-of-none-1}
"""
GEMINI = "/v1beta/models/{}:generateContent"


def write_config(file: Path) -> str:
    """Write the repository's config.yaml with priced models and a fallback to one; return its name."""
    written = (ROOT / "config.yaml").read_text(encoding="utf-8").replace("router_settings:\n", ROUTER)
    written = written.replace("model_group_alias:\n", ALIASES)
    file.write_text(MODELS + written[written.index("litellm_settings:") :], encoding="utf-8")
    return str(file)


def write_keys(file: Path) -> str:
    """Write the keys; return the file's name."""
    file.write_text(KEYS, encoding="utf-8")
    return str(file)
