"""HTTP and WebSocket routes that the plugin adds to the proxy."""
