"""Responses of /v1/responses that are kept, so that a request can continue one by its id."""
