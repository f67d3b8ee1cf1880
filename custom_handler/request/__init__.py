"""One validated chat request, in OpenAI's terms."""
