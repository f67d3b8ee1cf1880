"""What runs inside a LiteLLM proxy and is shared by the layers above."""
