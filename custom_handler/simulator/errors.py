"""What the simulator raises when a request, or a script, is not as it should be.

ValueError
  InvalidRequestError        a body, a play or a setting that says something wrong
Exception
  RefusedError               a request of the agent's host that gets an HTTP error
  TokenRefusedError          a token request that gets an HTTP error
"""

from __future__ import annotations

from typing import Any


class InvalidRequestError(ValueError):
    """A value from outside that cannot be used; the message says why."""


class RefusedError(Exception):
    """A request of the agent's host, answered with `status` and `body`; None is an empty body."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class TokenRefusedError(Exception):
    """A token request, answered with `status` and an OAuth error as Keycloak writes it."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}
