"""ASGI middleware around the proxy's application."""
