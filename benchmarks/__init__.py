"""Measure the provider against LiteLLM's `openai` provider (`make bench`); see docs/bench.md."""
