"""The LiteLLM provider: LiteLLM's calls in, LiteLLM's responses and errors out."""
