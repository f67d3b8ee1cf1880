"""Validation of request bodies before the proxy processes them."""
