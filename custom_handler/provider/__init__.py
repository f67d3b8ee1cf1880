"""The LiteLLM provider: LiteLLM's calls in, LiteLLM's responses and errors out."""

PROVIDER = "stackspot"
"""The name of the provider in LiteLLM."""
