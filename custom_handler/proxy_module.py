"""LiteLLM's proxy, where it runs in this process."""

from __future__ import annotations

import sys
from typing import Any

NAME = "litellm.proxy.proxy_server"


def running_proxy() -> Any:
    """Return the proxy's module, None in a program that does not run the proxy."""
    return sys.modules.get(NAME)
