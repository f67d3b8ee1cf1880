"""The ASGI wrapper around the proxy's application, and the functions that it calls."""
