"""The log of one turn."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:  # Python 3.10 knows it without a parameter only
    _LoggerAdapter = logging.LoggerAdapter


class TurnLog(_LoggerAdapter):
    """Prefixes each message with the call's correlation id."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the prefixed message."""
        return f"[{self.extra['correlation_id'] if self.extra else ''}] {msg}", kwargs
