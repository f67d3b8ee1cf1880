"""One chat request in OpenAI's terms, validated."""
