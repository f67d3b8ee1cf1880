"""Validate request bodies before LiteLLM processes them."""
