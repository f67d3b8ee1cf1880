"""Code that runs inside the LiteLLM proxy."""
