"""What an operator adds to the proxy through `callbacks: [custom_handler.plugin]`."""
